"""The identity: a linear network."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.core import Array


@choice("activation", "identity")
class Identity(Activation):
    """act(z) = z: the deep linear network of Saxe et al. 2014."""

    def value(self, z: Array) -> Array:
        return z.copy()

    def derivative(self, z: Array) -> Array:
        return np.ones_like(z)
