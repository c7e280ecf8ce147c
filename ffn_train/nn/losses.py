"""Losses: the value, a mean over samples and outputs, and its gradient dLoss/dy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import number
from ffn_train.nn.core import Array


class Loss(ABC):
    """A mean over the N x M entries of y - t."""

    name: ClassVar[str]

    @abstractmethod
    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        """The loss and dLoss/dy (N, M), for outputs y and targets, both (N, M)."""

    def value(self, y: Array, targets: Array) -> float:
        """The loss alone."""
        return self.value_and_gradient(y, targets)[0]


@choice("loss", "mse")
@dataclass(frozen=True, kw_only=True)
class MSE(Loss):
    """mean (y - t)²; its gradient is 2 (y - t)/(N M)."""

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        error = y - targets
        value = float(np.vdot(error, error)) / error.size
        error *= 2 / error.size
        return value, error


@choice("loss", "huber")
@dataclass(frozen=True, kw_only=True)
class Huber(Loss):
    """mean h(y - t), h(e) = e²/2 for |e| <= δ, δ (|e| - δ/2) beyond. Huber 1964.

    The gradient is clip(e, -δ, δ)/(N M): no sample pulls harder than δ.
    """

    delta: float

    def __post_init__(self) -> None:
        number("loss.delta", self.delta, above=0)

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        error = y - targets
        clipped = np.clip(error, -self.delta, self.delta)
        # clipped (e - clipped/2) is e²/2 within δ and δ (|e| - δ/2) beyond
        value = float(np.vdot(clipped, error - clipped / 2)) / error.size
        clipped /= error.size
        return value, clipped
