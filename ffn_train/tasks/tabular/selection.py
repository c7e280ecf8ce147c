"""Selects the targets and inputs of a table and detects the kinds of its columns."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, nearest, printable
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.categories import as_words, class_words, too_long
from ffn_train.tasks.tabular.cells import (
    TEXT,
    as_numbers,
    as_truth,
    blanked,
    distinct,
    factorized,
    named,
    pair_of,
    shown,
    unit_of,
    with_cells,
    without,
)
from ffn_train.tasks.tabular.columns import VERSION, Column, Columns
from ffn_train.tasks.tabular.dates import (
    ANY_ISO,
    CLOCKS,
    COMPACT,
    FULL_ISO,
    are_compact,
    as_days,
    date_forms,
    doubts,
)
from ffn_train.tasks.tabular.marks import Marks
from ffn_train.tasks.tabular.numerals import BLANKS, MISSING, Numerals, missing_words
from ffn_train.tasks.tabular.reading import SKIP, Reading, unused

LEVELS = 64  # a category with more levels, or more than half as many as rows, is left out,
COMMON_LEVELS, COMMON = 256, 4  # or with more than these if nine in ten are in so many rows
WORDS = 10  # more different words among numbers are no marks of missing cells
CODES = 10  # up to this many distinct numbers in a target may be codes of classes
RARE = 0.005  # a value that stands for missing cells is in at least this share of the rows
HOURS = 24  # up to so many different times of day are a category
LONG = 200  # characters of a cell that no message repeats in full
LISTED = 20  # columns or problems in a message before the rest is only counted
_OPEN = re.compile(r"[<>≤≥]\s*=?\s*\d+|\d+\s*\+")  # the last or first of some levels
_CODE = re.compile(r"\d+[A-Za-z]")
_IDENTIFIER = re.compile(r"(?i:id|uuid|guid|index|key|no\.?|nr\.?)|.*_(?i:id)|.*[a-z]I[Dd]")


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


@dataclass
class Selection:
    """Columns that are not yet fitted; ``groups``: the column whose equal rows stay together."""

    columns: Columns
    groups: str | None
    remarks: list[tuple[str, str]] = field(default_factory=list)  # on unusual columns


def paste(key: str, names: Iterable[str]) -> str:
    """The setting that lists these names, quoted for a shell."""
    literal = (name.replace("${", r"\${").replace('"', r"\"") for name in names)
    apart = re.compile(r"[,\[\]'\"]|^\s*$|^null$", re.I)
    quoted = [f'"{name}"' if apart.search(name) else name for name in literal]
    return printable(shlex.quote(f"{key}=[{','.join(quoted)}]")).replace("\n", "\\n")


class _Names:
    """Resolves names in settings: a column's name, its index, or first or last."""

    def __init__(self, frame: Any, reading: Reading, source: str) -> None:
        self.all = list(frame.columns)
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
        if index is not None and -len(self.all) <= index < len(self.all):
            return [self.all[index]]
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


def long_codes(frame: Any, reading: Reading, roles: Wanted, source: str) -> frozenset[str]:
    """The columns of codes whose numbers are too long to be told apart; text would be."""
    names = _Names(frame, reading, source)
    targets = names.of("task.target", roles.target)
    coded = [*names.of("task.categories", roles.categories), *names.of("task.groups", roles.groups)]
    return frozenset(
        name
        for name in (*coded, *(targets if roles.classes else ()))
        if too_long(blanked(frame[name], roles.missing, reading.numerals, roles.version))
    )


