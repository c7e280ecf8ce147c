"""Which columns are targets and inputs, and of what kind each one is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, nearest, printable
from ffn_train.tasks.tabular.columns import (
    LEVELS,
    TEXT,
    Column,
    Columns,
    as_numbers,
    as_truth,
    as_words,
    date_forms,
    shown,
)
from ffn_train.tasks.tabular.dialect import Numerals
from ffn_train.tasks.tabular.reading import Reading

LISTED = 20  # columns or problems in a message before the rest is only counted


@dataclass(frozen=True)
class Wanted:
    """Names of columns as the settings give them; ``dates``: day_first, month_first or None."""

    target: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    dates: str | None = None


@dataclass
class Selection:
    """``columns`` are not yet fitted. ``groups``: the column whose rows stay together, if any."""

    columns: Columns
    groups: str | None
    kept: list[str] = field(default_factory=list)  # what is said of inputs that are odd


def paste(key: str, names: Iterable[str]) -> str:
    """The setting that lists these names, as a shell takes it."""
    quoted = [f'"{name}"' if re.search(r"[,\[\]'\"]|^\s*$", name) else name for name in names]
    return printable(shlex.quote(f"{key}=[{','.join(quoted)}]")).replace("\n", "\\n")


class _Names:
    """What names in settings mean: a column's name, or else its place, or else first or last."""

    def __init__(self, frame: Any, reading: Reading, source: str) -> None:
        self.all = list(frame.columns)
        self.source = source
        self._header = reading.header
        self._columns: dict[str, list[str]] = {"": list(reading.unnamed)}
        for name in self.all:
            self._columns.setdefault(reading.renamed.get(name, name), []).append(name)
        for name in reading.renamed:
            self._columns.setdefault(name, [name])

    def of(self, key: str, names: Sequence[str]) -> list[str]:
        """The columns meant. Raises SettingError for a name that there is not."""
        return [column for name in names for column in self._meant(key, name.strip())]

    def _meant(self, key: str, name: str) -> list[str]:
        if name in self._columns:
            return self._columns[name]
        last = {"first": 0, "last": -1}
        place = int(name) if re.fullmatch(r"-?\d{1,9}", name) else last.get(name)
        if place is not None and -len(self.all) <= place < len(self.all):
            return [self.all[place]]
        known = [shown(column) for column in self.all]
        more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
        places = "; -1 is the last one" if key == "task.target" else ""
        if not self._header:
            places += "; the first line was taken for a row, which task.header=true changes"
        raise SettingError(
            f"{key} {shown(name)} is not a column of {self.source}, which has "
            f"{', '.join(known[:LISTED])}{more}{places}{nearest(shown(name), known)}"
        )


def select(frame: Any, reading: Reading, wanted: Wanted, source: str) -> Selection:
    """Targets, inputs and their kinds. Raises SettingError with all that is wrong, in one line."""
    names = _Names(frame, reading, source)
    targets = names.of("task.target", wanted.target)
    if len(targets) > len(wanted.target):
        raise SettingError(
            f"task.target means {', '.join(map(shown, targets))}, of which some share a name: "
            "its place means one column, and -1 is the last one"
        )
    for name in targets:
        if targets.count(name) > 1:
            raise SettingError(f"task.target has {shown(name)} twice")
    dropped = names.of("task.drop", wanted.drop)
    asked = names.of("task.inputs", wanted.inputs)
    categories = names.of("task.categories", wanted.categories)
    groups = names.of("task.groups", wanted.groups)
    for key, others in (("task.drop", dropped), ("task.inputs", asked)):
        for name in set(targets) & set(others):
            raise SettingError(f"{key} has {shown(name)}, which is a target too")
    candidates = asked or [n for n in names.all if n not in {*targets, *dropped, *groups}]
    candidates = [name for name in dict.fromkeys(candidates) if name not in dropped]
    problems = _Problems()
    for name in targets:
        cells = frame[name]
        _check_target(name, cells, reading.numerals, problems)
    inputs, left_out, kept = [], [], []
    for name in candidates:
        cells = frame[name]
        kind: Column | str | None
        if name in categories:
            kind = Column(name, "category")
        else:
            kind = _kind(name, cells, reading, wanted.dates, problems)
        if isinstance(kind, Column):
            reason, note = _odd(kind, cells, name in reading.unnamed)
            asked_for = name in asked or name in categories
            if reason and not asked_for:
                left_out.append((name, reason))
                continue
            kept += [note] if note and not asked_for else []
            inputs.append(kind)
        elif kind:
            left_out.append((name, kind))
    problems.refuse(source)
    if not inputs:
        why = "".join(f"; {shown(name)}: {reason}" for name, reason in left_out[:LISTED])
        raise SettingError(
            f"{source} has no input left: every column is in task.target or task.drop, or left "
            f"out{why}"
        )
    columns = Columns(
        inputs=tuple(inputs),
        targets=tuple(targets),
        numerals=reading.numerals,
        missing=wanted.missing,
        left_out=tuple(left_out),
    )
    return Selection(columns, groups[0] if groups else None, kept)


