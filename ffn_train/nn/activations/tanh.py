"""The hyperbolic tangent."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import PairedActivation
from ffn_train.nn.core import Array


@choice("activation", "tanh")
class Tanh(PairedActivation):
    """act(z) = tanh z, act'(z) = 1 - tanh² z."""

    def value(self, z: Array) -> Array:
        return np.tanh(z)

    def pair(self, z: Array) -> tuple[Array, Array]:
        value = np.tanh(z)
        slope = value * value
        np.subtract(1, slope, out=slope)
        return value, slope
