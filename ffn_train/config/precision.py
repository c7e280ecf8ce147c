"""Checks settings in the run's precision: 1e-50 is above 0, but 0 in float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, check, declared, kinds


def check_precision(section: Any, key: str, dtype: str) -> None:
    """Check the numbers of a dataclass of settings when rounded to ``dtype``.

    Raises SettingError for a number that over- or underflows, or then violates its bounds.
    """
    known = declared(type(section))
    for name, types in kinds(type(section)).items():
        value = getattr(section, name)
        if value is None or float not in types:
            continue
        squared = known[name].squared
        lost = misread(math.sqrt(value) if squared else value, dtype)
        if squared and lost is not None:
            lost = f"has a square root that {lost}"
        elif not squared and lost is None:
            number = float(_rounded(value, dtype))
            try:
                check(f"{key}.{name}", number, known[name], float)
            except SettingError as error:
                lost = f"is {number:g} in {dtype}: {error}"
        if lost is not None:
            wider = "" if dtype == "float64" else ", or dtype=float64"
            raise SettingError(f"{key}.{name}={value!r} {lost}{wider}")


def misread(value: float, dtype: str) -> str | None:
    """How a finite number over- or underflows in ``dtype``, in words; None if it does not."""
    limits, rounded = np.finfo(dtype), _rounded(value, dtype)
    if np.isinf(rounded):
        return f"is infinite in {dtype}: at most {limits.max:.3g}"
    if value != 0 and abs(rounded) < limits.tiny:
        what = "is 0" if rounded == 0 else "loses digits"
        return f"{what} in {dtype}: at least {limits.tiny:.3g}"
    return None


def _rounded(value: float, dtype: str) -> np.floating[Any]:
    with np.errstate(over="ignore", under="ignore"):
        rounded: np.floating[Any] = np.dtype(dtype).type(value)
    return rounded
