"""The kinds of a table's columns, and their coding as numbers, fitted on the training rows."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.dialect import Numerals
from ffn_train.tasks.tabular.reading import unique

LEVELS = 50  # a category with more levels, or more than half as many as rows, is left out
TEXT = 0.9  # a column is text if at least this share of its cells are not numbers
YEAR = 365.25  # days
MISSING, OTHER = "(missing)", "(other)"
_TRUTH = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0, "y": 1.0, "n": 0.0, "t": 1.0, "f": 0.0}
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?")
_DAY_FIRST = ("%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d/%m/%y", "%d.%m.%y")
_MONTH_FIRST = ("%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%m/%d/%y", "%m.%d.%y")
_WORDED = ("%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%y")
_DAY = datetime(2001, 2, 3)
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Column:
    """An input column and its coding as numbers.

    ``kind``: number, boolean, date or category. ``fill``: the value for missing cells, the median
    of the training rows; ``indicator``: whether an extra column marks missing cells. ``levels``:
    the words of a category; once it is fitted, those that have a column each, of at least two
    training rows, while all others share one. ``pooled``: whether training rows have such others;
    if not, that column was not trained and stays 0. ``date``: the format of dates; ``season``:
    whether the day of the year has two columns in addition to the days since 1970. All but kind and
    format are fitted on the training rows.
    """

    name: str
    kind: str
    date: str = ""
    fill: float = 0.0
    indicator: bool = False
    levels: tuple[str, ...] = ()
    pooled: bool = False
    season: bool = False

    @property
    def coded(self) -> tuple[str, ...]:
        """The names of the coded columns."""
        if self.kind == "category":
            missing = (MISSING,) if self.indicator else ()
            return tuple(f"{self.name}={level}" for level in (*self.levels, *missing, OTHER))
        parts = [self.name]
        parts += [f"{self.name} {wave}" for wave in ("sine", "cosine") if self.season]
        parts += [f"{self.name}={MISSING}"] if self.indicator else []
        return tuple(parts)

    def fitted(self, cells: Any, train: NDArray[np.int64], numerals: Numerals) -> Column:
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
        season = self.kind == "date" and present.size > 0 and float(np.ptp(present)) >= YEAR
        return replace(self, fill=fill, indicator=len(present) < len(values), season=season)

    def encode(self, cells: Any, numerals: Numerals) -> list[Array | Mask]:
        """The coded columns of N cells, (N,) each; a mask is 1 and 0."""
        if self.kind == "category":
            words, index = _known_words(cells, self.levels, numerals)
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
        turn = 2 * np.pi * ((values / YEAR) % 1) if self.season else values
        waves = [np.sin(turn), np.cos(turn)] if self.season else []
        coded = [values, *waves, *([missing] if self.indicator else [])]
        if numeric:
            return coded
        codes, _ = _distinct(cells)
        return [numbers.take(codes) for numbers in coded]

    def values(self, cells: Any, numerals: Numerals) -> tuple[Array, Mask]:
        """The number (N,) of each cell of a kind other than category, NaN where missing, and a mask
        (N,) of the cells that are not of this kind.
        """
        if self.kind == "date":
            return as_days(cells, self.date)
        if self.kind == "boolean":
            return as_truth(cells)
        return as_numbers(cells, numerals)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "coded": self.coded}


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
    missing.
    """

    inputs: tuple[Column, ...]
    targets: tuple[str, ...]
    classes: tuple[str, ...] | None = None
    numerals: Numerals = Numerals()  # noqa: RUF009 immutable
    missing: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

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
        return frozenset(name for name, known in words.items() if _textual(known))

    def cells(self, frame: Any, name: str) -> Any:
        """A column of a frame, with NaN in place of the cells that count as missing."""
        return blanked(frame[name], self.missing, self.numerals)

    def has_targets(self, frame: Any) -> bool:
        """Whether a frame has a column for each target."""
        return {*self.targets} <= {*frame.columns}

    def fitted(self, frame: Any, train: NDArray[np.int64]) -> Columns:
        """The columns with their coding fitted on the training rows, given by index."""
        trains = np.zeros(len(frame), bool)
        trains[train] = True
        train = np.flatnonzero(trains)  # in order, which matters to the time only
        inputs = (c.fitted(frame[c.name], train, self.numerals) for c in self.inputs)
        return replace(self, inputs=tuple(inputs))

    def with_classes(self, frame: Any) -> Columns:
        """The columns with the classes of a frame's rows, if the target is classes."""
        if self.classes is None:
            return self
        cells = self.cells(frame, self.targets[0])
        words, _ = _known_words(cells, self.classes, self.numerals)
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
                    f"{row + 1}, where a {column.kind} is needed"
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
                found = sum(column.name in frame.columns for column in self.inputs)
                there = replace(self, numerals=reading.numerals)
                there.check(frame, source, targets=targets or self.has_targets(frame))
                return there.numbered(frame), reading
            except SettingError as error:
                errors.append((found, error))
        raise max(reversed(errors), key=lambda each: each[0])[1]

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

    def lacking(self, frame: Any) -> Mask:
        """The rows (N,) in which an input is missing."""
        lacks = np.zeros(len(frame), dtype=bool)
        for column in self.inputs:
            lacks |= self.cells(frame, column.name).isna().to_numpy()
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
            words, index = _known_words(columns[0], self.classes, self.numerals)
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
        )


