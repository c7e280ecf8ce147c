"""Checks of a setting's value; the error is one line naming the key, the value and what fits."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class SettingError(ValueError):
    """A setting that cannot be used: one line for the person who wrote it."""


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind if it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


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
    bounds = ((">", above), (">=", at_least), ("<", below), ("<=", at_most))
    given = [(sign, bound) for sign, bound in bounds if bound is not None]
    fits = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e300
    if not fits or not all(_COMPARE[sign](value, bound) for sign, bound in given):
        wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in given)
        kind = "finite number" if value in (math.inf, -math.inf) or value != value else "number"
        raise SettingError(f"{key} must be a {kind} {wanted}".rstrip() + f", got {value!r}")
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


def some_of(key: str, words: Sequence[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """The words, each once: at least one, and only words allowed."""
    allowed = tuple(allowed)
    if not words:
        raise SettingError(f"{key} must name some of {', '.join(allowed)}, got none")
    return tuple(dict.fromkeys(one_of(key, word, allowed) for word in words))


def nearest_key(name: str, keys: Iterable[str]) -> str:
    """``nearest`` among dotted keys, of which the last part alone may have been written."""
    known = list(keys)
    last = {key: key.rpartition(".")[2] for key in known}
    meant = difflib.get_close_matches(name, last.values(), n=1, cutoff=0.75)
    same = [key for key in known if last[key] in meant]
    if len(same) > 1:
        return f"; did you mean {', '.join(same[:-1])} or {same[-1]}?"
    return f"; did you mean {same[0]}?" if same else nearest(name, known)


def nearest(word: Any, words: Iterable[str]) -> str:
    """``"; did you mean X?"`` for the closest of the words, or nothing."""
    close = difflib.get_close_matches(str(word), list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""
