"""The roles of a table's columns, and the columns that settings name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.config.settings import SettingError, nearest
from ffn_train.tasks.tabular.cells import shown
from ffn_train.tasks.tabular.numerals import VERSION
from ffn_train.tasks.tabular.problems import LISTED
from ffn_train.tasks.tabular.reading import SKIP, Reading, unused


@dataclass(frozen=True)
class Wanted:
    """The columns' roles, with names as in the settings; ``dates``: day_first, month_first or None.

    ``classes``: whether the target is classes; None: if it is text. ``truths``: columns that are
    yes and no in words of any pair. ``version``: as in ``Columns``.
    """

    target: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates: str | None = None
    classes: bool | None = None
    truths: tuple[str, ...] = ()
    version: int = VERSION


def named_columns(key: str, value: Any) -> tuple[str, ...]:
    """The names in a setting of one name or a list of names, numbers as their digits."""
    names = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(name, (str, int, float)) and type(name) is not bool for name in names):
        raise SettingError(f"{key} must be a column's name or a list of names, got {value!r}")
    return tuple(str(name).strip() for name in names)


class Names:
    """Resolves names in settings: a column's name, its index, or first or last."""

    def __init__(self, frame: Any, reading: Reading, source: str) -> None:
        self.all = list(frame.columns)
        self._placed = list(frame.columns)
        if reading.header:  # with separators at the ends of all lines there are columns of nothing
            while self._placed[-1] in reading.unnamed and frame[self._placed[-1]].isna().all():
                self._placed.pop()
        self.source = source
        self._header = reading.header
        # without a name, perhaps since the first line is a title
        titled = reading.header and "skip" not in unused(reading.kind)
        self.untitled = reading.unnamed if titled else ()
        self._columns: dict[str, list[str]] = {"": list(reading.unnamed)}
        for name in self.all:
            self._columns.setdefault(reading.renamed.get(name, name), []).append(name)
        for name in reading.renamed:
            self._columns.setdefault(name, [name])

    def of(self, key: str, names: Sequence[str]) -> list[str]:
        """The columns with these names. Raises SettingError for an unknown name."""
        return [column for name in names for column in self._meant(key, name.strip())]

    def _meant(self, key: str, name: str) -> list[str]:
        if name in self._columns:
            return self._columns[name]
        last = {"first": 0, "last": -1}
        index = int(name) if re.fullmatch(r"-?\d{1,9}", name) else last.get(name)
        if index is not None and -len(self._placed) <= index < len(self._placed):
            return [self._placed[index]]
        quoted = [shown(column) for column in self.all]
        more = f" and {len(quoted) - LISTED} more" if len(quoted) > LISTED else ""
        places = "; -1 is the last one" if key == "task.target" else ""
        if not self._header:
            places += "; the first line was taken for a row, which task.header=true changes"
        elif self.untitled:
            places += f"; {SKIP}"
        raise SettingError(
            f"{key} {shown(name)} is not a column of {self.source}, which has "
            f"{', '.join(quoted[:LISTED])}{more}{places}{nearest(shown(name), quoted)}"
        )
