"""The interface of a loss: its value, a mean over samples and outputs, and dLoss/dy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, shortened
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

    def check_results(self, targets: Array) -> None:
        """Try a loss of your own on a few targets (N, M).

        Raises SettingError if it changes what it is given, or returns something else than a number
        and a gradient of the outputs' shape and dtype.
        """
        if self.ours:
            return
        y = np.linspace(-1, 1, targets.size, dtype=targets.dtype).reshape(targets.shape)
        for method in ("value_and_gradient", "value"):
            given = {"the outputs": y.copy(), "the targets": targets.copy()}
            with np.errstate(all="ignore"):
                result = getattr(self, method)(*given.values())
            if fault := _fault(result, y) if method == "value_and_gradient" else _no_number(result):
                raise SettingError(f"loss={self.name}: {method} must return {fault}")
            for (what, now), before in zip(given.items(), (y, targets), strict=True):
                if not np.array_equal(now, before):
                    raise SettingError(f"loss={self.name}: {method} must not change {what}")

    def trivial_outputs(self, targets: Array) -> Array:
        """The best outputs (N, M) that are the same for all samples: for most losses the mean.

        For a cross-entropy of logits they are the logarithms of the class frequencies.
        """
        return np.broadcast_to(targets.mean(axis=0), targets.shape)


def _fault(result: Any, y: Array) -> str:
    """What ``value_and_gradient`` must return instead of this; "" if it is right."""
    if not (isinstance(result, tuple) and len(result) == 2):
        return f"the loss and its gradient, got {shortened(repr(result))}"
    value, gradient = result
    kind = getattr(gradient, "shape", None), getattr(gradient, "dtype", None)
    if not isinstance(gradient, np.ndarray) or kind != (y.shape, y.dtype):
        got = f"{type(gradient).__name__} {kind[0]} {kind[1]}".replace(" None", "")
        return f"a gradient of the outputs' shape and dtype, {y.shape} {y.dtype}, got {got}"
    return _no_number(value)


def _no_number(value: Any) -> str:
    """What a loss must be instead of this; "" if it is a number."""
    number = np.asarray(value)
    real = not number.ndim and number.dtype.kind in "iuf"
    return "" if real else f"a number as the loss, got {shortened(repr(value))}"
