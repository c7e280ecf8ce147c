"""The cells of a column: its distinct ones, and the numbers and words that they stand for."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Array
from ffn_train.tasks.table import BLOCK
from ffn_train.tasks.tabular.numerals import Numerals, missing_words

TEXT = 0.9  # a column is text if at least this share of its cells are not numbers
MEASURED = 10  # numbers with a unit are so if more than this, or half the rows, differ
_UNIT = re.compile(r".*\d\s*((?:[^\W\d_]|°)(?:[^\W\d_]|[°/^])*\d?)")
_SIGN = re.compile("[$€£¥%]")
_PAIRS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"))

Mask = NDArray[np.bool_]


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
    codes, uniques = factorized(cells)
    return np.append(uniques.astype(str).str.strip().isin(words).to_numpy(bool), False).take(codes)


def _meant(word: str, numerals: Numerals) -> float | None:
    value = numerals.value(word)
    return Numerals().value(word) if value is None else value


def blanked(cells: Any, missing: Collection[str], numerals: Numerals, version: int) -> Any:
    """The cells, with NaN in place of those that ``missing`` names and, from version 2 on, of the
    usual words for missing cells, which have blanks around them if a reader has left them.
    """
    if version > 1 and cells.dtype.kind not in "iufbmM":
        missing = missing_words(version).union(missing)
    hits = named(cells, missing, numerals) if missing else np.zeros(0, dtype=bool)
    return cells.mask(hits) if hits.any() else cells


def handy(cells: Any) -> Any:
    """The cells, with text as indices of its distinct words, which are fast to compare and move."""
    import pandas as pd

    if not isinstance(cells.dtype, pd.StringDtype):
        return cells
    codes, words = pd.factorize(cells)
    return pd.Series(pd.Categorical.from_codes(codes, words), cells.index)


def _hashable(cells: Any) -> Any:
    """The cells, with objects as text: there may be lists, and True and 1 would be the same."""
    return cells.map(str, na_action="ignore") if cells.dtype == object else cells


def factorized(cells: Any) -> tuple[NDArray[np.integer[Any]], Any]:
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
    return cells if cells.dtype.kind in "iuf" else factorized(cells)[1]


def _parsed(cells: Any, parse: Callable[[str], float | None]) -> tuple[Array, Mask]:
    """The numbers of cells, each distinct one parsed once, and a mask of those that fail."""
    codes, uniques = factorized(cells)
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


def unit_of(cells: Any, numerals: Numerals) -> str:
    """The word behind different numbers in all cells but 0 and marks of missing ones, or else alone
    there; "" for none.
    """
    if cells.dtype.kind in "iufbmM":
        return ""
    words = [word for cell in factorized(cells)[1] if (word := str(cell).strip()).strip("0.,*")]
    measured = next(filter(None, map(_UNIT.fullmatch, words[:10])), None)
    if measured is None or not all(word.endswith(measured[1]) for word in words):
        return ""
    numbers = {word.removesuffix(measured[1]).strip() for word in words} - {""}
    few = len(numbers) <= min(MEASURED, len(cells) / 2)
    return "" if few or not all(map(numerals.is_number, numbers)) else measured[1]


def signs_of(cells: Any) -> list[str]:
    """The signs in a column of numbers if only some of these have them: one of several currencies,
    or % where others than 0 are without.
    """
    if cells.dtype.kind in "iufbmM":
        return []
    words = (word for cell in factorized(cells)[1] if re.search("[1-9]", word := str(cell)))
    signs = {found[0] if (found := _SIGN.search(word)) else "" for word in words}
    signs -= set() if "%" in signs else {""}
    return sorted(signs - {""}) if len(signs) > 1 else []


def without(unit: str, cells: Any) -> Any:
    """The cells without the unit behind their numbers, NaN in place of a unit alone."""
    if cells.dtype.kind in "iuf":
        return cells
    import pandas as pd

    codes, uniques = factorized(cells)
    bare = [str(cell).strip().removesuffix(unit).strip() or math.nan for cell in uniques]
    return pd.Series(np.array([*bare, math.nan], dtype=object).take(codes), cells.index)


def truth_pairs(letters: Sequence[str]) -> list[tuple[str, str]]:
    """The words for yes and no, in pairs, of which one of letters only if it is this; () is any."""
    return [pair for pair in _PAIRS if len(pair[0]) > 1 or pair == tuple(letters or pair)]


def as_truth(cells: Any, letters: Sequence[str] = ()) -> tuple[Array, Mask]:
    """1 and 0 for yes and no, NaN where missing, and a mask of cells that are neither.

    ``letters``: the pair of letters that alone is so, if any is: n beside t and f may be a code.
    """
    pairs = truth_pairs(letters)
    truth = {yes: 1.0 for yes, _ in pairs} | {no: 0.0 for _, no in pairs}
    return _parsed(cells, lambda cell: truth.get(cell.lower()))


def pair_of(cells: Any) -> tuple[str, str] | None:
    """The pair of words for yes and no that all present cells are of, if they are of one."""
    words = {str(cell).strip().lower() for cell in factorized(cells)[1]}
    return next((pair for pair in _PAIRS if words <= {*pair}), None)
