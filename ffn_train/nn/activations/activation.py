"""The interface of an activation: its value act(z) and its derivative act'(z)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array

Slope = Array | NDArray[np.bool]  # what dz = dh ∘ act' multiplies with: numbers, or a mask
CHUNK = 65_536  # elements; a float32 piece and its scratch fit the second-level cache
RESULTS = {
    "value": ("value",),
    "derivative": ("derivative",),
    "pair": ("value", "derivative"),
    "pair_in_place": ("value", "derivative"),
    "value_in_place": ("value",),
}  # what each method returns


class Activation(Choice, ABC):
    """act(z), elementwise, of an array of any shape; results have z's shape and dtype.

    ``value`` and ``derivative`` are the pair that the textbook functions take. They do not change
    z, and a derivative of zeros and ones may be a mask. Blocks call ``pair_in_place``, or
    ``value_in_place`` if no backward pass follows; both may overwrite z.
    ``rectifies``: act(z) > 0 exactly where z > 0, so a unit that is positive for no sample of a
    batch passes almost nothing on and is called dead. ``kinks``: the z at which act' jumps. For
    ``engine=compiled`` a class of your own may have a static method ``compiled_pair(z, ...)``,
    which Numba compiles: it takes one number z and the settings named by its other parameters, all
    of one dtype, and returns act(z) and act'(z).
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
        """act(z) and act'(z), sharing the work that they have in common."""
        return self.value(z), self.derivative(z)

    def pair_in_place(self, z: Array) -> tuple[Array, Slope]:
        """``pair``, perhaps with the value in z's storage: z must not be read afterwards.

        Computed piece by piece, so that the passes over a piece stay in the cache.
        """
        if z.size <= CHUNK:
            return self.pair(z)
        derivative = np.empty_like(z)
        for values, derivatives in zip(_pieces(z), _pieces(derivative), strict=True):
            values[...], derivatives[...] = self.pair(values)
        return z, derivative

    def value_in_place(self, z: Array) -> Array:
        """``value``, bit for bit as ``pair_in_place`` computes it; may overwrite z."""
        if z.size <= CHUNK:
            return self.value(z)
        for piece in _pieces(z):
            piece[...] = self.value(piece)
        return z

    def check_results(self, dtype: str) -> None:
        """Raises SettingError for an activation of your own that changes z, or its shape or dtype,
        is NaN for all z, or whose methods disagree.

        float64 from float32 is not seen by gradcheck, which computes in float64.
        """
        z = np.linspace(-3.1, 2.9, 6).reshape(2, 3).astype(dtype)
        near, right = float(np.finfo(dtype).eps) ** 0.5, dict[str, Array]()
        for method, whats in RESULTS.items():
            given, who = z.copy(), f"activation={self.name}: {method}"
            with np.errstate(all="ignore"):
                results = getattr(self, method)(given)
            arrays = [np.asarray(a) for a in (results if len(whats) > 1 else [results])]
            if len(arrays) != len(whats):
                raise SettingError(f"{who} must return {' and '.join(whats)}")
            for what, result in zip(whats, arrays, strict=True):
                kinds = (z.dtype,) if what == "value" else (z.dtype, np.dtype(bool))
                if result.shape != z.shape or result.dtype not in kinds:
                    want, got = (f"{a.shape} {a.dtype}" for a in (z, result))
                    raise SettingError(f"{who} must keep shape and dtype, {want}, got {got}")
                if np.isnan(result).all():
                    raise SettingError(f"{who} is NaN for every z tried, -3.1 to 2.9")
                apart = ~np.isclose(result, right.setdefault(what, result), near, near, True)
                if apart.any():
                    where = f"and differ at z={z[apart][0]:g}"
                    raise SettingError(f"{who} and {what} must agree, {where}")
            if method in right and not np.array_equal(given, z):
                raise SettingError(f"{who} must not change its argument")


class PairedActivation(Activation):
    """An activation whose value and derivative have so much in common that ``pair`` computes both;
    a subclass may give a shorter way to one of them.
    """

    def value(self, z: Array) -> Array:
        return self.pair(z)[0]

    def derivative(self, z: Array) -> Array:
        return self.pair(z)[1]

    @abstractmethod
    def pair(self, z: Array) -> tuple[Array, Array]:
        """act(z) and act'(z)."""


def _pieces(array: Array) -> list[Array]:
    return np.array_split(array.reshape(-1), -(-array.size // CHUNK))
