"""GELU, exact and in the form with tanh."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import PairedActivation
from ffn_train.nn.core import Array
from ffn_train.nn.special import normal_density, normal_distribution

SATURATED = 1e4  # z² beyond which tanh u is 1 or -1 in gelu_tanh


@choice("activation", "gelu")
class GELU(PairedActivation):
    """act(z) = z Φ(z), act'(z) = Φ(z) + z φ(z), exact. Hendrycks and Gimpel 2016."""

    rectifies = True

    def value(self, z: Array) -> Array:
        return z * normal_distribution(z, normal_density(z))

    def pair(self, z: Array) -> tuple[Array, Array]:
        density = normal_density(z)
        distribution = normal_distribution(z, density)
        value = z * distribution
        density *= z
        density += distribution
        return value, density


@choice("activation", "gelu_tanh")
class GELUTanh(PairedActivation):
    """act(z) = z (1 + tanh u)/2 with u = sqrt(2/π) (z + 0.044715 z³): GPT-2's form of GELU.

    act'(z) = (1 + tanh u)/2 + z (1 - tanh² u) u'/2. Hendrycks and Gimpel 2016.
    """

    rectifies = True

    def pair(self, z: Array) -> tuple[Array, Array]:
        scale, cubic = z.dtype.type(np.sqrt(2 / np.pi)), z.dtype.type(0.044715)
        slope = z * z
        if np.max(slope, initial=0) > SATURATED:  # rare: the test is cheaper than clipping always
            np.minimum(slope, z.dtype.type(SATURATED), out=slope)
        u = slope * (scale * cubic)
        u += scale
        u *= z
        gate = np.tanh(u, out=u)
        gate *= 0.5
        gate += 0.5  # g = (1 + tanh u)/2, so act' = g + g (1 - g) 2 z u'
        slope *= 6 * scale * cubic  # 2 u' = 2 scale + 6 scale cubic z²
        slope += 2 * scale
        gate_slope = 1 - gate
        gate_slope *= gate
        slope *= gate_slope  # before z: where z is large, this is 0 and not infinity times 0
        slope *= z
        slope += gate
        gate *= z
        return gate, slope
