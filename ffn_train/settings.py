"""Checks of a setting's value; the error is one line that names the key, the value and what fits."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any


class SettingError(ValueError):
    """A setting that cannot be used: one line for the person who wrote it."""


def integer(key: str, value: Any, *, at_least: int) -> int:
    """The value as an int of at least ``at_least``; 3.0 and True are not integers."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise SettingError(f"{key} must be an integer >= {at_least}, got {value!r}")
    return value


def number(
    key: str,
    value: Any,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
) -> float:
    """The value as a finite float within the bounds given."""
    bounds = [
        ("> {:g}", above, lambda v, b: v > b),
        (">= {:g}", at_least, lambda v, b: v >= b),
        ("< {:g}", below, lambda v, b: v < b),
        ("<= {:g}", at_most, lambda v, b: v <= b),
    ]
    wanted = " and ".join(text.format(bound) for text, bound, _ in bounds if bound is not None)
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    fits = fits and abs(value) <= 1e300 and math.isfinite(value)
    fits = fits and all(holds(value, bound) for _, bound, holds in bounds if bound is not None)
    if not fits:
        wanted = f"a number {wanted}".rstrip()
        raise SettingError(f"{key} must be {wanted}, got {value!r}")
    return float(value)


def boolean(key: str, value: Any) -> bool:
    """The value, which must be true or false."""
    if not isinstance(value, bool):
        raise SettingError(f"{key} must be true or false, got {value!r}")
    return value


def one_of(key: str, value: Any, allowed: Iterable[str]) -> str:
    """The value, which must be one of the words allowed."""
    words = list(allowed)
    if not isinstance(value, str) or value not in words:
        hint = nearest(value, words)
        raise SettingError(f"{key} must be one of {', '.join(words)}, got {value!r}{hint}")
    return value


def nearest(word: Any, words: Iterable[str]) -> str:
    """``"; did you mean X?"`` for the closest of the words, or nothing."""
    close = difflib.get_close_matches(str(word), list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""
