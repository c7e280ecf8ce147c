"""Conditions on settings: ``depth>=16``, ``residual!=none``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.compare.values import is_number, order, resolve_among, short
from ffn_train.config.settings import SettingError, nearest
from ffn_train.plots.settings import UNSET, Flat, text

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
    """``key`` ``sign`` ``operand``; order signs compare numbers only."""

    key: str
    sign: str
    operand: str

    def holds(self, run: Flat) -> bool:
        """Whether a run meets it; a run without the setting meets only ``!=``."""
        value = run.get(self.key, UNSET)
        number = _number(self.operand)
        if is_number(value) and number is not None:
            return _OPERATORS[self.sign](value, number)
        return self.sign in ("=", "!=") and _OPERATORS[self.sign](text(value), self.operand)


def conditions(words: Sequence[str], runs: Sequence[Flat]) -> list[Condition]:
    """Read conditions on the settings of these runs. Raises SettingError."""
    return [_condition(word, runs) for word in words]


def _condition(word: str, runs: Sequence[Flat]) -> Condition:
    match = re.fullmatch(r"\s*([^=!<>\s]+)\s*(!=|>=|<=|==|=|>|<)\s*([^=!<>\s].*?)\s*", word)
    if match is None:
        signs = " ".join(_OPERATORS)
        raise SettingError(f"{_OPTION} must be KEY SIGN VALUE with a sign of {signs}, got {word!r}")
    name, sign, operand = match.groups()
    key = resolve_among(_OPTION, name, runs)
    condition = Condition(key, "=" if sign == "==" else sign, operand)
    values = sorted({run[key] for run in runs if key in run}, key=order)
    if condition.sign not in ("=", "!="):
        if not any(is_number(value) for value in values):
            raise SettingError(f"{_OPTION} {word}: {sign} compares numbers; words go with = and !=")
        if _number(operand) is None:
            several = re.search(r"\d.*\D", operand)
            hint = f"; each condition has a {_OPTION} of its own" if several else ""
            raise SettingError(f"{_OPTION} {word}: {sign} needs a number, got {operand!r}{hint}")
    elif condition.sign == "=" and not any(condition.holds(run) for run in runs):
        texts = [text(value) for value in values]
        listed = ", ".join([*texts[:_LISTED], *["..."] * (len(texts) > _LISTED)])
        raise SettingError(
            f"{_OPTION} {word}: no run has it; {short(key)} is {listed}{nearest(operand, texts)}"
        )
    return condition


def _number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return None if math.isnan(number) else number