class _Problems:
    """All that is wrong with columns, for one message."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._advice: dict[str, list[str]] = {}

    def add(self, name: str, trouble: str, *advice: str) -> None:
        self._found.append((name, trouble))
        for line in advice:
            self._advice.setdefault(line, []).append(name)

    def refuse(self, source: str) -> None:
        if not self._found:
            return
        told = [f"column {shown(name)} {trouble}" for name, trouble in self._found[:LISTED]]
        if len(self._found) > LISTED:
            told.append(f"and {len(self._found) - LISTED} more columns")
        ways = []
        for advice, names in self._advice.items():
            ways.append(advice if "=" in advice else paste(f"task.{advice}", names))
        told += [f"what helps: {' or '.join(ways)}"] if ways else []
        raise SettingError(f"{source}: {'; '.join(told)}")


def _wrong_cells(cells: Any, wrong: Any) -> tuple[str, str]:
    """How many cells are wrong, with the first of them, and that cell."""
    places = np.flatnonzero(wrong)
    first = str(cells.iloc[places[0]])
    many = f"{len(places):,} cells that are" if len(places) > 1 else "a cell that is"
    return f"{many} no finite number, such as {shown(first)} in row {places[0] + 1}", first.strip()


def _check_target(name: str, cells: Any, numerals: Numerals, problems: _Problems) -> None:
    values, wrong = as_numbers(cells, numerals)
    present = int(cells.notna().sum())
    if np.isnan(values).all() and not wrong.any():
        problems.add(name, "is a target without a value")
    elif wrong.sum() >= TEXT * present:
        first = str(cells[wrong].iloc[0])
        problems.add(name, f"is a target of text, such as {shown(first)}: numbers are needed")
    elif wrong.any():
        told, first = _wrong_cells(cells, wrong)
        problems.add(name, f"has {told}", *_marks(first, numerals), paste("task.missing", [first]))


def _marks(cell: str, numerals: Numerals) -> list[str]:
    """The setting with which this cell would be a number, if there is one."""
    for setting, other in (
        ("task.decimal=comma", Numerals(",", ".")),
        ("task.decimal=point", Numerals(".", "")),
        ("task.thousands=comma", Numerals(".", ",")),
        ("task.thousands=blank", Numerals(numerals.decimal, " ")),
        ("task.thousands=apostrophe", Numerals(numerals.decimal, "'")),
    ):
        if other != numerals and other.is_number(cell):
            return [setting]
    return []


def _kind(
    name: str, cells: Any, reading: Reading, order: str | None, problems: _Problems
) -> Column | str | None:
    """What a column is, or why it is left out; None where that is a problem."""
    if not cells.notna().any():
        return "it is empty"
    if cells.dtype.kind == "M":
        return Column(name, "date", date="ISO8601")
    if cells.dtype.kind == "b":
        return Column(name, "boolean")
    values, wrong = as_numbers(cells, reading.numerals)
    if not wrong.any():
        return "it is empty" if np.isnan(values).all() else Column(name, "number")
    if not as_truth(cells)[1].any():
        return Column(name, "boolean")
    forms = date_forms(cells, order) if cells.dtype.kind not in "iuf" else []
    if len(forms) == 1:
        return Column(name, "date", date=forms[0])
    first = str(cells[wrong].iloc[0])
    if forms:
        problems.add(
            name,
            f"has dates such as {shown(first)}, in which the day or the month may stand first",
            "task.dates=day_first",
            "task.dates=month_first",
            "drop",
        )
        return None
    marks = _marks(first.strip(), reading.numerals)
    if marks or wrong.sum() < TEXT * cells.notna().sum():
        told, first = _wrong_cells(cells, wrong)
        others = [] if marks else [paste("task.missing", [first]), "categories"]
        problems.add(name, f"has {told}", *marks, *others, "drop")
        return None
    return Column(name, "category")


def _odd(column: Column, cells: Any, unnamed: bool) -> tuple[str, str]:
    """Why an input is left out, "" if it is not, and what is said of one that is kept."""
    if column.kind == "category":
        words = as_words(cells)
        levels = len(np.unique(words[words != ""]))
        if levels == 1 and (words != "").all():
            return "it is one word in all rows", ""
        if levels > min(LEVELS, len(words) / 2):
            keep = paste("task.categories", [column.name])
            return f"it has {levels:,} different words ({keep} keeps it)", ""
        return "", ""
    if column.kind != "number" or cells.dtype.kind not in "iuf":
        return "", ""
    values = cells.to_numpy()
    if (values == values[0]).all():
        return "", f"{column.name} is the same in all rows"
    counts = values.dtype.kind in "iu" and len(values) > 2 and values[0] in (0, 1)
    if counts and (np.diff(values) == 1).all():
        drop = paste("task.drop", [column.name])
        kept = f"{column.name} counts the rows ({drop} leaves it out)"
        return ("it counts the rows", "") if unnamed else ("", kept)
    return "", ""


def described(selection: Selection) -> str:
    """In a line what the inputs and targets are, and what is left out."""
    columns = selection.columns
    kinds: dict[str, list[str]] = {}
    for column in columns.inputs:
        kinds.setdefault(column.kind, []).append(column.name)
    plural = {"number": "numbers", "boolean": "yes/no", "date": "dates", "category": "categories"}
    told = [f"{plural[kind]} {_some(names)}" for kind, names in kinds.items()]
    text = f"inputs: {'; '.join(told)}; target {_some(columns.targets)}"
    reasons: dict[str, list[str]] = {}
    for name, reason in columns.left_out:
        reasons.setdefault(reason, []).append(name)
    text += "".join(f"; {_some(names)} left out: {reason}" for reason, names in reasons.items())
    return text + "".join(f"; {note}" for note in selection.kept[:LISTED])


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in names[:8])
    return f"{listed} and {len(names) - 8} more" if len(names) > 8 else listed