def select(frame: Any, reading: Reading, roles: Wanted, source: str) -> Selection:
    """Select targets and inputs and detect their kinds. Raises SettingError with all problems."""
    names = _Names(frame, reading, source)
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
    problems = _Problems()
    for name in sorted(long_codes(frame, reading, roles, source)):
        problems.add(
            name,
            "has codes among floating-point numbers of more than 15 digits, which do not tell them "
            "apart: make them text",
        )
    inputs, remarks = [], [(name, f" in {unit}") for name, unit in units.items()]
    left_out = [(name, "it groups the rows") for name in groups if name not in candidates]
    may_be_classes = len(targets) == 1 and roles.classes is not False
    classes = None
    for name in targets:
        wrong = _numbers(frame[name], reading.numerals, roles.version)[1]
        if roles.classes or (may_be_classes and _is_text(frame[name], wrong)):
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
            elif note := _sentinel(frame[name]):
                remarks.append((name, f": {note}"))
    for name in candidates:
        cells = frame[name]
        kind: Column | str | None
        if name in categories:
            kind = Column(name, "category")
        else:
            kind = _kind(name, cells, marks, roles, problems)
        if isinstance(kind, Column):
            reason, note = _odd(kind, cells, name in reading.unnamed, roles.version)
            asked_for = name in requested or name in categories
            if reason and not asked_for:
                left_out.append((name, reason))
                continue
            remarks += [(name, f": {note}")] if note and not asked_for else []
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


