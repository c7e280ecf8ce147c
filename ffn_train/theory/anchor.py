"""The start of the backward recursion from the measured dLoss/dx_L of a batch."""

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
    """The measured x_0, x_L and dLoss/dx_L of a batch, each (N, D)."""

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
    """P of the measured dLoss/dx_L, and exactly the part of it that a post-norm lets through.

    ``predicted``: Q of x_L. Blocks nearly conserve g · x (with ReLU exactly), so the coherence
    c = g · x / (D Q) uses the measured g · x, whatever size x_L happens to have.
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
    products = (gradient * last).mean(axis=1)[rows]
    squares = predicted.diagonal
    log = float(np.log(unit) + np.log(size)) - squares.log
    coherence = Scaled(ratio(products, squares.values), log).normalised()
    if model.block.post is not None:
        return Top(whole, projected, None, along=coherence)
    return Top(whole, projected, coherence, excess=excess(model, init))


def excess(model: Stack, init: Initialiser) -> float:
    """``Top.excess``: 1 for independent entries, 1 - D/H for orthonormal rows and columns.

    An orthonormal W_out has the same mean of W_outᵀ W_out, and a square one equals that mean. With
    P = D/H, W = W_out W_in of two such matrices has E tr (W Wᵀ)² = (2 - P) (E tr W Wᵀ)², with a
    factor of 2 for independent entries, by the moments of free projections.
    """
    return 1.0 if init.independent else max(1 - model.width / model.hidden, 0.0)
