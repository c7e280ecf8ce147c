"""The axes of a sweep: overrides that vary a key, as in ``model.depth=4,16``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.config.keys import GROUPS, PRESET
from ffn_train.config.overrides import as_written, grammar, is_literal, is_text, items, kinds_of
from ffn_train.config.registry import choices
from ffn_train.config.settings import SettingError

MOST = 10_000  # jobs of one sweep, or values of one key
_WHOLE = re.compile(r"0|-?[1-9]\d{,17}")  # a number that Hydra reads as Python does


@dataclass(frozen=True)
class Interval:
    """``interval(low,high)``, ``int(interval(low,high))`` or ``tag(log,interval(low,high))``."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def crowded(self) -> bool:
        """Whether uniform samples would nearly all be in the highest of several decades."""
        return not self.log and 0 < self.low < self.high / 30


@dataclass(frozen=True)
class Swept:
    """A parsed override.

    ``values``: of ``key=a,b``, as written; ``interval``: to search over; ``value``: of ``key=a``.
    ``plain``: it sets numbers, words or booleans of a key that is not a group, which needs no
    composition of its own.
    """

    key: str
    text: str
    values: list[str]
    interval: Interval | None
    value: Any
    plain: bool

    @property
    def swept(self) -> bool:
        """Whether it varies the key."""
        return bool(self.values) or self.interval is not None


def parse(overrides: Sequence[str]) -> list[Swept]:
    """Read overrides that may vary a key (``model.depth=4,16``). Raises SettingError."""
    parsed = []
    for text in map(_as_axis, overrides):
        override = grammar(text)
        key = override.get_key_element()
        values, interval, value = list[str](), None, None
        if not override.is_sweep_override():
            value = override.value()
        elif override.is_discrete_sweep():
            values = _values(text, override)
        else:
            interval = _interval(text, key, override.value())
        group = "/" in key or key in (*GROUPS, PRESET) or not key[:1].isalpha()
        plain = not group and "$" not in text  # a reference is resolved in a composition
        parsed.append(Swept(key, text, values, interval, value, plain))
    return parsed


def value_of(key: str, text: str) -> Any:
    """The value of ``key=text``. Parsing takes .3 ms, without which whole numbers are read."""
    override = f"{key}={text}"
    if _WHOLE.fullmatch(text) and not is_text(key) and not is_literal(override):
        return int(text)
    return parse([override])[0].value


def _as_axis(text: str) -> str:
    """``as_written`` for an override that may vary a key: comma-separated values stay separate."""
    if not is_literal(text):
        return text
    override = grammar(text)
    return str(override.input_line) if override.is_sweep_override() else as_written(text)


def _interval(text: str, key: str, value: Any) -> Interval:
    """The interval of an override, of integers if the setting is one.

    Raises SettingError if it is empty or not finite.
    """
    low, high = value.start, value.end
    known = kinds_of(key)
    if known and all(int in types and float not in types for types in known):
        low, high = (int(end) if end % 1 == 0 else end for end in (low, high))
    interval = Interval(low, high, "log" in value.tags)
    if not (interval.low < interval.high and math.isfinite(interval.high - interval.low)):
        raise SettingError(f"{text}: an interval's low end must be below its high end, both finite")
    if interval.log and interval.low <= 0:
        raise SettingError(f"{text}: an interval on a log scale must be above 0")
    return interval


def _values(text: str, override: Any) -> list[str]:
    """The values of a key that varies, as on the command line; too many are refused first.

    Hydra would write ``1e5`` as 100000.0 and put a backslash before a blank, which a name has not.
    """
    value, key = override.value(), override.key_or_group
    if override.value_type.name == "GLOB_CHOICE_SWEEP":
        if key not in GROUPS:
            raise SettingError(f"{text}: glob(...) is for choices: of {', '.join(GROUPS)}")
        values: list[str] = value.filter(list(choices(key)))
    else:
        count = _length(value) if override.is_range_sweep() else len(value.list)
        refuse_many(text, count, "values")
        values = items(text.partition("=")[2]) if is_literal(text) else []
        if override.value_type.name != "SIMPLE_CHOICE_SWEEP" or len(values) != count:
            values = [str(item) for item in override.sweep_string_iterator()] if count else []
    if not values:
        raise SettingError(f"{text} has no values")
    return values


def _length(values: Any) -> float:
    """How many numbers ``range(start,stop,step)`` has; inf if it never ends."""
    try:
        start, stop, step = map(float, (values.start, values.stop, values.step))
    except OverflowError:  # an integer of hundreds of digits
        return math.inf
    if step == 0 or not math.isfinite((stop - start) / step):
        return math.inf
    return max(0, math.ceil((stop - start) / step))


def refuse_many(text: str, count: float, what: str) -> None:
    """Raises SettingError for more jobs or values than a sweep may have."""
    if count > MOST:
        number = f"{count:,}" if count < 1e15 else f"{float(min(count, 10**300)):.3g}"
        number = "endlessly many" if count == math.inf else number
        raise SettingError(f"{text}: {number} {what}; a sweep has at most {MOST:,} jobs")
