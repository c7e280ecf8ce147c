"""Selects the targets and inputs of a table and detects the kinds of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError
from ffn_train.tasks.tabular.categories import as_words, class_words, too_long
from ffn_train.tasks.tabular.cells import (
    as_numbers,
    blanked,
    shown,
    signs_of,
    unit_of,
    with_cells,
    without,
)
from ffn_train.tasks.tabular.columns import Column, Columns
from ffn_train.tasks.tabular.dates import (
    doubts,
)
from ffn_train.tasks.tabular.kinds import CODES, LEVELS, is_text, kind_of, numbers_of, odd, sentinel
from ffn_train.tasks.tabular.marks import Marks
from ffn_train.tasks.tabular.problems import LISTED, Problems, as_missing, wrong_cells
from ffn_train.tasks.tabular.reading import Reading
from ffn_train.tasks.tabular.roles import Names, Wanted


@dataclass
class Selection:
    """Columns that are not yet fitted; ``groups``: the column whose equal rows stay together."""

    columns: Columns
    groups: str | None
    remarks: list[tuple[str, str]] = field(default_factory=list)  # on unusual columns


def long_codes(frame: Any, reading: Reading, roles: Wanted, source: str) -> frozenset[str]:
    """The columns of codes whose numbers are too long to be told apart; text would be."""
    names = Names(frame, reading, source)
    targets = names.of("task.target", roles.target)
    coded = [*names.of("task.categories", roles.categories), *names.of("task.groups", roles.groups)]
    return frozenset(
        name
        for name in (*coded, *(targets if roles.classes else ()))
        if too_long(blanked(frame[name], roles.missing, reading.numerals, roles.version))
    )


def select(frame: Any, reading: Reading, roles: Wanted, source: str) -> Selection:
    """Select targets and inputs and detect their kinds. Raises SettingError with all problems."""
    names = Names(frame, reading, source)
    targets = names.of("task.target", roles.target)
    if len(targets) > len(roles.target):
        raise SettingError(
            f"task.target means {', '.join(map(shown, targets))}, of which some share a name: "
            "an index means one column, and -1 is the last one"
        )
    for name in targets:
        if targets.count(name) > 1:
            raise SettingError(f"task.target has {shown(name)} twice")
    dropped = names.of("task.drop", roles.drop)
    requested = names.of("task.inputs", roles.inputs)
    categories = names.of("task.categories", roles.categories)
    groups = names.of("task.groups", roles.groups)
    if len(groups) > 1:
        raise SettingError(f"task.groups is one column, got {', '.join(map(shown, groups))}")
    for key, other_names in (("task.drop", dropped), ("task.inputs", requested)):
        for name in set(targets) & set(other_names):
            raise SettingError(f"{key} has {shown(name)}, which is a target too")
    candidates = requested or [n for n in names.all if n not in {*targets, *dropped, *groups}]
    candidates = [name for name in dict.fromkeys(candidates) if name not in dropped]
    measured = [name for name in candidates if name not in categories]
    measured += [] if roles.classes else targets
    units = {
        name: unit
        for name in (measured if roles.version > 2 else ())
        if (unit := unit_of(frame[name], reading.numerals))
    }
    frame = with_cells(frame, {name: without(unit, frame[name]) for name, unit in units.items()})
    marks = Marks(frame, reading)
    problems = Problems()
    for name in sorted(long_codes(frame, reading, roles, source)):
        problems.add(
            name,
            "has codes among floating-point numbers of more than 15 digits, which do not tell them "
            "apart: make them text",
        )
    inputs, remarks = [], [(name, f" in {unit}") for name, unit in units.items()]
    left_out = [(name, "it groups the rows") for name in groups if name not in candidates]
    for name in groups:
        lacking = int(frame[name].isna().sum())
        if lacking > 1:
            remarks.append((name, f": {lacking:,} rows without it are one group"))
    may_be_classes = len(targets) == 1 and roles.classes is not False
    classes = None
    for name in targets:
        wrong = numbers_of(frame[name], reading.numerals, roles.version)[1]
        if roles.classes or (may_be_classes and is_text(frame[name], wrong)):
            classes = _classes(name, frame[name], marks, roles, problems)
        else:
            asked = may_be_classes and roles.classes is None
            _check_numbers(name, frame[name], wrong, marks, problems, may_be_classes=asked)
            first = frame[name].head(1000)  # more than CODES of them are enough to know
            few = may_be_classes and first.nunique() <= CODES
            numbers = frame[name].nunique() if few else 0
            if 1 < numbers <= CODES and roles.classes is None and 10 * numbers <= len(frame):
                many = f"{numbers} different numbers (task.classes=true makes classes of them)"
                remarks.append((name, f": {many}"))
            elif note := sentinel(frame[name]):
                remarks.append((name, f": {note}"))
            remarks += _signs(name, frame[name])
    for name in candidates:
        cells = frame[name]
        kind: Column | str | None
        if name in categories:
            kind = Column(name, "category")
        else:
            kind = kind_of(name, cells, marks, roles, problems)
            if kind == Column(name, "number") and name in reading.categorical:
                kind = Column(name, "category")  # of codes
        if isinstance(kind, Column):
            reason, note = odd(kind, cells, reading.unnamed, roles.version)
            asked_for = name in requested or name in categories
            if reason and not asked_for:
                left_out.append((name, reason))
                continue
            remarks += [(name, f": {note}")] if note and not asked_for else []
            remarks += _signs(name, cells) if kind.kind == "number" else []
            if kind.kind == "date":
                said = doubts(cells, kind.date, roles.dates)
                remarks += [(name, f": {doubt}") for doubt in said]
            if kind.kind == "category":
                kind = replace(kind, levels=class_words(as_words(cells)[0]))
            inputs.append(kind)
        elif kind:
            left_out.append((name, kind))
    problems.refuse(source, names.untitled)
    if not inputs:
        why = "".join(f"; {shown(name)}: {reason}" for name, reason in left_out[:LISTED])
        raise SettingError(
            f"{source} has no input left: every column is in task.target or task.drop, or left "
            f"out{why}"
        )
    columns = Columns(
        inputs=tuple(inputs),
        targets=tuple(targets),
        classes=classes,
        numerals=reading.numerals,
        missing=roles.missing,
        left_out=tuple(left_out),
        table=tuple(name for name in names.all if name not in targets),
        units=units,
        version=roles.version,
    )
    return Selection(columns, groups[0] if groups else None, remarks)


def _signs(name: str, cells: Any) -> list[tuple[str, str]]:
    """A remark on signs that make numbers differ, since 45% is 45 and €3 is 3."""
    signs = " or ".join(signs_of(cells))
    return [(name, f": {signs} in some cells is ignored")] if signs else []


def _classes(
    name: str, cells: Any, marks: Marks, roles: Wanted, problems: Problems
) -> tuple[str, ...]:
    """The words of a target of classes; a problem if they are too many or could be numbers."""
    classes = class_words(as_words(cells)[0])
    if not classes:
        problems.add(name, "is a target without a value")
    elif not roles.classes:
        first = str(cells[cells.notna()].iloc[0])
        others = marks.others(first)
        if others or len(classes) > min(LEVELS, len(cells) / 2):
            what = "dates" if cells.dtype.kind == "M" else "text"
            trouble = f"is a target of {what}, such as {shown(first)}"
            if not others:
                trouble += f", and has {len(classes):,} different words, many for classes"
            problems.add(name, trouble, *marks.helping(first), "task.classes=true")
    return classes


def _check_numbers(
    name: str, cells: Any, wrong: Any, marks: Marks, problems: Problems, *, may_be_classes: bool
) -> None:
    if not wrong.any() and np.isnan(as_numbers(cells, marks.numerals)[0]).all():
        problems.add(name, "is a target without a value")
    elif is_text(cells, wrong):
        first = str(cells[wrong].iloc[0])
        problems.add(name, f"is a target of text, such as {shown(first)}: numbers are needed")
    elif wrong.any():
        few = may_be_classes and cells.nunique() <= min(LEVELS, len(cells) / 2)
        classes = ["task.classes=true"] if few else []
        ways = marks.helping(str(cells[wrong].iloc[0]))
        words, trouble = as_missing(cells[wrong]), f"has {wrong_cells(cells, wrong)}"
        problems.add(name, trouble, *ways, *classes, "missing", missing=words)


def described(selection: Selection) -> str:
    """The inputs, targets and columns left out, in a line."""
    columns = selection.columns
    kinds: dict[str, list[str]] = {}
    for column in columns.inputs:
        kinds.setdefault(column.kind, []).append(column.name)
    plural = {"number": "numbers", "boolean": "yes/no", "date": "dates", "category": "categories"}
    phrases = [f"{plural[kind]} {_some(names)}" for kind, names in kinds.items()]
    text = f"inputs: {'; '.join(phrases)}; target {_some(columns.targets)}"
    if columns.classes is not None:
        text += f", {len(columns.classes)} classes: {_some(columns.classes)}"
    left_out = _together((name, f" left out: {reason}") for name, reason in columns.left_out)
    return "; ".join([text, *left_out, *_together(selection.remarks)[:LISTED]])


def _together(said: Iterable[tuple[str, str]]) -> list[str]:
    """What is said of names, each once after all that it is said of."""
    names: dict[str, list[str]] = {}
    for name, what in said:
        names.setdefault(what, []).append(name)
    return [f"{_some(those)}{what}" for what, those in names.items()]


def _some(names: Sequence[str]) -> str:
    listed = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in names[:8])
    return f"{listed} and {len(names) - 8} more" if len(names) > 8 else listed
