"""The interface of an initialiser, which draws the matrices and biases of every block.

A block's *inner* matrices read the residual stream (fan_in = D, fan_out = H); its *outer* matrix
writes back to it (fan_in = H, fan_out = D). Input projection and read-out are LeCun normal with
zero bias under every choice that draws them: a zero read-out would make every block's gradient zero
at step 0. All other parameters start at ``Layer.initial_value``.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, setting
from ffn_train.nn.core import Array

Role = Literal["inner", "outer"]


@dataclass(frozen=True, kw_only=True)
class Initialiser(Choice, ABC):
    """Draws the weights and biases of the blocks; ``bias_std`` is the biases' standard deviation.

    ``independent``: whether the entries of a matrix are drawn independently.
    """

    bias_std: float = setting("standard deviation of the blocks' biases", 0.0, at_least=0)

    independent: ClassVar[bool] = True

    @abstractmethod
    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        """The variance of each entry of a matrix (fan_out, fan_in); ``depth`` is L."""

    def weight(
        self, rng: np.random.Generator, *, fan_in: int, fan_out: int, role: Role, depth: int
    ) -> Array:
        """A matrix (fan_out, fan_in) in float64."""
        variance = self.variance(fan_in=fan_in, fan_out=fan_out, role=role, depth=depth)
        return rng.standard_normal((fan_out, fan_in)) * math.sqrt(variance)

    def bias(self, rng: np.random.Generator, size: int) -> Array:
        """A bias vector (size,) in float64."""
        return rng.standard_normal(size) * self.bias_std

    def check_results(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> None:
        """Try an initialiser of your own on one matrix.

        Raises SettingError for a variance that is none, or a weight or bias of another shape or
        with an entry that is no finite real number.
        """
        sizes: dict[str, Any] = {"fan_in": fan_in, "fan_out": fan_out, "role": role, "depth": depth}
        rng = np.random.default_rng(0)
        with np.errstate(all="ignore"):
            variance = np.asarray(self.variance(**sizes))
            number = not variance.ndim and variance.dtype.kind in "iuf"
            own = type(self).weight is not Initialiser.weight  # which may have no known variance
            if not number or not (0 <= variance < np.inf or (own and np.isnan(variance))):
                self._refuse("variance", "be a finite number >= 0", variance.tolist(), sizes)
            for method, result, shape in (
                ("weight", self.weight(rng, **sizes), (fan_out, fan_in)),
                ("bias", self.bias(rng, fan_out), (fan_out,)),
            ):
                if np.shape(result) != shape:
                    self._refuse(method, f"have the shape {shape}", np.shape(result), sizes)
                wrong = np.asarray(result)
                if wrong.dtype.kind in "biuf":
                    wrong = wrong[~np.isfinite(wrong)]
                if wrong.size:
                    self._refuse(method, "hold finite real numbers", wrong.flat[0], sizes)

    def _refuse(self, method: str, what: str, got: Any, sizes: dict[str, Any]) -> None:
        given = ", ".join(f"{name}={value}" for name, value in sizes.items())
        raise SettingError(f"init={self.name}: {method} must {what}, got {got} ({given})")
