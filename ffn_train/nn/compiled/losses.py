"""The losses of a batch and their gradients, each in one pass over the outputs; sums in float64."""

from __future__ import annotations

from math import exp, log
from typing import Any

import numpy as np

from ffn_train.nn.compiled.jit import entry
from ffn_train.nn.core import Array
from ffn_train.nn.losses.cross_entropy import CrossEntropy
from ffn_train.nn.losses.huber import Huber
from ffn_train.nn.losses.loss import GradientOf, Loss
from ffn_train.nn.losses.mse import MSE


@entry
def _mse(y, targets, settings, dy, value):
    total = 0.0
    scale = y.dtype.type(2 / y.size)
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            error = y[n, j] - targets[n, j]
            total += np.float64(error) * np.float64(error)
            dy[n, j] = error * scale
    value[0] = total / y.size


@entry
def _huber(y, targets, settings, dy, value):
    real, delta, total = y.dtype.type, settings[0], 0.0
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            error = np.float64(y[n, j] - targets[n, j])
            clipped = min(max(error, -delta), delta)
            total += clipped * (error - clipped / 2)
            dy[n, j] = real(clipped / y.size)
    value[0] = total / y.size


@entry
def _cross_entropy(y, targets, settings, dy, value):
    real, (rows, classes) = y.dtype.type, y.shape
    common, total = settings[0] / classes, 0.0
    for n in range(rows):
        largest, exponentials = y[n, 0], 0.0
        for k in range(1, classes):
            largest = max(largest, y[n, k])
        for k in range(classes):
            exponential = exp(np.float64(y[n, k] - largest))
            exponentials += exponential
            dy[n, k] = exponential
        total += log(exponentials)
        for k in range(classes):
            wanted = targets[n, k] * (1 - settings[0]) + common
            total -= wanted * np.float64(y[n, k] - largest)
            dy[n, k] = real((dy[n, k] / exponentials - wanted) / rows)
    value[0] = total / rows


_KERNELS: dict[type[Loss], Any] = {MSE: _mse, Huber: _huber, CrossEntropy: _cross_entropy}


class CompiledGradientOf:
    """``Loss.value_and_gradient``, compiled: ``kernel(y, targets, settings, dy, value)``."""

    def __init__(self, loss: Loss) -> None:
        self.kernel = _KERNELS[type(loss)]
        self.settings = np.array([*vars(loss).values()], np.float64)

    def __call__(self, y: Array, targets: Array) -> tuple[float, Array]:
        dy, value = np.empty_like(y), np.empty(1)
        self.kernel(y, targets, self.settings, dy, value)
        return float(value[0]), dy


def gradient_of(loss: Loss) -> GradientOf:
    """A loss's value and gradient, compiled where it is one of the package's own."""
    return CompiledGradientOf(loss) if type(loss) in _KERNELS else loss.value_and_gradient
