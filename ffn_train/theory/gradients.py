"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, Sums


def of_block(model: Stack, here: Up, down: Down, sums: Sums) -> Iterator[tuple[str, float, float]]:
    """Of each of a block's parameters: its name within the block, the logarithm of the squared
    norm of its gradient, and the variance that the block itself adds to that logarithm.

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
        yield name, sums.log_total(square), 0.0 if last else spread - 2 / width
    if block.learnable:
        chance = np.pi**2 / 2  # of the log of one squared normal
        yield "multiplier", _multiplier(model, here, down, sums), chance
    for norm, gradient, output in (
        (block.pre, down.branch, here.branch_input),
        (block.post, down.above, here.output),
    ):
        if norm is not None:  # D features; E[g⁴ y⁴] = 9, E[g⁴] = 3
            yield "norm.gain", sums.log_total(gradient * output * width), 8 / width
            yield "norm.shift", sums.log_total(gradient * width), 2 / width


def _multiplier(model: Stack, here: Up, down: Down, sums: Sums) -> float:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = sums.log_total(down.output * here.branch.output * float(model.width))
    if down.coherence is None:
        return square
    along = down.coherence * here.branch.output.diagonal * (model.block.multiplier * model.width)
    mean = Scaled(np.abs(np.mean(along.values)) * np.full(1, sums.batch), along.log).log_mean()
    return float(np.logaddexp(square, 2 * mean))
