"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.branch import Maps
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import log_of
from ffn_train.theory.sums import Sum, Sums


class Square(NamedTuple):
    """The squared gradient norm of a parameter, which is named as within its block, by block.

    ``sum``: over all pairs; ``log``: the square's logarithm; ``spread``: the variance that the
    block itself adds to that logarithm; ``pairs``: d log |g|²/d log |s|² for the sum
    s = Σ_a dLoss/dx_a at the block's output where the samples' own gradients stay the same, 0 where
    that is not followed.
    """

    name: str
    sum: Sum
    log: Floats
    spread: Floats
    pairs: Floats


def of_blocks(
    model: Stack, maps: Maps, forward: Up, backward: Down, sums: Sums
) -> Iterator[Square]:
    """The squared norms of the gradients of all of the blocks' parameters.

    a² Σ_ab (G ∘ W)_ab for the branch's parameters; D Σ_ab (G ∘ F)_ab for a learnable multiplier. A
    norm's gain has the gradient Σ dLoss/dy ∘ y: D Σ_ab (dLoss/dy's kernel ∘ Y)_ab; its shift has
    the same without Y.
    """
    block, branch, width = model.block, forward.branch, float(model.width)
    multiplier, nothing = block.multiplier**2, np.zeros(len(forward))
    above = sums.log_total(backward.output)
    inner = None if backward.coherence is None else (backward.coherence * multiplier).outer()
    weights = maps.weights(forward.branch_input, branch.field, backward.coherent)
    for name, weight, along in weights:
        square = backward.output * weight * multiplier
        if inner is not None and along is not None:
            square = square + inner * along
        part, _, kind = name.partition(".")
        spread = branch.unit.slope_spread if part in model.branch.inner else branch.unit.spread
        last = part == model.branch.outer and kind == "bias"  # dLoss/dy summed over the batch
        fresh = nothing if last else np.maximum(spread - 2 / width, 0.0)
        whole, share = sums.of(square), nothing
        if kind == "bias":
            of_pairs = weight.off_diagonal() * multiplier
            share = np.nan_to_num(np.exp(above - whole.log) * of_pairs)
        if kind == "bias" and part in model.branch.inner:
            # a unit's Σ_a act'_a c_a is normal where samples cancel: E (·)⁴ is 3 - 2 share², not 1
            fresh = fresh + 6 * np.maximum(1 - share**2, 0.0) / model.hidden
        yield Square(name, whole, whole.log, fresh, share)
    if block.learnable:
        products = sums.of(backward.output * branch.output)
        log = _multiplier(model, forward, backward, products.log, sums.batch)
        chance = nothing + np.pi**2 / 2  # of the log of one squared normal
        yield Square("multiplier", products, log, chance, nothing)
    if block.pre is not None:
        gradient, output = backward.through(model, forward), forward.branch_input
        spread = branch.unit.slope_spread
    elif block.post is not None:
        gradient, output, spread = backward.above, forward.output, nothing
    else:
        return
    # D features; E[g⁴ y⁴] = 9, E[g⁴] = 3
    gain, shift = gradient * output * width, gradient * width
    if backward.along is not None:
        # E y_a² y_b² = Y_aa Y_bb + 2 Y_ab²; ``gain`` has one Y_ab²
        fourth = output.diagonal.outer() + output * output
        gain = gain + backward.along.outer() * fourth * width
    for name, kernel, own in (("gain", gain, 8 / width), ("shift", shift, 2 / width)):
        whole = sums.of(kernel)
        yield Square(f"norm.{name}", whole, whole.log, spread + own, nothing)


def _multiplier(model: Stack, forward: Up, backward: Down, products: Floats, batch: int) -> Floats:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = products + np.log(model.width)
    if backward.coherence is None:
        return np.asarray(square)
    along = backward.coherence * forward.branch.output.diagonal
    size = np.abs(along.values.mean(axis=-1)) * (batch * model.block.multiplier * model.width)
    return np.asarray(np.logaddexp(square, 2 * (log_of(size) + along.log)))