def shown(text: str) -> str:
    """The text in quotes, on one line, shortened to 40 characters."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def with_cells(frame: Any, cells: Mapping[str, Any]) -> Any:
    """The frame with other cells in these columns, of any name."""
    changed = frame.copy(deep=False)
    for name, column in cells.items():
        changed[name] = column
    return changed


def named(cells: Any, words: Collection[str], numerals: Numerals) -> Mask:
    """Which cells (N,) are one of these words or, of numbers, have the value of one.

    The words are written as the numbers are, or as a setting that is a number.
    """
    if cells.dtype.kind in "iuf":
        values = [value for word in words if (value := _meant(word, numerals)) is not None]
        hits: Mask = cells.isin(values).to_numpy(bool)
        return hits
    codes, uniques = _distinct(cells)
    return np.append(uniques.astype(str).str.strip().isin(words).to_numpy(bool), False).take(codes)


def _meant(word: str, numerals: Numerals) -> float | None:
    value = numerals.value(word)
    return Numerals().value(word) if value is None else value


def blanked(cells: Any, missing: Collection[str], numerals: Numerals) -> Any:
    """The cells, with NaN in place of those that ``missing`` names."""
    hits = named(cells, missing, numerals) if missing else np.zeros(0, dtype=bool)
    return cells.mask(hits) if hits.any() else cells


def handy(cells: Any) -> Any:
    """The cells, with text as indices of its distinct words, which are fast to compare and move,
    and numbers in the machine's order of bytes, without which pandas cannot count them.
    """
    import pandas as pd

    if isinstance(cells.dtype, np.dtype):
        return cells if cells.dtype.isnative else cells.astype(cells.dtype.newbyteorder("="))
    if not isinstance(cells.dtype, pd.StringDtype):
        return cells
    codes, words = pd.factorize(cells)
    return pd.Series(pd.Categorical.from_codes(codes, words), cells.index)


def _hashable(cells: Any) -> Any:
    """The cells, with objects as text: there may be lists, and True and 1 would be the same."""
    return cells.map(str, na_action="ignore") if cells.dtype == object else cells


def _distinct(cells: Any) -> tuple[NDArray[np.integer[Any]], Any]:
    """The index (N,) of each cell's value among the distinct ones, -1 where missing, and these."""
    import pandas as pd

    if isinstance(cells.dtype, pd.CategoricalDtype):
        codes = cells.cat.codes.to_numpy()
        for some in (codes[: 16 * BLOCK], codes):  # most tables have each word early
            if np.bincount(some + np.int64(1), minlength=1 + len(cells.cat.categories))[1:].all():
                return codes, pd.Series(cells.cat.categories)
    codes, uniques = pd.factorize(_hashable(cells))
    return codes, pd.Series(uniques)


def distinct(cells: Any) -> Any:
    """Each of the cells of text once, without missing ones; cells of numbers as they are."""
    return cells if cells.dtype.kind in "iuf" else _distinct(cells)[1]


def _parsed(cells: Any, parse: Callable[[str], float | None]) -> tuple[Array, Mask]:
    """The numbers of cells, each distinct one parsed once, and a mask of those that fail."""
    codes, uniques = _distinct(cells)
    values = [parse(str(cell).strip()) for cell in uniques]
    table = np.array([math.nan if value is None else value for value in values] + [math.nan])
    wrong = np.array([value is None for value in values] + [False])
    return table.take(codes), wrong.take(codes)


def as_numbers(cells: Any, numerals: Numerals) -> tuple[Array, Mask]:
    """The numbers of a column, NaN where missing, and a mask of cells without a finite number."""
    if cells.dtype.kind in "iuf":
        plain = isinstance(cells.dtype, np.dtype)  # or parquet's types, with their own NA
        values = (
            cells.to_numpy(np.float64) if plain else cells.to_numpy(np.float64, na_value=np.nan)
        )
        wrong = np.isinf(values)
    else:
        values, wrong = _parsed(cells, numerals.value)
        wrong |= np.isinf(values)
    return values, wrong


