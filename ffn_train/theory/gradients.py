"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.branch import Maps
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, log_of
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

    Of a matrix's bias it is the sum of the gradient's kernel at the matrix's output, of the matrix
    that of its product with the kernel of the input; of a learnable multiplier D Σ_ab (G ∘ F)_ab. A
    norm's gain has the gradient Σ dLoss/dy ∘ y: D Σ_ab (dLoss/dy's kernel ∘ Y)_ab; its shift has
    the same without Y.
    """
    block, branch, width = model.block, forward.branch, float(model.width)
    nothing, above = np.zeros(len(forward)), sums.log_total(backward.output)
    for part, gradient, inputs, of_pairs in _matrices(model, maps, forward, backward):
        inner = part in model.branch.inner
        spread = branch.unit.slope_spread if inner else branch.unit.spread
        fresh = np.maximum(spread - 2 / width, 0.0)
        whole = sums.of(gradient * inputs)
        yield Square(f"{part}.weight", whole, whole.log, fresh, nothing)
        whole = sums.of(gradient)
        share = np.nan_to_num(np.exp(above - whole.log) * of_pairs)
        # a unit's Σ_a act'_a c_a is normal where samples cancel: E (·)⁴ is 3 - 2 share², not 1;
        # that of the outer bias is dLoss/dy summed over the batch
        fresh = fresh + 6 * np.maximum(1 - share**2, 0.0) / model.hidden if inner else nothing
        yield Square(f"{part}.bias", whole, whole.log, fresh, share)
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


def _matrices(
    model: Stack, maps: Maps, forward: Up, backward: Down
) -> Iterator[tuple[str, Scaled, Scaled, Floats]]:
    """Each matrix, the kernels Σ g_a · g_b at its output and Σ y_a · y_b at its input.

    And the factor, of a mean pair of two samples, by which the former is G.
    """
    d, h, multiplier = model.width, model.hidden, model.block.multiplier**2
    field, above = forward.branch.field, backward.output * multiplier
    several = 1.0 if field.kernel.values.shape[-1] > 1 else 0.0
    factor = np.full(len(forward), d * multiplier * several)
    yield model.branch.outer, above * d, maps.hidden(field) * h, factor
    for part, path in maps.paths(field).items():
        weight = path * (maps.v.outer * d)
        gradient = above * weight
        if backward.coherence is not None and backward.coherent is not None:
            inner = (backward.coherence * multiplier).outer()
            gradient = gradient + inner * getattr(backward.coherent.paths, part) * h
        yield part, gradient, forward.branch_input * d, weight.off_diagonal() * multiplier


def _multiplier(model: Stack, forward: Up, backward: Down, products: Floats, batch: int) -> Floats:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = products + np.log(model.width)
    if backward.coherence is None:
        return np.asarray(square)
    along = backward.coherence * forward.branch.output.diagonal
    size = np.abs(along.values.mean(axis=-1) * (batch * model.block.multiplier * model.width))
    return np.asarray(np.logaddexp(square, 2 * (log_of(size) + along.log)))
