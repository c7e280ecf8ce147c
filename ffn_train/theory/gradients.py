"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, Sums


class Square(NamedTuple):
    """A parameter by its name within the block, and the square of its gradient's norm.

    ``kernel``: its sum over all pairs is the square, whose logarithm is ``log``; ``spread``: the
    variance that the block itself adds to that.
    """

    name: str
    kernel: Scaled
    log: float
    spread: float


def of_block(model: Stack, here: Up, down: Down, sums: Sums) -> Iterator[Square]:
    """The squared norms of the gradients of all of a block's parameters.

    a² Σ_ab (G ∘ W)_ab for the branch's own; D Σ_ab (G ∘ F)_ab for a learnable multiplier. A norm's
    gain sees dLoss/dy ∘ y: D Σ_ab (dLoss/dy's kernel ∘ Y)_ab, its shift the same without Y.
    """
    block, branch, width = model.block, here.branch, float(model.width)
    multiplier = block.multiplier**2
    inner = down.coherence * multiplier if down.coherence is not None else None
    for name, weight in branch.weights.items():
        square = down.output * weight * multiplier
        if inner is not None and down.coherent is not None and name in down.coherent.weights:
            square = square + inner.outer() * down.coherent.weights[name]
        part, _, kind = name.partition(".")
        spread = branch.slope_spread if part in model.branch.inner else branch.spread
        last = part == model.branch.outer and kind == "bias"  # dLoss/dy summed over the batch
        own = 0.0 if last else max(spread - 2 / width, 0.0)
        yield Square(name, square, sums.log_total(square), own)
    if block.learnable:
        chance = np.pi**2 / 2  # of the log of one squared normal
        products = down.output * here.branch.output
        yield Square("multiplier", products, _multiplier(model, here, down, sums), chance)
    for norm, gradient, output, spread in (
        (block.pre, down.branch, here.branch_input, branch.slope_spread),
        (block.post, down.above, here.output, 0.0),
    ):
        if norm is not None:  # D features; E[g⁴ y⁴] = 9, E[g⁴] = 3
            gain, shift = gradient * output * width, gradient * width
            if down.along is not None:  # E y_a² y_b² = Y_aa Y_bb + 2 Y_ab², once of it in ``gain``
                fourth = output.diagonal.outer() + output * output
                gain = gain + down.along.outer() * fourth * width
            yield Square("norm.gain", gain, sums.log_total(gain), spread + 8 / width)
            yield Square("norm.shift", shift, sums.log_total(shift), spread + 2 / width)


def _multiplier(model: Stack, here: Up, down: Down, sums: Sums) -> float:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = sums.log_total(down.output * here.branch.output * float(model.width))
    if down.coherence is None:
        return square
    along = down.coherence * here.branch.output.diagonal * (model.block.multiplier * model.width)
    mean = Scaled(np.abs(np.mean(along.values)) * np.full(1, sums.batch), along.log).log_mean()
    return float(np.logaddexp(square, 2 * mean))
