"""The error function."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.core import Array
from ffn_train.nn.special import erf


@choice("activation", "erf")
class Erf(Activation):
    """act(z) = erf z, act'(z) = 2/sqrt(π) exp(-z²): a sigmoid with a closed-form kernel.

    Williams 1997.
    """

    def value(self, z: Array) -> Array:
        return erf(z)

    def derivative(self, z: Array) -> Array:
        slope = z * -z
        np.exp(slope, out=slope)
        slope *= z.dtype.type(2 / np.sqrt(np.pi))
        return slope
