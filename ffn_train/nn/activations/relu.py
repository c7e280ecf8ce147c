"""The rectified linear unit, and the leaky one."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.core import Array


@choice("activation", "relu")
class ReLU(Activation):
    """act(z) = max(z, 0); act'(0) = 0. Nair and Hinton 2010; Glorot et al. 2011."""

    rectifies = True
    kinks = (0.0,)

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0)

    def derivative(self, z: Array) -> Array:
        return (z > 0).astype(z.dtype)

    def pair_in_place(self, z: Array) -> tuple[Array, Slope]:
        value = np.maximum(z, 0, out=z)
        return value, value > 0


@choice("activation", "leaky_relu")
class LeakyReLU(Activation):
    """act(z) = z for z > 0 and slope·z below; act'(0) = slope. Maas et al. 2013."""

    slope: float = setting("slope below 0", 0.01, at_least=0, below=1)

    rectifies = True
    kinks = (0.0,)

    def value(self, z: Array) -> Array:
        return np.maximum(z, z * z.dtype.type(self.slope))

    def derivative(self, z: Array) -> Array:
        slope = (z > 0).astype(z.dtype)
        slope *= z.dtype.type(1 - self.slope)
        slope += z.dtype.type(self.slope)
        return slope
