"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled
from ffn_train.theory.sums import Sum, Sums


class Square(NamedTuple):
    """The squared gradient norm of a parameter, which is named as within its block.

    ``sum``: over all pairs; ``log``: the square's logarithm; ``spread``: the variance that the
    block itself adds to that logarithm; ``pairs``: d log |g|²/d log |s|² for the sum
    s = Σ_a dLoss/dx_a at the block's output where the samples' own gradients stay the same, 0 where
    that is not followed.
    """

    name: str
    sum: Sum
    log: float
    spread: float
    pairs: float = 0.0


def of_block(model: Stack, forward: Up, backward: Down, sums: Sums) -> Iterator[Square]:
    """The squared norms of the gradients of all of a block's parameters.

    a² Σ_ab (G ∘ W)_ab for the branch's parameters; D Σ_ab (G ∘ F)_ab for a learnable multiplier. A
    norm's gain has the gradient Σ dLoss/dy ∘ y: D Σ_ab (dLoss/dy's kernel ∘ Y)_ab; its shift has
    the same without Y.
    """
    block, branch, width = model.block, forward.branch, float(model.width)
    multiplier = block.multiplier**2
    inner = backward.coherence * multiplier if backward.coherence is not None else None
    along = backward.coherent.weights if backward.coherent is not None else {}
    above = sums.log_total(backward.output)
    for name, weight in branch.weights.items():
        square = backward.output * weight * multiplier
        if inner is not None and name in along:
            square = square + inner.outer() * along[name]
        part, _, kind = name.partition(".")
        spread = branch.slope_spread if part in model.branch.inner else branch.spread
        last = part == model.branch.outer and kind == "bias"  # dLoss/dy summed over the batch
        fresh = 0.0 if last else max(spread - 2 / width, 0.0)
        whole, share = sums.of(square), 0.0
        if kind == "bias":
            of_pairs = weight.off_diagonal() * multiplier
            share = float(np.nan_to_num(np.exp(above - whole.log) * of_pairs))
        if kind == "bias" and part in model.branch.inner:
            # a unit's Σ_a act'_a c_a is normal where samples cancel: E (·)⁴ is 3 - 2 share², not 1
            fresh += 6 * max(1 - share**2, 0.0) / model.hidden
        yield Square(name, whole, whole.log, fresh, share)
    if block.learnable:
        chance = np.pi**2 / 2  # of the log of one squared normal
        products = sums.of(backward.output * forward.branch.output)
        yield Square("multiplier", products, _multiplier(model, forward, backward, sums), chance)
    for norm, gradient, output, spread in (
        (block.pre, backward.branch, forward.branch_input, branch.slope_spread),
        (block.post, backward.above, forward.output, 0.0),
    ):
        if norm is not None:  # D features; E[g⁴ y⁴] = 9, E[g⁴] = 3
            gain, shift = gradient * output * width, gradient * width
            if backward.along is not None:
                # E y_a² y_b² = Y_aa Y_bb + 2 Y_ab²; ``gain`` has one Y_ab²
                fourth = output.diagonal.outer() + output * output
                gain = gain + backward.along.outer() * fourth * width
            for name, kernel, fresh in (("gain", gain, 8 / width), ("shift", shift, 2 / width)):
                whole = sums.of(kernel)
                yield Square(f"norm.{name}", whole, whole.log, spread + fresh)


def _multiplier(model: Stack, forward: Up, backward: Down, sums: Sums) -> float:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = sums.log_total(backward.output * forward.branch.output * float(model.width))
    if backward.coherence is None:
        return square
    along = (
        backward.coherence * forward.branch.output.diagonal * (model.block.multiplier * model.width)
    )
    mean = Scaled(np.abs(np.mean(along.values)) * np.full(1, sums.batch), along.log).log_mean()
    return float(np.logaddexp(square, 2 * mean))
