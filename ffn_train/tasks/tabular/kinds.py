"""The kind of an input column, and what is odd in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.categories import as_words
from ffn_train.tasks.tabular.cells import (
    TEXT,
    as_numbers,
    as_truth,
    distinct,
    factorized,
    named,
    pair_of,
    shown,
)
from ffn_train.tasks.tabular.columns import Column
from ffn_train.tasks.tabular.dates import (
    CLOCKS,
    COMPACT,
    DURATION,
    are_compact,
    as_days,
    date_forms,
    iso,
)
from ffn_train.tasks.tabular.marks import Marks
from ffn_train.tasks.tabular.numerals import BLANKS, MISSING, Numerals, missing_words
from ffn_train.tasks.tabular.problems import WORDS, Problems, as_missing, paste, wrong_cells
from ffn_train.tasks.tabular.roles import Wanted

LEVELS = 64  # a category with more levels, or more than half as many as rows, is left out,
COMMON_LEVELS, COMMON = 256, 4  # or with more than these if nine in ten are in so many rows
CODES = 10  # up to this many distinct numbers in a target may be codes of classes
RARE = 0.005  # a value that stands for missing cells is in at least this share of the rows
HOURS = 24  # up to so many different times of day, or durations, are a category
_OPEN = re.compile(r"[<>≤≥]\s*=?\s*\d+|\d+\s*\+")  # the last or first of some levels
_CODE = re.compile(r"\d+[A-Za-z]")
_IDENTIFIER = re.compile(  # pandas reads the index that it has written as Unnamed: 0
    r"(?i:id|uuid|guid|index|key|no\.?|nr\.?)|.*_(?i:id)|.*[a-z]I[Dd]|Unnamed: 0"
)


def numbers_of(cells: Any, numerals: Numerals, version: int) -> tuple[Any, Any]:
    """``as_numbers``; points and asterisks are words where no cell is a number."""
    values, wrong = as_numbers(cells, numerals)
    if cells.dtype.kind not in "iuf" and (version < 3 or not np.isfinite(values).any()):
        wrong |= named(cells, BLANKS | MISSING - missing_words(version), numerals)
    return values, wrong


def is_text(cells: Any, wrong: Any) -> bool:
    """Whether at least the share ``TEXT`` of the cells are ``wrong``, no numbers."""
    present = int(cells.notna().sum())
    return present > 0 and wrong.sum() >= TEXT * present


def kind_of(
    name: str, cells: Any, marks: Marks, roles: Wanted, problems: Problems
) -> Column | str | None:
    """A column with its kind, or the reason to leave it out; None if that is a problem."""
    if cells.dtype.kind not in "iuf" and not cells.notna().any():
        return "it is empty"
    if cells.dtype.kind == "M":
        return Column(name, "date", date=iso(roles.version))
    if cells.dtype.kind == "b":
        return Column(name, "boolean")
    each = distinct(cells)
    plain = cells.dtype.kind in "iuf"
    values, wrong = numbers_of(each, marks.numerals, roles.version)
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
    forms = [] if plain else date_forms(each, roles.dates, roles.version)
    if forms and forms[0] in (*CLOCKS, DURATION) and len(each) <= HOURS:
        return Column(name, "category")
    if len(forms) == 1:
        if not as_days(each, forms[0])[1].any():
            return Column(name, "date", date=forms[0])
        undated = as_days(cells, forms[0])[1]
        trouble, words = f"has {wrong_cells(cells, undated, 'date')}", as_missing(cells[undated])
        problems.add(name, trouble, "missing", "categories", "drop", missing=words)
        return None
    words = each[wrong].astype(str).str.strip()
    if roles.version > 2 and len(each) <= CODES and all(map(_OPEN.fullmatch, words)):
        return Column(name, "category")
    wrong = numbers_of(cells, marks.numerals, roles.version)[1]
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
        trouble, listed = f"has {wrong_cells(cells, wrong)}", as_missing(cells[wrong])
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


def odd(column: Column, cells: Any, unnamed: Sequence[str], version: int) -> tuple[str, str]:
    """The reason to leave out an input, or else a remark on it; "" for none.

    ``unnamed``: the columns of the table without a name, of which a single one may be an index.
    """
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
    if column.kind == "date" and column.date not in (*CLOCKS, COMPACT, DURATION):
        return "", _sentinel_date(cells, column.date)
    if column.kind != "number" or cells.dtype.kind not in "iuf":
        return "", ""
    values = cells.to_numpy()
    if (values == values[0]).all():
        return "", "the same in all rows"
    counts = values.dtype.kind in "iu" and len(values) > 2 and values[0] in (0, 1)
    if counts and (np.diff(values) == 1).all():
        drop = paste("task.drop", [column.name])
        reason = "it counts the rows"
        if column.name in unnamed:
            return reason, ""
        return "", f"{reason} ({drop} leaves it out)"
    identifies = _IDENTIFIER.fullmatch(column.name) or [*unnamed] == [column.name]
    if values.dtype.kind in "iu" and identifies and cells.is_unique:
        drop = paste("task.drop", [column.name])
        return "", f"it may only tell the rows apart ({drop} leaves it out)"
    return "", sentinel(cells)


def sentinel(cells: Any) -> str:
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
        if _is_apart(values, value):
            return _far(word, int(hits))
    return ""


def _sentinel_date(cells: Any, form: str) -> str:
    """``sentinel`` of dates, such as 9999-12-31, of which any may stand for missing ones."""
    days, (codes, uniques) = as_days(cells, form)[0], factorized(cells)
    for extreme in (np.fmin, np.fmax):
        day = extreme.reduce(days)
        where = np.flatnonzero(days == day)
        if len(where) >= max(3, RARE * len(days)) and _is_apart(days, day):
            word = uniques.astype(str).iloc[codes[where[0]]]  # as ``named`` has it
            return _far(word.strip(), len(where))
    return ""


def _is_apart(values: Array, value: float) -> bool:
    """Whether a value is further from all others, of more than a few, than these are apart."""
    rest = values[(values != value) & ~np.isnan(values)]
    with np.errstate(over="ignore"):
        apart = len(rest) > 0 and np.abs(rest - value).min() > np.ptp(rest)
    return bool(apart and len(np.unique(rest)) > CODES)


def _far(word: str, hits: int) -> str:
    setting = paste("task.missing", [word])
    return f"{word} in {hits:,} rows, far from the rest ({setting})"
