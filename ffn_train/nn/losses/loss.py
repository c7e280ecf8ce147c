"""What a loss is: its value, a mean over samples and outputs, and its gradient dLoss/dy."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ffn_train.config.registry import Choice
from ffn_train.nn.core import Array


class Loss(Choice, ABC):
    """A mean over the N x M entries of y - t."""

    @abstractmethod
    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        """The loss and dLoss/dy (N, M), for outputs y and targets, both (N, M)."""

    def value(self, y: Array, targets: Array) -> float:
        """The loss alone."""
        return self.value_and_gradient(y, targets)[0]
