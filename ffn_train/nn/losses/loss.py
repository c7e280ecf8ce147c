"""The interface of a loss: its value, a mean over samples and outputs, and dLoss/dy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.nn.core import Array

# of outputs and targets: the loss and its gradient, as ``Loss.value_and_gradient``
GradientOf = Callable[[Array, Array], tuple[float, Array]]


class Loss(Choice, ABC):
    """A mean over the N samples, or over the N x M entries of y - t.

    ``kinds``: the kinds of task that it is for (``Task.kind``). ``trivial``: in words, what a model
    does that has learned nothing from the inputs. ``unit``: of the loss, in words; "" for none. Of
    targets in units of their standard deviation "of the target" follows it.
    """

    kinds: ClassVar[tuple[str, ...]] = ("regression",)
    trivial: ClassVar[str] = "predicting the mean"
    unit: ClassVar[str] = ""

    @classmethod
    def check_class(cls) -> None:
        if not isinstance(cls.kinds, tuple):
            raise ValueError(f"kinds must be a tuple such as ('regression',), got {cls.kinds!r}")

    @abstractmethod
    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        """The loss and dLoss/dy (N, M), a new array of y's dtype.

        Neither the outputs y (N, M) nor the targets (N, M) may be modified.
        """

    def value(self, y: Array, targets: Array) -> float:
        """The loss alone."""
        return self.value_and_gradient(y, targets)[0]

    def trivial_outputs(self, targets: Array) -> Array:
        """The best outputs (N, M) that are the same for all samples: for most losses the mean.

        For a cross-entropy of logits they are the logarithms of the class frequencies.
        """
        return np.broadcast_to(targets.mean(axis=0), targets.shape)
