"""What an activation is: its value act(z) and its derivative act'(z)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.registry import Choice
from ffn_train.nn.core import Array

Slope = Array | NDArray[np.bool]  # what dz = dh ∘ act' multiplies with: numbers, or a mask
CHUNK = 65_536  # elements; a float32 piece and its scratch fit the second-level cache


class Activation(Choice, ABC):
    """act(z), elementwise, of an array of any shape.

    ``value`` and ``derivative`` are the pair that the textbook functions take. Blocks call
    ``pair_in_place``, or ``value_in_place`` where no backward pass follows; both overwrite z.
    ``rectifies``: act(z) > 0 where z > 0 and nowhere else, so a unit that is positive for no sample
    of a batch hardly passes anything on and is called dead. ``kinks``: where act' jumps. For
    ``engine=compiled`` a class from outside may have a static method ``compiled_pair(z, ...)``,
    which Numba compiles: from one number z and the settings that it names, all of one dtype, to
    act(z) and act'(z).
    """

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

    def pair_in_place(self, z: Array) -> tuple[Array, Slope]:
        """``pair``, with the value in z's storage where that helps: z must not be read afterwards.

        Computed piece by piece, so that the many passes over z stay in the cache.
        """
        if z.size <= CHUNK:
            return self.pair(z)
        derivative = np.empty_like(z)
        for piece, its_derivative in zip(_pieces(z), _pieces(derivative), strict=True):
            piece[...], its_derivative[...] = self.pair(piece)
        return z, derivative

    def value_in_place(self, z: Array) -> Array:
        """``value``, computed as ``pair_in_place`` computes it, to the byte."""
        if z.size <= CHUNK:
            return self.value(z)
        for piece in _pieces(z):
            piece[...] = self.value(piece)
        return z


def _pieces(array: Array) -> list[Array]:
    return np.array_split(array.reshape(-1), -(-array.size // CHUNK))
