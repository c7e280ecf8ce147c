"""Where the gradient starts once it is measured: dLoss/dx_L of the batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Array, Floats
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.layers.norms import LayerNorm
from ffn_train.nn.stack import Stack
from ffn_train.theory.batch import largest, measured_sum
from ffn_train.theory.recursion import Top
from ffn_train.theory.scaled import Scaled, ratio


@dataclass(frozen=True)
class Anchor:
    """What is measured on the batch: x_0, x_L and dLoss/dx_L, each (N, D)."""

    first: Array
    last: Array
    gradient: Array


def measured_top(
    model: Stack,
    init: Initialiser,
    gradient: Floats,
    last: Floats,
    rows: NDArray[np.intp],
    predicted: Scaled,
) -> Top:
    """P of the measured dLoss/dx_L, and what a post-norm lets through of it, exactly.

    ``predicted``: Q of x_L. Blocks nearly keep g · x, a ReLU's exactly; so it is the measured
    g · x that the coherence c = g · x / (D Q) takes along, whatever size x_L happens to have.
    """
    unit, size = largest(gradient), largest(last)
    gradient, last = gradient / unit, last / size
    whole = measured_sum(gradient, unit, rows)
    if model.final_norm is not None:
        return Top(whole, whole, None)
    square = (last * last).sum(axis=1, keepdims=True)
    along = ratio((gradient * last).sum(axis=1, keepdims=True), square)
    if isinstance(model.block.post, LayerNorm):  # x_L is orthogonal to the ones
        gradient = gradient - gradient.mean(axis=1, keepdims=True)
    projected = measured_sum(gradient - along * last, unit, rows)
    kept = (gradient * last).mean(axis=1)[rows]
    own = predicted.diagonal
    log = float(np.log(unit) + np.log(size)) - own.log
    coherence = Scaled(ratio(kept, own.values), log).normalised()
    if model.block.post is not None:
        return Top(whole, projected, None, along=coherence)
    return Top(whole, projected, coherence, excess=excess(model, init))


def excess(model: Stack, init: Initialiser) -> float:
    """``Top.excess``: 1 for independent entries, 1 - D/H for orthonormal rows and columns.

    Those of W_out keep the mean of W_outᵀ W_out, and a square one has no more than it. With
    P = D/H, W_out W_in of two such matrices has E tr (W Wᵀ)² of 2 - P instead of 2 times
    (E tr W Wᵀ)², by the moments of free projections.
    """
    return 1.0 if init.independent else max(1 - model.width / model.hidden, 0.0)
