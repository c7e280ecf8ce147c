"""The activations: each one's value act(z) and derivative act'(z), elementwise, any shape.

``value`` and ``derivative`` are the pair that the textbook functions take. The framework's blocks
call ``both``, which shares the work and the storage of z, or ``apply`` where they only predict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.registry import choice
from ffn_train.config.settings import number
from ffn_train.nn.core import Array
from ffn_train.nn.special import erf, normal_density, normal_distribution

Slope = Array | NDArray[np.bool]  # what dz = dh ∘ act' multiplies with: numbers, or a mask
CHUNK = 65_536  # elements; a float32 piece and its scratch fit the second-level cache


class Activation(ABC):
    """act(z), elementwise.

    ``rectifies``: act(z) > 0 where z > 0 and 0 elsewhere, so a unit that is never positive on a
    batch passes nothing on and is called dead. ``kinks``: where act' jumps.
    """

    name: ClassVar[str]
    rectifies: ClassVar[bool] = False
    kinks: ClassVar[tuple[float, ...]] = ()

    @abstractmethod
    def value(self, z: Array) -> Array:
        """act(z)."""

    @abstractmethod
    def derivative(self, z: Array) -> Array:
        """act'(z)."""

    def pair(self, z: Array) -> tuple[Array, Array]:
        """act(z) and act'(z), sharing what work they can."""
        return self.value(z), self.derivative(z)

    def both(self, z: Array) -> tuple[Array, Slope]:
        """``pair`` of a z that nobody needs afterwards: its storage may become the value's.

        Taken piece by piece, so that the many passes over z stay in the cache.
        """
        if z.size <= CHUNK:
            return self.pair(z)
        derivative = np.empty_like(z)
        for piece, its_derivative in zip(_pieces(z), _pieces(derivative), strict=True):
            piece[...], its_derivative[...] = self.pair(piece)
        return z, derivative

    def apply(self, z: Array) -> Array:
        """``value`` of a z that nobody needs afterwards, as ``both`` takes it."""
        if z.size <= CHUNK:
            return self.value(z)
        for piece in _pieces(z):
            piece[...] = self.value(piece)
        return z


