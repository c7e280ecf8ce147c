"""Conditions on settings: ``depth>=16``, ``residual!=none``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.compare.values import UNSET, Flat, Value, is_number, order, resolve, short, text
from ffn_train.config.settings import SettingError, nearest

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_OPTION = "--where"
_LISTED = 8  # values that a message names


@dataclass(frozen=True)
class Condition:
    """``key`` ``sign`` ``wanted``; order is told of numbers only."""

    key: str
    sign: str
    wanted: str

    def holds(self, run: Flat) -> bool:
        """Whether a run meets it; one without the setting meets ``!=`` alone."""
        value = run.get(self.key, UNSET)
        number = _number(self.wanted)
        if is_number(value) and number is not None:
            return _OPERATORS[self.sign](value, number)
        return self.sign in ("=", "!=") and _OPERATORS[self.sign](text(value), self.wanted)


def conditions(words: Sequence[str], runs: Sequence[Flat]) -> list[Condition]:
    """Read conditions on the settings of these runs. Raises SettingError."""
    keys = {key for run in runs for key in run}
    return [_condition(word, keys, runs) for word in words]


def _condition(word: str, keys: set[str], runs: Sequence[Flat]) -> Condition:
    match = re.fullmatch(r"\s*([^=!<>\s]+)\s*(!=|>=|<=|==|=|>|<)\s*([^=!<>\s].*?)\s*", word)
    if match is None:
        signs = " ".join(_OPERATORS)
        raise SettingError(f"{_OPTION} must be KEY SIGN VALUE with a sign of {signs}, got {word!r}")
    key, sign, wanted = match.groups()
    found = Condition(_known(key, keys, runs), "=" if sign == "==" else sign, wanted)
    if found.sign not in ("=", "!="):
        values: set[Value] = {run[found.key] for run in runs if found.key in run}
        if not any(is_number(value) for value in values):
            raise SettingError(f"{_OPTION} {word}: {sign} compares numbers; words go with = and !=")
        if _number(wanted) is None:
            one = (
                f"; each condition has a {_OPTION} of its own"
                if re.search(r"\d.*\D", wanted)
                else ""
            )
            raise SettingError(f"{_OPTION} {word}: {sign} needs a number, got {wanted!r}{one}")
    elif found.sign == "=" and not any(found.holds(run) for run in runs):
        raise SettingError(
            f"{_OPTION} {word}: no run has it; {_known_values(found.key, wanted, runs)}"
        )
    return found


def _known_values(key: str, wanted: str, runs: Sequence[Flat]) -> str:
    values = sorted({run[key] for run in runs if key in run}, key=order)
    words = [text(value) for value in values]
    listed = ", ".join([*words[:_LISTED], *(["..."] if len(words) > _LISTED else [])])
    return f"{short(key)} is {listed}{nearest(wanted, words)}"


def _known(key: str, keys: set[str], runs: Sequence[Flat]) -> str:
    """The key that is meant; the message for none of them names those that differ."""
    ending = [one for one in keys if one == key or one.endswith(f".{key}")]
    if ending:
        return resolve(_OPTION, key, ending)
    varied = [one for one in keys if len({run.get(one, UNSET) for run in runs}) > 1]
    return resolve(_OPTION, key, varied or keys)


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return None if math.isnan(number) else number
