"""Multinomial logistic regression, the linear model that a classifier has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.tasks.least_squares import with_ones
from ffn_train.tasks.table import Data

ROWS = 20_000  # training rows that the fit takes at most, evenly spaced: it has few parameters
UPDATES = 30  # Newton steps at most
CLOSE = 1e-5  # the largest entry of the gradient, to which the penalty adds 1 per unit of W


def fit_logistic_regression(data: Data) -> Array:
    """Logits (N, K) for the validation rows by the model fitted to the training rows.

    min over W, b of -Σ_n log softmax(W x_n + b)_{class of n} + |W|²/2, b without a penalty, as
    scikit-learn has it by default for more than two classes. By Newton's method in float64,
    whatever the data's precision: each step solves H s = g by conjugate gradients, with products

        (H v)_n = x_n ∘ (p_n ∘ u_n - p_n (p_n · u_n)),  u_n = v x_n,

    so that no matrix of all parameters is formed, and is halved until the loss falls.
    """
    chosen = np.linspace(0, len(data.x_train) - 1, min(len(data.x_train), ROWS)).astype(int)
    x, t = with_ones(data.x_train[chosen]), data.y_train[chosen].astype(np.float64)
    penalty = np.append(0.0, np.ones(x.shape[1] - 1))[:, None]  # of the ones and the inputs

    def loss(w: Array) -> float:
        return float((penalty * w**2).sum() / 2 - (t * log_softmax(x @ w)).sum())

    w = np.zeros((x.shape[1], t.shape[1]))
    for _ in range(UPDATES):
        p = np.exp(log_softmax(x @ w))
        gradient = x.T @ (p - t) + penalty * w
        if np.abs(gradient).max() < CLOSE:
            break

        def product(v: Array, p: Array = p) -> Array:
            u = p * (x @ v)
            image: Array = x.T @ (u - p * u.sum(axis=1, keepdims=True)) + penalty * v
            return image

        step, before = _solved(product, gradient), loss(w)
        while loss(w - step) > before and np.abs(step).max() > 1e-12:
            step /= 2
        w = w - step
    logits: Array = with_ones(data.x_validation) @ w
    return logits


def _solved(product: Callable[[Array], Array], wanted: Array) -> Array:
    """s with H s = wanted to a hundredth, by conjugate gradients; H positive semi-definite."""
    s, rest = np.zeros_like(wanted), wanted.copy()
    direction, square = rest, np.vdot(rest, rest)
    limit = 1e-4 * square
    for _ in range(200):
        image = product(direction)
        length = square / np.vdot(direction, image)
        s += length * direction
        rest = rest - length * image
        square, last = np.vdot(rest, rest), square
        if square <= limit:
            break
        direction = rest + square / last * direction
    return s


def log_softmax(y: Array) -> Array:
    """log softmax of each row of y (N, K)."""
    shifted = y - y.max(axis=1, keepdims=True)
    logs: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs
