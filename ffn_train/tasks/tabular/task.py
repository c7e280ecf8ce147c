"""Regression and classification on the columns of a table in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.kept import kept
from ffn_train.config.places import find, version_of
from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, setting, unchecked
from ffn_train.tasks.outliers import outliers
from ffn_train.tasks.scores import R2, Accuracy, Score
from ffn_train.tasks.table import ENDLESS, Data, Parts, Table, held, standardised
from ffn_train.tasks.tabular import splitting
from ffn_train.tasks.tabular.binary import settled
from ffn_train.tasks.tabular.cells import blanked, handy, named, shown, with_cells
from ffn_train.tasks.tabular.columns import Columns
from ffn_train.tasks.tabular.dialect import SEPARATORS, Given
from ffn_train.tasks.tabular.file import read
from ffn_train.tasks.tabular.numerals import MARKS, MISSING, VERSION
from ffn_train.tasks.tabular.problems import LISTED
from ffn_train.tasks.tabular.reading import Reading, unused
from ffn_train.tasks.tabular.roles import Wanted, named_columns
from ffn_train.tasks.tabular.selection import Selection, described, long_codes, select
from ffn_train.tasks.task import Task

_Value = TypeVar("_Value")
# the rows that are used, how they were read, the columns, and notes on these
_Read = tuple[Any, Reading, Selection, list[str]]
Setting = str | Sequence[str]


def _encoding(key: str, value: Any) -> None:
    try:
        if value is not None:
            "".encode(value)
    except (LookupError, TypeError, UnicodeError):
        raise SettingError(f"{key} must be an encoding such as cp1252, got {value!r}") from None


def _same(path: str, other: str | None) -> bool:
    """Whether two paths are of one file."""
    with suppress(OSError, ValueError):  # of which reading tells
        return path == other or (other is not None and os.path.samefile(find(path), find(other)))
    return False


def _how(says: str, default: Any = None, **declared: Any) -> Any:
    """A setting of how a file is read, whose effect is in the digest of the rows."""
    return setting(says, default, changes="source", before=default, **declared)


def _columns(says: str) -> Any:
    return setting(says, [], before=[], check=unchecked, literal=True)


@choice("task", "table")
class TableTask(Task):
    """The rows of a file: text of any separator, Excel, parquet or NumPy's, compressed or not.

    ``path`` is relative to the working directory, or else to the shipped studies; - is standard
    input. Columns are numbers, yes/no, dates or categories, whose coding is fitted on the training
    rows. Names of columns are literal; a number that is not a name is an index, from 0 on or, below
    0, from the end. Raises SettingError for everything that would be misread.
    """

    path: str | None = setting(
        "the file, in the working directory or among the shipped studies; - is standard input",
        None,
        changes="source",
        check=unchecked,
        literal=True,
    )
    target: Setting | int | None = setting(
        "the column to predict, by name or index (-1: the last one), or a list of columns",
        None,
        check=unchecked,
        literal=True,
    )
    classes: bool | None = setting(
        "whether the target is classes; null: it is if it is text", None, before=None
    )
    drop: Setting = _columns("columns to leave out")
    inputs: Setting = _columns("the columns to predict from; default: all others but task.groups")
    categories: Setting = _columns("columns whose numbers are codes, or with many words to keep")
    missing: Setting = _columns(
        "cells that count as missing, such as -200, besides NA, ? and the like"
    )
    fill: str = setting(
        "a missing input: the median of the training rows with an indicator, or drop the row",
        "median",
        among=("median", "drop"),
        before="median",
    )
    split: str = setting(
        "the rows for validation and test: drawn at random, or the last ones",
        "random",
        among=("random", "last"),
        before="random",
    )
    groups: str | int | None = setting(
        "a column whose equal rows stay on one side of the split",
        None,
        before=None,
        check=unchecked,
        literal=True,
    )
    validation_path: str | None = setting(
        "a second file, whose rows are all for validation",
        None,
        changes="source",
        before=None,
        check=unchecked,
        literal=True,
    )
    test_path: str | None = setting(
        "a file, whose rows are all for the test",
        None,
        changes="source",
        before=None,
        check=unchecked,
        literal=True,
    )
    separator: str | None = _how("between cells; null detects it", among=tuple(SEPARATORS))
    decimal: str | None = _how("the decimal mark; null detects it", among=("point", "comma"))
    thousands: str | None = _how("mark between thousands; null detects it", among=tuple(MARKS))
    encoding: str | None = _how(
        "such as cp1252; null: UTF-8, or UTF-16 with a byte order mark", check=_encoding
    )
    header: bool | None = _how("whether the first line has the names; null detects it")
    units: bool | None = _how("whether a row of units follows; null detects it")
    skip: int = _how("lines before the table", 0, at_least=0)
    dates: str | None = _how(
        "order of ambiguous dates such as 3/4/25", among=("day_first", "month_first")
    )
    largest: float = _how("size of a file, uncompressed", 4.0, above=0, unit="GiB")

    frame: Any = field(default=None, repr=False, compare=False)  # a pandas frame instead of a file
    truths: tuple[str, ...] = field(default=(), compare=False)  # yes and no in words of any pair
    version: int = field(default=VERSION, compare=False)  # of the rules by which cells are read

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frame is None and self.path in (None, "", "???"):
            raise SettingError("task.path is missing: name a file (task.path=data.csv)")
        for key in ("path", "validation_path", "test_path"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, str):
                raise SettingError(f"task.{key} must be the path of a file, got {value!r}")
        if self.target is None or self.target in ("", "???", [], ()):
            names = []
            with suppress(SettingError):
                names = self.names()
            listed = ", ".join([*map(shown, names[:LISTED]), *["..."][: len(names) - LISTED]])
            one = f", one of {listed}" if names else ""
            raise SettingError(
                f"task.target is missing: name the column to predict (task.target=y){one}"
            )
        if self.decimal is not None and self.decimal == self.thousands:
            raise SettingError(f"task.decimal and task.thousands are both {self.decimal}")
        roles = self._wanted()
        for name in roles.target:
            if roles.target.count(name) > 1:
                raise SettingError(f"task.target has {shown(name)} twice")
            if name in roles.drop:
                raise SettingError(f"task.drop has {shown(name)}, which is a target too")
        if self.classes and len(roles.target) > 1:
            raise SettingError(f"task.classes=true takes one target, got {len(roles.target)}")
        if self.validation_path is not None and (self.groups is not None or self.split == "last"):
            raise SettingError("task.validation_path is the split: not with task.split or .groups")
        if self.test_path is not None and self.test > 0:
            raise SettingError("task.test_path has the test's rows: not with a share, task.test")
        for key in ("path", "validation_path"):
            if self.test_path is not None and _same(self.test_path, getattr(self, key)):
                raise SettingError(
                    f"task.test_path={self.test_path!r} is the file of task.{key}: the test's rows "
                    "must be others (task.test=0.2 keeps a share of the rows for it)"
                )
        if self.groups is not None and self.split == "last":
            raise SettingError("task.groups draws groups at random: not with task.split=last")

    def going_on(self, recorded: Mapping[str, Any]) -> TableTask:
        """The task with its first lines and its cells read as the run has read them: older versions
        took more lines for headers or units, any words for yes and no, and more (see ``Columns``).
        """
        try:
            columns = Columns.from_json(recorded["columns"])
            reading = recorded["reading"]
            named = reading["header"] is True and "header" not in unused(reading["kind"])
        except (KeyError, TypeError, ValueError, AttributeError):  # a new run, or one to refuse
            return self
        return replace(
            self,
            header=True if named and self.header is None else self.header,
            units=True if named and reading.get("units") and self.units is None else self.units,
            truths=tuple(c.name for c in columns.inputs if c.kind == "boolean" and not c.levels),
            version=columns.version,
        )

    def table(self, rng: np.random.Generator) -> Table:
        """The rows that are used, with the coding fitted on all of them; nothing is random."""
        frame, _, selection, _ = self._read
        columns = selection.columns.with_classes(frame).fitted(frame, np.arange(len(frame)))
        table = _table(columns, frame)
        return replace(table, inputs=table.inputs[:])

    def data(self, rows: np.random.Generator, parts: np.random.Generator) -> Data:
        frame, reading, selection, read_notes = self._read
        standardise_targets = self.standardise_targets
        vars(self).pop("_read")  # the frame is large, and seldom needed again
        notes = list(read_notes)
        columns = selection.columns
        chosen = self._parts(frame, selection.groups, parts)
        own = len(frame)
        for part in ("validation", "test"):
            if getattr(self, f"{part}_path") is not None:
                first = len(frame)
                frame, note = self._with_rows_of(f"{part}_path", frame, columns, reading)
                chosen = replace(chosen, **{part: np.arange(first, len(frame))})
                if part == "validation":
                    note += f"; in place of the share task.validation={self.validation:g}"
                notes.append(note)
        places = np.asarray(frame.index, dtype=np.int64)
        columns = columns.with_classes(frame).fitted(frame, chosen.train)
        missing = [column.name for column in columns.inputs if column.indicator]
        if missing:
            listed = ", ".join([*missing[:8], *(["..."] if len(missing) > 8 else [])])
            notes.append(
                f"missing cells in {listed}: the training rows' median, or a level of their own "
                "(task.fill=drop drops the rows)"
            )
        table = _table(columns, frame)
        if self.version > 2:
            splitting.check_inputs(table, chosen.train)
        if columns.classes is not None:
            splitting.check_classes(table, chosen.train, columns.targets[0])
        data = standardised(
            table,
            chosen,
            standardise_targets=standardise_targets,
            constant_std=ENDLESS if self.version > 2 else 1.0,
        )
        found = data.outliers
        if standardise_targets and len(frame) > own:  # of the file of task.path
            found = outliers(table.targets[:own], table.target_names)
        if found is not None:
            found = replace(found, rows=tuple(int(places[r - 1]) + 1 for r in found.rows))
        return replace(
            data,
            origin={"reading": reading.to_json(), "columns": columns.to_json()},
            rows={part: places[rows] for part, rows in vars(chosen).items() if len(rows)},
            notes=tuple(notes),
            outliers=found,
            validation_rows=places[chosen.validation],
        )

    @cached_property
    def kind(self) -> str:  # type: ignore[override]
        return "regression" if self._read[2].columns.classes is None else "classes"

    @property
    def score(self) -> Score:  # type: ignore[override]
        return R2() if self.kind == "regression" else Accuracy()

    @property
    def standardise_targets(self) -> bool:  # type: ignore[override]
        return self.kind == "regression"

    def names(self) -> list[str]:
        """The names of the file's columns."""
        return [str(name) for name in self._frame("path", self._hints)[0].columns]

    def _wanted(self) -> Wanted:
        groups = () if self.groups is None else named_columns("task.groups", self.groups)
        return Wanted(
            target=named_columns("task.target", self.target),
            inputs=named_columns("task.inputs", self.inputs),
            drop=named_columns("task.drop", self.drop),
            categories=named_columns("task.categories", self.categories),
            groups=groups,
            missing=named_columns("task.missing", self.missing),
            dates=self.dates,
            classes=self.classes,
            truths=self.truths,
            version=self.version,
        )

    @property
    def _hints(self) -> Given:
        return Given(
            separator=SEPARATORS.get(str(self.separator)),
            decimal=MARKS.get(str(self.decimal)),
            thousands=MARKS.get(str(self.thousands)),
            header=self.header,
            units=self.units,
            skip=self.skip,
            missing=frozenset(named_columns("task.missing", self.missing)),
            version=self.version,
        )

    def _frame(self, key: str, hints: Given) -> tuple[Any, Reading]:
        """The file that a setting names, and how it was read."""
        if key == "path" and self.frame is not None:
            return settled(self.frame, "frame", hints)
        path = getattr(self, key)
        try:
            return read(path, hints, encoding=self.encoding, largest=int(self.largest * 2**30))
        except SettingError as error:
            raise SettingError(f"task.{key}={path!r} {error}") from error.__cause__

    @cached_property
    def _read(self) -> _Read:
        return self._kept("path", self._selected)

    def _kept(self, key: str, work_out: Callable[[], _Value], *known: Any) -> _Value:
        """What follows from the file that a setting names, from the settings of this task and from
        what is ``known`` already.
        """
        path = getattr(self, key)
        if path is None or (key == "path" and self.frame is not None):
            return work_out()
        try:
            version = version_of(find(path))
        except (OSError, ValueError):  # of which reading tells
            return work_out()
        return kept(f"task.{key}", (repr(self), version, *known), work_out)

    def _selected(self) -> _Read:
        source = "the table" if self.path is None else f"task.path={self.path!r}"
        roles = self._wanted()
        frame, reading = self._frame("path", self._hints)
        self._refuse_unused(reading.kind, source)
        if codes := long_codes(frame, reading, roles, source):
            frame, reading = self._frame("path", replace(self._hints, words=codes))
        whole = frame[_filled(frame)]
        cells = {name: handy(cells) for name, cells in whole.items()}
        missing, numerals = roles.missing, reading.numerals
        blank = {
            name: blanked(column, missing, numerals, self.version) for name, column in cells.items()
        }
        whole = with_cells(whole, blank)
        splitting.check_rows(whole, source)
        selection = select(whole, reading, roles, source)
        if self.version > 2:  # as of other rows, whose numbers without units may be missing
            whole = selection.columns.numbered(whole)
        unseen = [
            word
            for word in missing
            if word not in MISSING
            and not any(
                named(column, [word], numerals).any()
                for column in (*cells.values(), *(column for _, column in whole.items()))
            )
        ]
        used, left_out = self._used(whole, selection.columns)
        splitting.check_rows(used, source)
        left_out = {"without any cell": len(frame) - len(whole), **left_out}
        notes = [_note(source, reading, left_out), described(selection)]
        if unseen:
            words = " or ".join(map(shown, unseen))
            notes.append(f"{source}: no cell is {words} (task.missing)")
        return used, reading, selection, notes

    def _refuse_unused(self, kind: str, source: str) -> None:
        """Raises SettingError for a setting that a table of this kind does not use, unless a second
        file may use it.
        """
        if self.validation_path is not None or self.test_path is not None:
            return
        where = "a table in memory" if self.path is None else f"{source}, which is {kind}"
        for key in unused(kind):
            value = getattr(self, key)
            if value not in (None, 0) or value is False:
                shown = str(value).lower() if isinstance(value, bool) else value
                raise SettingError(f"task.{key}={shown} has no effect on {where}; leave it out")

    def _used(self, frame: Any, columns: Columns) -> tuple[Any, dict[str, int]]:
        """The usable rows, and the numbers of the others by what they lack."""
        blank = np.isnan(columns.values(frame)).any(axis=1)
        left_out = {"without a target": int(blank.sum())}
        if self.fill == "drop":
            lacking = columns.lacking(frame) & ~blank
            left_out["without an input"] = int(lacking.sum())
            blank |= lacking
        return frame[~blank] if blank.any() else frame, left_out

    def _parts(self, frame: Any, groups: str | None, rng: np.random.Generator) -> Parts:
        share = self.validation if self.validation_path is None else 0.0
        numbers = held(len(frame), share, self.test)
        if self.split == "last" or not any(numbers):
            return splitting.by_order(len(frame), *numbers)
        if groups is None:
            return Parts.cut(rng.permutation(len(frame)), *numbers)
        return splitting.by_groups(frame, groups, *numbers, rng)

    def _with_rows_of(
        self, key: str, frame: Any, columns: Columns, first_read: Reading
    ) -> tuple[Any, str]:
        """A frame with the usable rows of a second file below it, and a note on how that was read:
        its numbers and words as those of the first file, or else as they stand there, and a row of
        units only if the first file had one, as ``Model.reading``. Raises SettingError if it has no
        such row.
        """
        import pandas as pd

        source = f"task.{key}={getattr(self, key)!r}"
        units = self.units if first_read.units or self.version == 1 else False
        hints = replace(self._hints, words=columns.of_words, units=units)
        as_first = replace(hints, **vars(columns.numerals))
        ways = [partial(self._frame, key, way) for way in dict.fromkeys((as_first, hints))]
        second, reading = self._kept(key, lambda: columns.of_another(ways, source), columns, units)
        names = [*(column.name for column in columns.inputs), *columns.targets]
        whole = second[_filled(second)]
        first, whole = columns.numbered(frame)[names], whole[names]
        both = pd.concat([columns.spelt(first, whole), columns.spelt(whole, first)])
        used, left_out = self._used(both, columns.with_classes(both))
        note = _note(source, reading, {"without any cell": len(second) - len(whole), **left_out})
        if len(used) == len(frame):
            raise SettingError(f"{note}: it has no row that can be used")
        return used, note


def _filled(frame: Any) -> NDArray[np.bool_]:
    """Which rows have any cell (N,); most tables have one in each row of the first column."""
    filled = np.zeros(len(frame), dtype=bool)
    for _, cells in frame.items():
        filled |= cells.notna().to_numpy()
        if filled.all():
            break
    return filled


def _note(source: str, reading: Reading, left_out: Mapping[str, int]) -> str:
    """How a file was read, and how many of its rows are left out for what they lack."""
    phrases = [
        f"{count:,} row{'s' * (count > 1)} {why} left out"
        for why, count in left_out.items()
        if count
    ]
    return "; ".join([f"{source}: {reading.says()}", *phrases])


def _table(columns: Columns, frame: Any) -> Table:
    outputs = columns.classes or columns.targets
    return Table(columns.coded(frame), columns.values(frame), columns.names, outputs)