class _Problems:
    """Collects all problems with columns for one message."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._advice: dict[str, list[str]] = {}

    def add(self, name: str, trouble: str, *advice: str, missing: Iterable[str] = ()) -> None:
        """``advice``: settings, or names of those that list columns and, ``missing``, cells."""
        self._found.append((name, trouble))
        for line in advice:
            listed = missing if line == "missing" else [name]
            self._advice.setdefault(line, []).extend(listed)

    def refuse(self, source: str, untitled: Sequence[str]) -> None:
        if not self._found:
            return
        phrases = [f"column {shown(name)} {trouble}" for name, trouble in self._found[:LISTED]]
        if len(self._found) > LISTED:
            phrases.append(f"and {len(self._found) - LISTED} more columns")
        ways = []
        for advice, listed in self._advice.items():
            if "=" in advice:
                ways.append(advice)
            elif listed:
                ways.append(paste(f"task.{advice}", dict.fromkeys(listed)))
        phrases += [f"what helps: {' or '.join(ways)}"] if ways else []
        phrases += [SKIP] if {*untitled} & {name for name, _ in self._found} else []
        raise SettingError(f"{source}: {'; '.join(phrases)}")


def _wrong_cells(cells: Any, wrong: Any, kind: str = "finite number") -> str:
    """How many cells are wrong, in words with the first of them."""
    places = np.flatnonzero(wrong)
    first = str(cells.iloc[places[0]])
    many = f"{len(places):,} cells that are" if len(places) > 1 else "a cell that is"
    row = cells.index[places[0]] + 1  # in the file, of which empty rows are left out by now
    return f"{many} no {kind}, such as {shown(first)} in row {row}"


def _numbers(cells: Any, numerals: Numerals, version: int) -> tuple[Any, Any]:
    """``as_numbers``; points and asterisks are words where no cell is a number."""
    values, wrong = as_numbers(cells, numerals)
    if cells.dtype.kind not in "iuf" and (version < 3 or not np.isfinite(values).any()):
        wrong |= named(cells, BLANKS | MISSING - missing_words(version), numerals)
    return values, wrong


def _is_text(cells: Any, wrong: Any) -> bool:
    """Whether at least the share ``TEXT`` of the cells are ``wrong``, no numbers."""
    present = int(cells.notna().sum())
    return present > 0 and wrong.sum() >= TEXT * present


def _classes(
    name: str, cells: Any, marks: Marks, roles: Wanted, problems: _Problems
) -> tuple[str, ...]:
    """The words of a target of classes; a problem if they are too many or could be numbers."""
    classes = class_words(as_words(cells)[0])
    if not classes:
        problems.add(name, "is a target without a value")
    elif not roles.classes:
        first = str(cells[cells.notna()].iloc[0])
        others = marks.others(first)
        if others or len(classes) > min(LEVELS, len(cells) / 2):
            trouble = f"is a target of text, such as {shown(first)}"
            if not others:
                trouble += f", and has {len(classes):,} different words, many for classes"
            problems.add(name, trouble, *marks.helping(first), "task.classes=true")
    return classes


def _check_numbers(
    name: str, cells: Any, wrong: Any, marks: Marks, problems: _Problems, *, may_be_classes: bool
) -> None:
    if not wrong.any() and np.isnan(as_numbers(cells, marks.numerals)[0]).all():
        problems.add(name, "is a target without a value")
    elif _is_text(cells, wrong):
        first = str(cells[wrong].iloc[0])
        problems.add(name, f"is a target of text, such as {shown(first)}: numbers are needed")
    elif wrong.any():
        few = may_be_classes and cells.nunique() <= min(LEVELS, len(cells) / 2)
        classes = ["task.classes=true"] if few else []
        ways = marks.helping(str(cells[wrong].iloc[0]))
        words, trouble = _as_missing(cells[wrong]), f"has {_wrong_cells(cells, wrong)}"
        problems.add(name, trouble, *ways, *classes, "missing", missing=words)


def _as_missing(cells: Any) -> list[str]:
    """The words that ``task.missing`` may list for these cells; none if they are too many different
    ones, too long or hard to paste.
    """
    words = [*dict.fromkeys(str(cell).strip() for cell in factorized(cells)[1])]
    many = len(words) > WORDS or sum(map(len, words)) > LONG
    return [] if many or not "".join(words).isprintable() else words


def _kind(
    name: str, cells: Any, marks: Marks, roles: Wanted, problems: _Problems
) -> Column | str | None:
    """A column with its kind, or the reason to leave it out; None if that is a problem."""
    iso = FULL_ISO if roles.version > 1 else ANY_ISO
    if cells.dtype.kind not in "iuf" and not cells.notna().any():
        return "it is empty"
    if cells.dtype.kind == "M":
        return Column(name, "date", date=iso)
    if cells.dtype.kind == "b":
        return Column(name, "boolean")
    each = distinct(cells)
    plain = cells.dtype.kind in "iuf"
    values, wrong = _numbers(each, marks.numerals, roles.version)
    if not wrong.any():
        if np.isnan(values).all():
            return "it is empty"
        if roles.version > 2 and are_compact(each, values):
            return Column(name, "date", date=COMPACT)
        return Column(name, "number")
    if name in roles.truths and not as_truth(each)[1].any():
        return Column(name, "boolean")
    if pair := pair_of(each):
        return Column(name, "boolean", levels=pair if len(pair[0]) == 1 else ())
    forms = [] if plain else date_forms(each, roles.dates, iso, months=roles.version > 2)
    if forms and forms[0] in CLOCKS and len(each) <= HOURS:
        return Column(name, "category")
    if len(forms) == 1:
        if not as_days(each, forms[0])[1].any():
            return Column(name, "date", date=forms[0])
        undated = as_days(cells, forms[0])[1]
        trouble, words = f"has {_wrong_cells(cells, undated, 'date')}", _as_missing(cells[undated])
        problems.add(name, trouble, "missing", "categories", "drop", missing=words)
        return None
    words = each[wrong].astype(str).str.strip()
    if roles.version > 2 and len(each) <= CODES and all(map(_OPEN.fullmatch, words)):
        return Column(name, "category")
    wrong = _numbers(cells, marks.numerals, roles.version)[1]
    first = str(cells.iloc[int(wrong.argmax())])
    if forms:
        problems.add(
            name,
            f"has dates such as {shown(first)}, in which day or month may come first",
            "task.dates=day_first",
            "task.dates=month_first",
            "drop",
        )
        return None
    hits, present = int(wrong.sum()), int(cells.notna().sum())
    text = hits >= TEXT * present or (not plain and _are_text(words, hits, len(each), present))
    if marks.others(first) or not text:
        trouble, listed = f"has {_wrong_cells(cells, wrong)}", _as_missing(cells[wrong])
        ways = marks.helping(first) or ["missing", "categories"]
        if all(map(_CODE.fullmatch, words)) and not (values % 1 > 0).any():
            ways.reverse()  # they may be codes, as the whole numbers beside them
        problems.add(name, trouble, *ways, "drop", missing=listed)
        return None
    return Column(name, "category")


def _are_text(words: Any, hits: int, different: int, present: int) -> bool:
    """Whether the numbers beside these words, in so many cells, are text as well.

    They are if the words are the most of what may be a category, or many that do not begin as a
    damaged number may; a few among many numbers may stand for missing cells.
    """
    few = different <= min(LEVELS, present / 2)
    if few and 2 * hits >= present and 2 * len(words) >= different:
        return True
    many = len(words) > WORDS and hits >= (1 - TEXT) * present
    return many and bool(words.str[:1].str.isalpha().all())


def _too_many(words: Sequence[str], index: Any, version: int) -> bool:
    """Whether a category has too many levels for a column each."""
    counts = [n for word, n in zip(words, np.bincount(index), strict=True) if word]
    levels, most = len(counts), LEVELS if version > 2 else 50
    common = levels <= COMMON_LEVELS and sum(n >= COMMON for n in counts) >= 0.9 * levels
    return levels > min(most, len(index) / 2) and not (common and version > 2)


def _odd(column: Column, cells: Any, unnamed: bool, version: int) -> tuple[str, str]:
    """The reason to leave out an input, or else a remark on it; "" for none."""
    if column.kind == "category":
        words, index = as_words(cells)
        levels = sum(map(bool, words))
        if levels == len(words) == 1:
            return "it is one word in all rows", ""
        if _too_many(words, index, version):
            if levels == cells.notna().sum():
                return "its words all differ", ""
            keep = paste("task.categories", [column.name])
            return f"it has {levels:,} different words ({keep} keeps it)", ""
        return "", ""
    if column.kind == "boolean" and cells.notna().all() and len(factorized(cells)[1]) == 1:
        return "", "the same in all rows"
    if column.kind != "number" or cells.dtype.kind not in "iuf":
        return "", ""
    values = cells.to_numpy()
    if (values == values[0]).all():
        return "", "the same in all rows"
    counts = values.dtype.kind in "iu" and len(values) > 2 and values[0] in (0, 1)
    if counts and (np.diff(values) == 1).all():
        drop = paste("task.drop", [column.name])
        reason = "it counts the rows"
        return (reason, "") if unnamed else ("", f"{reason} ({drop} leaves it out)")
    if values.dtype.kind in "iu" and _IDENTIFIER.fullmatch(column.name) and cells.is_unique:
        drop = paste("task.drop", [column.name])
        return "", f"it may only tell the rows apart ({drop} leaves it out)"
    return "", _sentinel(cells)


def _sentinel(cells: Any) -> str:
    """A remark on a number that may stand for missing cells: it is further from all others than
    these are from each other, and too frequent for an outlier.
    """
    if cells.dtype.kind not in "iuf":
        return ""
    values = as_numbers(cells, Numerals())[0]
    some = values[:: max(1, len(values) // (16 * BLOCK))]
    for extreme in (np.fmin, np.fmax):
        if np.count_nonzero(some == extreme.reduce(some)) < RARE / 2 * len(some):
            continue
        value = extreme.reduce(values)
        hits, word = np.count_nonzero(values == value), f"{value:.15g}"
        marks = value < 0 or {*word} <= {*"9."}
        if not marks or hits < max(3, RARE * len(values)):
            continue
        rest = values[(values != value) & ~np.isnan(values)]
        with np.errstate(over="ignore"):
            apart = len(rest) > 0 and np.abs(rest - value).min() > np.ptp(rest)
        if apart and len(np.unique(rest)) > CODES:
            setting = paste("task.missing", [word])
            return f"{word} in {hits:,} rows, far from the rest ({setting})"
    return ""


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
