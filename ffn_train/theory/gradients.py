"""The squared norms of parameter gradients, from the kernels of one forward and backward pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Down, Up
from ffn_train.theory.scaled import Scaled, Sums


def of_block(model: Stack, here: Up, down: Down, sums: Sums) -> Iterator[tuple[str, float]]:
    """The logarithms of the squared norms of one block's parameters, by name within the block.

    a² Σ_ab (G ∘ W)_ab for the branch's own; D Σ_ab (G ∘ F)_ab for a learnable multiplier. A norm's
    gain sees dLoss/dy ∘ y: D Σ_ab (dLoss/dy's kernel ∘ Y)_ab, its shift the same without Y.
    """
    multiplier, width = model.block.multiplier**2, float(model.width)
    inner = down.coherence * multiplier if down.coherence is not None else None
    for name, weight in here.branch.weights.items():
        square = down.output * weight * multiplier
        if inner is not None and down.coherent is not None and name in down.coherent.weights:
            square = square + inner.outer() * down.coherent.weights[name]
        yield name, sums.log_total(square)
    if model.block.learnable:
        yield "multiplier", _multiplier(model, here, down, sums)
    if model.block.pre is not None:
        yield "norm.gain", sums.log_total(down.branch * here.branch_input * width)
        yield "norm.shift", sums.log_total(down.branch * width)
    if model.block.post is not None:
        yield "norm.gain", sums.log_total(down.above * here.output * width)
        yield "norm.shift", sums.log_total(down.above * width)


def own_spread(model: Stack, here: Up, name: str) -> float:
    """The variance of the log square that the block itself adds to what reaches its output."""
    part, _, kind = name.partition(".")
    if name == "multiplier":
        return np.pi**2 / 2  # of the log of one squared normal
    if part == "norm":
        return (8 if kind == "gain" else 2) / model.width  # D features; E[g⁴ y⁴] = 9, E[g⁴] = 3
    if part in model.branch.inner:
        return here.branch.slope_spread - 2 / model.width
    return here.branch.spread - 2 / model.width if kind == "weight" else 0.0


def _multiplier(model: Stack, here: Up, down: Down, sums: Sums) -> float:
    """dLoss/da = Σ_n g_n · f_n: its square's mean, with the part of g along a f."""
    square = sums.log_total(down.output * here.branch.output * float(model.width))
    if down.coherence is None:
        return square
    along = down.coherence * here.branch.output.diagonal * (model.block.multiplier * model.width)
    mean = Scaled(np.abs(np.mean(along.values)) * np.full(1, sums.batch), along.log).log_mean()
    return float(np.logaddexp(square, 2 * mean))