def _pieces(array: Array) -> list[Array]:
    return np.array_split(array.reshape(-1), -(-array.size // CHUNK))


@choice("activation", "identity")
@dataclass(frozen=True, kw_only=True)
class Identity(Activation):
    """act(z) = z: the deep linear network of Saxe et al. 2014."""

    def value(self, z: Array) -> Array:
        return z.copy()

    def derivative(self, z: Array) -> Array:
        return np.ones_like(z)


@choice("activation", "relu")
@dataclass(frozen=True, kw_only=True)
class ReLU(Activation):
    """act(z) = max(z, 0); act'(0) = 0. Nair and Hinton 2010; Glorot et al. 2011."""

    rectifies = True
    kinks = (0.0,)

    def value(self, z: Array) -> Array:
        return np.maximum(z, 0)

    def derivative(self, z: Array) -> Array:
        return (z > 0).astype(z.dtype)

    def both(self, z: Array) -> tuple[Array, Slope]:
        value = np.maximum(z, 0, out=z)
        return value, value > 0


@choice("activation", "leaky_relu")
@dataclass(frozen=True, kw_only=True)
class LeakyReLU(Activation):
    """act(z) = z for z > 0 and slope·z below; act'(0) = slope. Maas et al. 2013."""

    slope: float

    rectifies = True
    kinks = (0.0,)

    def __post_init__(self) -> None:
        number("activation.slope", self.slope, at_least=0, below=1)

    def value(self, z: Array) -> Array:
        return np.maximum(z, z * z.dtype.type(self.slope))

    def derivative(self, z: Array) -> Array:
        slope = (z > 0) * z.dtype.type(1 - self.slope)
        slope += z.dtype.type(self.slope)
        return slope


@choice("activation", "gelu")
@dataclass(frozen=True, kw_only=True)
class GELU(Activation):
    """act(z) = z Φ(z), act'(z) = Φ(z) + z φ(z), exact. Hendrycks and Gimpel 2016."""

    rectifies = True

    def value(self, z: Array) -> Array:
        return z * normal_distribution(z, normal_density(z))

    def derivative(self, z: Array) -> Array:
        density = normal_density(z)
        return normal_distribution(z, density) + z * density

    def pair(self, z: Array) -> tuple[Array, Array]:
        density = normal_density(z)
        distribution = normal_distribution(z, density)
        value = z * distribution
        density *= z
        density += distribution
        return value, density


@choice("activation", "gelu_tanh")
@dataclass(frozen=True, kw_only=True)
class GELUTanh(Activation):
    """act(z) = z (1 + tanh u)/2 with u = sqrt(2/π) (z + 0.044715 z³): GPT-2's form of GELU.

    act'(z) = (1 + tanh u)/2 + z (1 - tanh² u) u'/2. Hendrycks and Gimpel 2016.
    """

    rectifies = True

    def value(self, z: Array) -> Array:
        return self.pair(z)[0]

    def derivative(self, z: Array) -> Array:
        return self.pair(z)[1]

    def pair(self, z: Array) -> tuple[Array, Array]:
        scale, cubic = z.dtype.type(np.sqrt(2 / np.pi)), z.dtype.type(0.044715)
        slope = z * z
        if np.max(slope, initial=0) > 1e4:  # tanh u is 1 or -1; to look costs less than to cut
            np.minimum(slope, z.dtype.type(1e4), out=slope)
        u = slope * (scale * cubic)
        u += scale
        u *= z
        gate = np.tanh(u, out=u)
        gate *= 0.5
        gate += 0.5  # g = (1 + tanh u)/2, so act' = g + g (1 - g) 2 z u'
        slope *= 6 * scale * cubic  # 2 u' = 2 scale + 6 scale cubic z²
        slope += 2 * scale
        both = 1 - gate
        slope *= np.multiply(both, gate, out=both)  # 0 where z is large, so before z
        slope *= z
        slope += gate
        gate *= z
        return gate, slope


@choice("activation", "silu")
@dataclass(frozen=True, kw_only=True)
class SiLU(Activation):
    """act(z) = z σ(z), act'(z) = σ(z) (1 + z (1 - σ(z))), σ the logistic sigmoid.

    Elfwing et al. 2018; "swish" in Ramachandran et al. 2017.
    """

    rectifies = True

    def value(self, z: Array) -> Array:
        return self.pair(z)[0]

    def derivative(self, z: Array) -> Array:
        return self.pair(z)[1]

    def pair(self, z: Array) -> tuple[Array, Array]:
        # σ from exp(-|z|), which never overflows and keeps the lower tail's digits
        decay = np.abs(z)
        np.negative(decay, out=decay)
        np.exp(decay, out=decay)
        sigmoid = np.where(z < 0, decay, 1)
        decay += 1
        sigmoid /= decay
        value = z * sigmoid
        slope = 1 - sigmoid
        slope *= z
        slope += 1
        slope *= sigmoid
        return value, slope


@choice("activation", "tanh")
@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """act(z) = tanh z, act'(z) = 1 - tanh² z."""

    def value(self, z: Array) -> Array:
        return np.tanh(z)

    def derivative(self, z: Array) -> Array:
        return self.pair(z)[1]

    def pair(self, z: Array) -> tuple[Array, Array]:
        value = np.tanh(z)
        slope = value * value
        np.subtract(1, slope, out=slope)
        return value, slope


@choice("activation", "erf")
@dataclass(frozen=True, kw_only=True)
class Erf(Activation):
    """act(z) = erf z, act'(z) = 2/sqrt(π) exp(-z²): a sigmoid with a closed-form kernel.

    Williams 1997.
    """

    def value(self, z: Array) -> Array:
        return erf(z)

    def derivative(self, z: Array) -> Array:
        slope = np.exp(z * -z)
        slope *= z.dtype.type(2 / np.sqrt(np.pi))
        return slope
