"""theory.json: the theory's predictions for the first batch, compared with the measured norms.

``anchored`` and ``a priori`` each have the arrays of ``Prediction``, natural logarithms with null
where nothing is derived and "-inf" for zero, and ``sampled``, [n, N] if n of the batch's N rows
were used; or a ``reason`` why there is no prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.runs.layout import TensorColumn
from ffn_train.theory import Prediction

COMPARED = ("signal_gradient_rms", "gradient_norm")  # the quantities that are, at step 0
MODES = ("anchored", "a priori")  # the first available one is shown


@dataclass(frozen=True)
class Theory:
    """The predictions by mode, as in ``MODES``, and the reason for each mode that has none."""

    predictions: Mapping[str, Prediction]
    reasons: Mapping[str, str]

    @property
    def chosen(self) -> tuple[str, Prediction] | None:
        """The mode to show and its prediction, anchored if there is one."""
        return next(iter(self.predictions.items()), None)

    @property
    def rows(self) -> str:
        """The part of the batch that the shown prediction is from; "" for all."""
        return self.chosen[1].rows if self.chosen is not None else ""

    @property
    def reason(self) -> str:
        """Why there is no prediction at all."""
        return self.reasons.get(MODES[0], "")


LIMIT_Z, LIMIT_ERROR = 4.0, 0.2  # z is the largest of about a hundred
WIDE = 2.0  # a factor that says little where the scatter between seeds is as large
_SMALLEST_SD = 0.01  # the accuracy of a theory of wide layers


@dataclass(frozen=True)
class Ratio:
    """measured/predicted of one norm, ``dL/dx_3`` or a tensor's; ``sd``: of its log over seeds.

    ``z``: (log ratio + sd²)/sd, the distance in standard deviations of the measured log norm from
    its median over seeds, log(predicted) - sd². ``within``: the largest factor between measured and
    predicted norms. None in a summary of an old version.
    """

    ratio: float
    where: str
    mode: str
    sd: float
    z: float | None = None
    within: float | None = None

    @property
    def sentence(self) -> str:
        """The comparison in words, to follow the word "theory"."""
        far = abs(self.z or 0.0)
        sd = f"{far:.1f} sd" if far < 1e3 else "more than 1000 sd"
        scatter, times = "the scatter between seeds", f"{self.ratio:.2g} times the prediction"
        if not self.holds:
            return f"does not hold here: {self.where} is {times}, {sd} of {scatter}"
        factor = self.within or max(self.ratio, 1 / self.ratio)
        size = f"a factor of {factor:.2g}"
        if factor > WIDE:  # which is often not that of the furthest in sd
            worst = f"worst: {self.where}, {times}, {sd}"
            return f"agrees within {scatter}, here up to {size}, at step 0 ({worst})"
        if factor <= 1 + LIMIT_ERROR:
            size = f"{max(100 * (factor - 1), 1):.0f} %"
        return f"agrees within {size} at step 0 (worst: {self.where}, {sd} of {scatter})"

    @property
    def holds(self) -> bool:
        """Whether theory holds: within 4 sd of the scatter between seeds, or within 20 %."""
        return self.z is None or not beyond(self.z, self.ratio)


def beyond(z: Any, ratio: Any) -> Any:
    """Where theory does not hold: more than 4 sd away and more than 20 % off."""
    return (abs(z) > LIMIT_Z) & (abs(ratio - 1) > LIMIT_ERROR)


def parse(content: Mapping[str, Any], tensors: int, depth: int) -> Theory:
    """The theory from the content of theory.json. Raises ValueError if it is damaged."""
    predictions, reasons = {}, {}
    for mode in MODES:
        entry = content.get(mode)
        if not isinstance(entry, Mapping):
            raise ValueError(f"it has no {mode!r}")
        if "reason" in entry:
            reasons[mode] = str(entry["reason"])
            continue
        arrays = {}
        for field in fields(Prediction):
            if field.name == "sampled":
                continue
            try:
                values = np.array(entry[field.name], dtype=np.float64)  # None becomes NaN
            except (KeyError, TypeError):
                raise ValueError(f"{mode} has no {field.name}") from None
            length = tensors if "gradient_norm" in field.name or field.name == "gradient_sd" else 0
            if values.shape != (length or depth + 1,):
                raise ValueError(f"{mode}.{field.name} has the wrong length")
            arrays[field.name] = values
        predictions[mode] = Prediction(**arrays, sampled=_sampled(entry.get("sampled"), mode))
    return Theory(predictions, reasons)


def _sampled(value: Any, mode: str) -> tuple[int, int] | None:
    """The numbers of rows, [n, N]; None in runs of old versions. Raises ValueError."""
    if value is None:
        return None
    if not (isinstance(value, list) and len(value) == 2 and all(type(n) is int for n in value)):
        raise ValueError(f"{mode}.sampled is not two numbers of rows")
    return value[0], value[1]


def band(log: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """The norms one standard deviation of a single seed below and above the median."""
    low, high = log_band(log, sd)
    with np.errstate(all="ignore"):
        return np.exp(low), np.exp(high)


def log_band(log: Floats, sd: Floats) -> tuple[Floats, Floats]:
    """The log norms one standard deviation of a single seed below and above the median.

    A log-normal norm whose root mean square is exp(log) has its median at exp(log - sd²).
    """
    return log - sd**2 - sd, log - sd**2 + sd


def worst(
    theory: Theory | None,
    tensors: Sequence[TensorColumn],
    signal_gradient: Floats,
    gradient: Floats,
    smallest: float,
) -> Ratio | None:
    """The measured/predicted with the largest |z| among dLoss/dx_l and the blocks' gradients.

    Those where theory does not hold have precedence. ``signal_gradient`` (L+1,) and ``gradient``
    (T,) are measured at step 0. Excluded are learnable multipliers, whose gradient is one number
    and not a norm of many, and norms predicted and measured below ``smallest``, the smallest number
    of full precision.
    """
    chosen = theory.chosen if theory is not None else None
    if chosen is None:
        return None
    mode, prediction = chosen
    boundaries = [f"dL/dx_{index}" for index in range(len(signal_gradient))]
    compared = [t.block is not None and math.prod(t.shape) > 1 for t in tensors]

    def both(of_signals: Any, of_tensors: Any) -> NDArray[Any]:
        return np.concatenate([of_signals, np.array(of_tensors)[compared]])

    names = both(boundaries, [tensor.name for tensor in tensors])
    measured = both(signal_gradient, gradient)
    log = both(prediction.log_signal_gradient_rms, prediction.log_gradient_norm)
    sd = both(prediction.signal_gradient_sd, prediction.gradient_sd)
    with np.errstate(all="ignore"):
        distance = np.log(measured) - log
        lost = (measured < smallest) & (log < np.log(smallest))
        # not comparable: zero as predicted, none derived, or underflow
        comparable = np.isfinite(measured) & ~np.isnan(distance + sd) & ~lost
        if not comparable.any():
            return None
        z, ratios = (distance + sd**2) / np.maximum(sd, _SMALLEST_SD), np.exp(distance)
        size = np.where(comparable, abs(z) + beyond(z, ratios) * np.finfo(np.float64).max / 2, -1)
        within = float(np.exp(np.max(np.abs(distance[comparable]))))
    furthest = int(np.argmax(size))
    numbers = float(ratios[furthest]), str(names[furthest]), mode, float(sd[furthest])
    return Ratio(*numbers, float(z[furthest]), within)
