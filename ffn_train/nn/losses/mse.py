"""The mean squared error."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array
from ffn_train.nn.losses.loss import Loss


@choice("loss", "mse")
class MSE(Loss):
    """mean (y - t)²; its gradient is 2 (y - t)/(N M)."""

    unit = "in squared standard deviations"

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        error = y - targets
        value = float(np.vdot(error, error)) / error.size
        error *= 2 / error.size
        return value, error
