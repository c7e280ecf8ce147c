"""The kinds of a table's columns, and their coding as numbers, fitted on the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import SettingError, counted
from ffn_train.nn.core import Array
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.categories import as_words, class_words, known_words, of_text, spelt
from ffn_train.tasks.tabular.cells import (
    Mask,
    as_numbers,
    as_truth,
    blanked,
    distinct,
    factorized,
    shown,
    truth_pairs,
    with_cells,
    without,
)
from ffn_train.tasks.tabular.dates import CLOCKS, DURATION, as_days, example
from ffn_train.tasks.tabular.numerals import VERSION, Numerals
from ffn_train.tasks.tabular.reading import unique

YEAR, WEEK = 365.25, 7.0  # days
DAILY = 2  # days between those of daily dates of which a random part is left out
ONE_TIME = 1 / 24 + 1e-6  # days between what summer time, and rounding, make of one
MISSING, OTHER = "(missing)", "(other)"


@dataclass(frozen=True)
class Column:
    """An input column and its coding as numbers.

    ``kind``: number, boolean, date or category. ``fill``: the value for missing cells, the median
    of the training rows; ``indicator``: whether an extra column marks missing cells. ``levels``:
    the words of a category; once it is fitted, those that have a column each, of at least two
    training rows, while all others share one; of yes and no their letters, if it was those, and ()
    where any words will do. ``pooled``: whether training rows have such others;
    if not, that column was not trained and stays 0. ``date``: the format of dates; ``season``,
    ``week`` and ``day``: whether the time of the year, of the week and of the day has two columns
    in addition to the days since 1970. All but kind and format are fitted on the training rows.
    """

    name: str
    kind: str
    date: str = ""
    fill: float = 0.0
    indicator: bool = False
    levels: tuple[str, ...] = ()
    pooled: bool = False
    season: bool = False
    week: bool = False
    day: bool = False

    @property
    def waves(self) -> dict[str, float]:
        """The periods, in days, whose sine and cosine dates have, by the names of their columns."""
        known = (("", YEAR, self.season), (" week", WEEK, self.week), (" day", 1.0, self.day))
        return {f"{self.name}{name}": period for name, period, has in known if has}

    @property
    def coded(self) -> tuple[str, ...]:
        """The names of the coded columns."""
        if self.kind == "category":
            missing = (MISSING,) if self.indicator else ()
            return tuple(f"{self.name}={level}" for level in (*self.levels, *missing, OTHER))
        parts = [self.name]
        parts += [f"{name} {wave}" for name in self.waves for wave in ("sine", "cosine")]
        parts += [f"{self.name}={MISSING}"] if self.indicator else []
        return tuple(parts)

    @property
    def needed(self) -> str:
        """What a cell must be, in words."""
        if self.kind == "date":
            return example(self.date)
        if self.kind != "boolean":
            return f"a {self.kind}"
        return ", ".join(f"{yes} or {no}" for yes, no in truth_pairs(self.levels))

    def fitted(
        self, cells: Any, train: NDArray[np.int64], numerals: Numerals, version: int = VERSION
    ) -> Column:
        """The column with its coding fitted on the cells of the training rows, given by index."""
        if self.kind == "category":
            words, index = as_words(cells)
            sizes = np.bincount(index[train], minlength=len(words)).tolist()
            counts = dict(zip(words, sizes, strict=True))
            levels = [word for word in words if word and counts[word]]
            enough = [word for word in levels if counts[word] > 1] if len(levels) > 2 else levels
            return replace(
                self,
                levels=tuple(enough),
                pooled=len(enough) < len(levels),
                indicator=counts.get("", 0) > 0,
            )
        values = self.values(cells, numerals)[0][train]
        missing = np.isnan(values)
        present = values[~missing] if missing.any() else values
        fill = 0.0
        if present.size:
            middle = present.size // 2
            present.partition(middle)
            high = present[middle]
            low = high if present.size % 2 else present[:middle].max()
            fill = float(low / 2 + high / 2)  # the sum could overflow
        dated = self.kind == "date" and self.date != DURATION and present.size
        span = np.ptp(present) if dated else 0.0
        finer = version > 2 and span >= 1
        of_times = finer or (self.date in CLOCKS and present.size > 0)
        return replace(
            self,
            fill=fill,
            indicator=len(present) < len(values),
            season=bool(span >= YEAR),
            week=bool(finer and span >= 2 * WEEK and _apart(present) <= DAILY),
            day=bool(of_times and np.ptp((present - present[0] + 0.5) % 1) > ONE_TIME),
        )

    def encode(self, cells: Any, numerals: Numerals) -> list[Array | Mask]:
        """The coded columns of N cells, (N,) each; a mask is 1 and 0."""
        if self.kind == "category":
            words, index = known_words(cells, self.levels, numerals)
            places = {word: codes for codes, word in enumerate(self.levels)}
            if self.indicator:
                places[""] = len(self.levels)
            other = len(self.coded) - 1
            kind = np.min_scalar_type(other)
            codes = np.array([places.get(word, other) for word in words], dtype=kind)[index]
            return [*(codes == place for place in range(other)), (codes == other) & self.pooled]
        values = self.values(distinct(cells), numerals)[0]
        numeric = cells.dtype.kind in "iuf"
        if not numeric:
            values = np.append(values, np.nan)  # of a missing cell, whose code is -1
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, self.fill, values)
        turns = [2 * np.pi * ((values / period) % 1) for period in self.waves.values()]
        waves = [wave(turn) for turn in turns for wave in (np.sin, np.cos)]
        coded = [values, *waves, *([missing] if self.indicator else [])]
        if numeric:
            return coded
        codes, _ = factorized(cells)
        return [numbers.take(codes) for numbers in coded]

    def values(self, cells: Any, numerals: Numerals) -> tuple[Array, Mask]:
        """The number (N,) of each cell of a kind other than category, NaN where missing, and a mask
        (N,) of the cells that are not of this kind.
        """
        if self.kind == "date":
            return as_days(cells, self.date)
        if self.kind == "boolean":
            return as_truth(cells, self.levels)
        return as_numbers(cells, numerals)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "coded": self.coded}


def _apart(days: Array) -> float:
    """The median number of days from one day to the next of those that occur, two at least."""
    return float(np.median(np.diff(np.unique(np.floor(days)))))


@dataclass(frozen=True)
class Coded:
    """The coded columns (N,) of a table, an array of rows (n, D) for each slice of it."""

    columns: Sequence[Array | Mask]
    rows: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, len(self.columns)

    def __getitem__(self, rows: slice) -> Array:
        first, last, _ = rows.indices(self.rows)
        out = np.empty((last - first, len(self.columns)))
        for start in range(0, len(out), BLOCK):  # fits the cache: 5 times as fast
            block, there = out[start : start + BLOCK], slice(first + start, last)
            for place, numbers in enumerate(self.columns):
                block[:, place] = numbers[there][: len(block)]
        return out


@dataclass(frozen=True)
class Columns:
    """The inputs and targets of a table, applicable to other rows with the same columns.

    ``classes``: the words of a classification's target in all rows used; None for numbers.
    ``left_out``: columns that are not inputs, with the reasons. ``missing``: cells that count as
    missing. ``table``: the names of all columns of the table but the targets, in its order; () of a
    run of a version that did not record them. ``units``: the words behind the numbers of columns.
    ``version``: of the rules by which cells are read; by the first, which is not recorded, words
    for missing cells with blanks around them are words, and a year among dates is its first day; by
    the first two, months, quarters and weeks, numbers with a unit, points among numbers and errors
    of spreadsheets, times and durations are words, 20200131 is a number, dates have neither week
    nor day, words are too many from 51 on, and an input that is constant in the training rows has
    the sd 1.
    """

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    numerals: Numerals = Numerals()  # noqa: RUF009 immutable
    missing: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    table: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION

    @property
    def target_kind(self) -> str:
        return "number" if self.classes is None else "category"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs' coded columns."""
        return tuple(name for column in self.inputs for name in column.coded)

    @property
    def of_words(self) -> frozenset[str]:
        """The columns whose cells are text even where a file has nothing but numbers in them."""
        words = {column.name: column.levels for column in self.inputs if column.kind == "category"}
        words |= {self.targets[0]: self.classes} if self.classes is not None else {}
        return frozenset(name for name, known in words.items() if of_text(known))

    def cells(self, frame: Any, name: str) -> Any:
        """A column of a frame without its unit, with NaN where cells count as missing."""
        cells = blanked(frame[name], self.missing, self.numerals, self.version)
        return without(self.units[name], cells) if name in self.units else cells

    def has_targets(self, frame: Any) -> bool:
        """Whether a frame has a column for each target."""
        return {*self.targets} <= {*frame.columns}

    def fitted(self, frame: Any, train: NDArray[np.int64]) -> Columns:
        """The columns with their coding fitted on the training rows, given by index."""
        trains = np.zeros(len(frame), bool)
        trains[train] = True
        train = np.flatnonzero(trains)  # in order, which matters to the time only
        with ThreadPoolExecutor(2) as threads:  # NumPy's sorting does not hold the others up
            known = train, self.numerals, self.version
            fit = threads.map(lambda c: c.fitted(self.cells(frame, c.name), *known), self.inputs)
            return replace(self, inputs=tuple(fit))

    def with_classes(self, frame: Any) -> Columns:
        """The columns with the classes of a frame's rows, if the target is classes."""
        if self.classes is None:
            return self
        cells = self.cells(frame, self.targets[0])
        words, _ = known_words(cells, self.classes, self.numerals)
        return replace(self, classes=class_words(words))

    def check(self, frame: Any, source: str, *, targets: bool = True) -> None:
        """Raises SettingError if a frame lacks a column or has a cell of another kind."""
        numbers = [Column(name, self.target_kind) for name in self.targets if targets]
        needed = [*self.inputs, *numbers]
        lacking = [column.name for column in needed if column.name not in frame.columns]
        problems = [f"it has no column {', '.join(map(shown, lacking))}"] if lacking else []
        for column in needed:
            if column.name in lacking or column.kind == "category":
                continue
            cells = self.cells(frame, column.name)
            wrong = column.values(cells, self.numerals)[1]
            if wrong.any():
                row = int(wrong.argmax())
                problems.append(
                    f"column {shown(column.name)} has {shown(str(cells.iloc[row]))} in row "
                    f"{row + 1}, where {column.needed} is needed"
                )
        if problems:
            raise SettingError(f"{source}: {'; '.join(problems)}")

    def of_another(
        self,
        ways: Iterable[Callable[[], tuple[Any, Any]]],
        source: str,
        *,
        targets: bool = True,
    ) -> tuple[Any, Any]:
        """The table of another file, and how it was read, in the first of these ways in which it
        has the columns; without ``targets`` it may lack these.

        Its numbers are numbers then, however they are written there. If none will do, raises the
        SettingError of the last of those that found most columns.
        """
        errors: list[tuple[int, SettingError]] = []
        for way in ways:
            found = -1
            try:
                frame, reading = way()
                frame = self._by_place(frame, source)
                found = sum(column.name in frame.columns for column in self.inputs)
                there = replace(self, numerals=reading.numerals)
                there.check(frame, source, targets=targets or self.has_targets(frame))
                return there.numbered(frame), reading
            except SettingError as error:
                errors.append((found, error))
        raise max(reversed(errors), key=lambda each: each[0])[1]

    def _by_place(self, frame: Any, source: str) -> Any:
        """The frame; if its columns have no names, and had none, with those of the table's columns
        without the targets where they are as many: what is behind a target had another place there.
        """
        whole = len(self.table) + len(self.targets)
        places = unique([""] * max(whole, frame.shape[1]))[0]
        if [*frame.columns] != places[: frame.shape[1]] or not self.table:
            return frame
        if {*self.table, *self.targets} != {*places[:whole]} or frame.shape[1] == whole:
            return frame
        for names in (self.table, [column.name for column in self.inputs]):
            if frame.shape[1] == len(names):
                return frame.set_axis(names, axis=1)
        raise SettingError(
            f"{source}: it has {counted(frame.shape[1], 'column')} without names, and the training "
            f"table has {whole}: give it these, or the {len(self.table)} that are no targets, or "
            f"the inputs alone ({len(self.inputs)}), in that order"
        )

    def numbered(self, frame: Any) -> Any:
        """The frame, which has been checked, with numbers in place of their text."""
        names = [column.name for column in self.inputs if column.kind == "number"]
        names += self.targets if self.classes is None and self.has_targets(frame) else ()
        numbers = {
            name: as_numbers(self.cells(frame, name), self.numerals)[0]
            for name in names
            if frame[name].dtype.kind not in "iuf"
        }
        return with_cells(frame, numbers)

    def spelt(self, frame: Any, other: Any) -> Any:
        """The frame with words in place of codes that are floating-point here, as missing cells
        make them, and text in the ``other`` frame.
        """
        names = [column.name for column in self.inputs if column.kind == "category"]
        names += self.targets if self.classes is not None else ()
        words = {
            name: spelt(frame[name])
            for name in names
            if frame[name].dtype.kind == "f" and other[name].dtype.kind not in "iufb"
        }
        return with_cells(frame, words)

    def lacking(self, frame: Any) -> Mask:
        """The rows (N,) in which an input is missing."""
        lacks = np.zeros(len(frame), dtype=bool)
        for column in self.inputs:
            cells = self.cells(frame, column.name)
            if column.kind == "category":
                lacks |= cells.isna().to_numpy()
            else:  # of which more words are missing cells
                lacks |= np.isnan(column.values(cells, self.numerals)[0])
        return lacks

    def coded(self, frame: Any) -> Coded:
        """The inputs of a frame's rows, for slices of them."""
        columns = [
            numbers
            for column in self.inputs
            for numbers in column.encode(self.cells(frame, column.name), self.numerals)
        ]
        return Coded(columns, len(frame))

    def encode(self, frame: Any) -> Array:
        """The inputs (N, D) of a frame's rows."""
        return self.coded(frame)[:]

    def values(self, frame: Any) -> Array:
        """The targets (N, M) of a frame's rows, NaN where they are missing; classes are one-hot."""
        columns = [self.cells(frame, name) for name in self.targets]
        if self.classes is not None:
            words, index = known_words(columns[0], self.classes, self.numerals)
            one_hot = (np.array(words)[:, None] == np.array(self.classes)).astype(np.float64)
            one_hot[~one_hot.any(axis=1)] = np.nan
            targets: Array = one_hot[index]
            return targets
        return np.column_stack([as_numbers(cells, self.numerals)[0] for cells in columns])

    def to_json(self) -> dict[str, Any]:
        return {
            "inputs": [column.to_json() for column in self.inputs],
            "targets": list(self.targets),
            "classes": self.classes and list(self.classes),
            "numerals": asdict(self.numerals),
            "missing": list(self.missing),
            "left_out": dict(self.left_out),
            "table": list(self.table),
            "units": dict(self.units),
            "version": self.version,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Columns:
        """The columns that ``to_json`` wrote. Raises KeyError or TypeError for anything else."""
        columns = []
        # unique as those of a table are: older versions left blanks around them
        names, _, _ = unique(entry["name"] for entry in content["inputs"])
        for name, entry in zip(names, content["inputs"], strict=True):
            fields = {key: value for key, value in entry.items() if key != "coded"}
            levels = tuple(fields["levels"])
            columns.append(Column(**{**fields, "name": name, "levels": levels}))
        return cls(
            inputs=tuple(columns),
            targets=tuple(name.strip() for name in content["targets"]),
            classes=None if (classes := content.get("classes")) is None else tuple(classes),
            numerals=Numerals(**content["numerals"]),
            missing=tuple(content["missing"]),
            left_out=tuple(content["left_out"].items()),
            table=tuple(map(str, content.get("table", ()))),
            units=dict(content.get("units", {})),
            version=int(content.get("version", 1)),
        )
