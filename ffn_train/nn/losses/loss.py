"""The interface of a loss: its value, a mean over samples and outputs, and dLoss/dy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, check_kinds, check_words, shortened
from ffn_train.nn.core import Array
from ffn_train.nn.trial import agree, array, number, tried

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
        check_words(cls, "kinds", "regression")

    @abstractmethod
    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        """The loss and dLoss/dy (N, M), a new array of y's dtype.

        Neither the outputs y (N, M) nor the targets (N, M) may be modified.
        """

    def value(self, y: Array, targets: Array) -> float:
        """The loss alone."""
        return self.value_and_gradient(y, targets)[0]

    def check_results(self, targets: Array) -> None:
        """Try a loss of your own on a few targets (N, M).

        Raises SettingError if it changes what it is given, returns something else than a number
        and a gradient of the outputs' shape and dtype, if its methods disagree, or for words that
        are none.
        """
        check_kinds(self, {"trivial": str, "unit": str}, f"loss={self.name}: ")
        y = np.linspace(-1, 1, targets.size, dtype=targets.dtype).reshape(targets.shape)
        given, who = {"the outputs": y, "the targets": targets}, f"loss={self.name}: value"
        both: Any = tried(f"{who}_and_gradient", self.value_and_gradient, given)
        if not (isinstance(both, tuple) and len(both) == 2):
            what = f"the loss and its gradient, got {shortened(repr(both))}"
            raise SettingError(f"{who}_and_gradient must return {what}")
        what = "a gradient of the outputs' shape and dtype"
        array(f"{who}_and_gradient", both[1], what, y.shape, y.dtype)
        values = number(f"{who}_and_gradient", both[0]), number(who, tried(who, self.value, given))
        agree(f"{who} and value_and_gradient", *values, y.dtype)

    def trivial_outputs(self, targets: Array) -> Array:
        """The best outputs (N, M) that are the same for all samples: for most losses the mean.

        For a cross-entropy of logits they are the logarithms of the class frequencies.
        """
        return np.broadcast_to(targets.mean(axis=0), targets.shape)