def as_truth(cells: Any) -> tuple[Array, Mask]:
    """1 and 0 for yes and no, NaN where missing, and a mask of cells that are neither."""
    return _parsed(cells, lambda cell: _TRUTH.get(cell.lower()))


def as_words(cells: Any) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct words of a category, sorted, "" where missing, and the index (N,) of each cell's
    word; the code 3.0 is the word 3.
    """
    codes, uniques = _distinct(cells)
    number = "{:.15g}".format if cells.dtype.kind == "f" else str
    texts = [*(number(cell).strip() for cell in uniques), *([""] if (codes < 0).any() else [])]
    words, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return words.tolist(), places.take(codes)  # the code of a missing cell is -1


def class_words(words: Iterable[str]) -> tuple[str, ...]:
    """The distinct words that are not missing, sorted as numbers if all are numbers."""
    present = sorted({word for word in words if word})
    with suppress(ValueError):
        present.sort(key=float)
    return tuple(present)


def _among_numbers(word: str, numerals: Numerals) -> str | None:
    """What this word is in a column that has only numbers or only true and false; None: text."""
    if word.lower() in ("true", "false"):
        return word.capitalize()
    value = numerals.value(word)
    return None if value is None or math.isnan(value) else f"{value:.15g}"


def _textual(known: Iterable[str]) -> bool:
    """Whether a category with these words was read as text, not as numbers or true and false."""
    return any(_among_numbers(word, Numerals()) != word for word in known)


def _known_words(
    cells: Any, known: Sequence[str], numerals: Numerals
) -> tuple[list[str], NDArray[np.int64]]:
    """``as_words`` of a category that has these words, whatever pandas took its cells for.

    Of text, what stands for a number that is known is that one; of numbers, and of true and false,
    what one known word alone stands for is that word.
    """
    words, index = as_words(cells)
    plain = cells.dtype.kind in "iufb"
    if not plain and not _textual(known):
        words = [_among_numbers(word, numerals) or word for word in words]
    elif plain and _textual(known):
        forms = [_among_numbers(word, numerals) for word in known]
        stands_for = {f: word for f, word in zip(forms, known, strict=True) if forms.count(f) == 1}
        words = [word if word in known else stands_for.get(word, word) for word in words]
    return words, index


def as_days(cells: Any, form: str) -> tuple[Array, Mask]:
    """Days since 1970, NaN where missing, and a mask of cells that are not dates of this format."""
    import pandas as pd

    codes, uniques = _distinct(cells)
    stamps = pd.to_datetime(uniques, format=form, errors="coerce", utc=True)
    epoch = pd.Timestamp("1970-01-01", tz="UTC")
    days = np.append(((stamps - epoch) / pd.Timedelta(days=1)).to_numpy(dtype=np.float64), np.nan)
    wrong = np.append(stamps.isna().to_numpy(), False)
    return days.take(codes), wrong.take(codes)


def _look(word: str) -> str:
    """The word with a 0 for each number and an a for each word in it."""
    return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", " ".join(word.split())))


def date_forms(cells: Any, order: str | None) -> list[str]:
    """The formats in which the most cells are dates, at least the share ``TEXT`` of the distinct
    ones; several if day and month could be swapped.
    """
    if cells.dtype.kind == "M":
        return ["ISO8601"]
    words = [word for word in as_words(cells)[0] if word]
    if sum(map(bool, map(_ISO.fullmatch, words[:20]))) > len(words[:20]) / 2:
        forms: tuple[str, ...] = ("ISO8601",)
    else:
        by_order = {"day_first": _DAY_FIRST, "month_first": _MONTH_FIRST}
        dates = (*by_order.get(order or "", (*_DAY_FIRST, *_MONTH_FIRST)), *_WORDED)
        looks = {_look(word) for word in words[:20]}
        forms = tuple(
            form
            for form in (date + time for date in dates for time in _TIMES)
            if _look(_DAY.strftime(form)) in looks
        )
    import pandas as pd

    probe = pd.Series(words[:20])
    fitting = [form for form in forms if as_days(probe, form)[1].mean() <= 0.5]
    wrong = {form: as_days(pd.Series(words), form)[1].mean() for form in fitting}
    return [form for form in fitting if wrong[form] == min(wrong.values()) <= 1 - TEXT]
