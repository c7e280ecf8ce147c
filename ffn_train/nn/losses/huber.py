"""Huber's loss: quadratic near zero, linear beyond."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.core import Array
from ffn_train.nn.losses.loss import Loss


@choice("loss", "huber")
class Huber(Loss):
    """mean h(y - t), h(e) = e²/2 for |e| <= δ, δ (|e| - δ/2) beyond. Huber 1964.

    The gradient is clip(e, -δ, δ)/(N M): a larger error has no more influence than δ.
    """

    unit = "of errors in standard deviations"

    delta: float = setting("δ, where it becomes linear", 1.0, above=0)

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        error = y - targets
        clipped = np.clip(error, -self.delta, self.delta)
        # clipped (e - clipped/2) is e²/2 within δ and δ (|e| - δ/2) beyond
        value = float(np.vdot(clipped, error - clipped / 2)) / error.size
        clipped /= error.size
        return value, clipped
