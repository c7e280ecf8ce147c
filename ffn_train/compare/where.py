"""Conditions on settings: ``depth>=16``, ``residual!=none``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.compare.values import UNSET, Flat, Value, is_number, resolve, text
from ffn_train.settings import SettingError

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}
_OPTION = "--where"


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
    match = re.fullmatch(r"\s*([^=!<>\s]+)\s*(!=|>=|<=|==|=|>|<)\s*(.*?)\s*", word)
    if match is None:
        signs = " ".join(_OPERATORS)
        raise SettingError(f"{_OPTION} must be KEY SIGN VALUE with a sign of {signs}, got {word!r}")
    key, sign, wanted = match.groups()
    found = Condition(_known(key, keys, runs), "=" if sign == "==" else sign, wanted)
    if found.sign not in ("=", "!="):
        values: set[Value] = {run[found.key] for run in runs if found.key in run}
        if _number(wanted) is None or not any(is_number(value) for value in values):
            raise SettingError(f"{_OPTION} {word}: {sign} compares numbers; words go with = and !=")
    return found


def _known(key: str, keys: set[str], runs: Sequence[Flat]) -> str:
    """The key that is meant; the message for none of them names those that differ."""
    ending = [one for one in keys if one == key or one.endswith(f".{key}")]
    if ending:
        return resolve(_OPTION, key, ending)
    varied = [one for one in keys if len({run.get(one, UNSET) for run in runs}) > 1]
    return resolve(_OPTION, key, varied or keys)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None
