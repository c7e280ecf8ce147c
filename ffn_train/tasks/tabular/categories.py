"""The words of a category, however the file that has them was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.tasks.tabular.cells import factorized
from ffn_train.tasks.tabular.numerals import Numerals

EXACT = np.float64(2**53)  # up to which floating-point numbers tell integers apart


def as_words(cells: Any) -> tuple[list[str], NDArray[np.int64]]:
    """The distinct words of a category, sorted, "" where missing, and the index (N,) of each cell's
    word; the code 3.0 is the word 3.
    """
    codes, uniques = factorized(cells)
    number = _digits if cells.dtype.kind == "f" else str
    texts = [*(number(cell).strip() for cell in uniques), *([""] if (codes < 0).any() else [])]
    words, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
    return words.tolist(), places.take(codes)  # the code of a missing cell is -1


def spelt(cells: Any) -> Any:
    """The codes of a category as text, as ``as_words`` has them, and NaN where missing."""
    import pandas as pd

    words, index = as_words(cells)
    texts = np.array([word or np.nan for word in words], dtype=object)
    return pd.Series(texts.take(index), cells.index, dtype=object)


def _digits(value: float) -> str:
    """The number in 15 digits, in which 0.1 + 0.2 is 0.3, or all digits of a longer code."""
    return f"{value:.{17 if abs(value) >= 1e15 else 15}g}"


def too_long(cells: Any) -> bool:
    """Whether there are numbers among cells that several codes would be read as."""
    return cells.dtype.kind == "f" and bool(cells.abs().between(EXACT, np.finfo(float).max).any())


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
    return _digits(value) if value is not None and abs(value) < EXACT else None


def of_text(known: Iterable[str]) -> bool:
    """Whether a category with these words was read as text, not as numbers or true and false."""
    return any(_among_numbers(word, Numerals()) != word for word in known)


def known_words(
    cells: Any, known: Sequence[str], numerals: Numerals
) -> tuple[list[str], NDArray[np.int64]]:
    """``as_words`` of a category that has these words, whatever pandas took its cells for.

    Of text, what stands for a number that is known is that one; of numbers, of true and false, and
    of these words in another case, what one known word alone stands for is that word.
    """
    words, index = as_words(cells)
    there = {*known}
    if of_text(known):
        forms = [_among_numbers(word, numerals) for word in known]
        stands_for: dict[str | None, str] = {
            form: word
            for form, word in zip(forms, known, strict=True)
            if form is not None and forms.count(form) == 1
        }
        typed = _not_text(cells) | {word for word in words if word.lower() in ("true", "false")}
        words = [
            stands_for.get(_among_numbers(word, numerals), word)
            if word in typed and word not in there
            else word
            for word in words
        ]
    elif cells.dtype.kind not in "iufb":
        words = [_among_numbers(word, numerals) or word for word in words]
    absent = there - {*words}
    if absent:
        words = [
            word if word in there else next((w for w in _older(word) if w in absent), word)
            for word in words
        ]
    return words, index


def _not_text(cells: Any) -> set[str]:
    """The words of cells that are numbers, or true and false, by themselves: text may be beside
    them in a workbook and in memory.
    """
    if cells.dtype.kind in "iufb":
        return {*as_words(cells)[0]}
    uniques = factorized(cells)[1] if cells.dtype != object else cells.dropna()
    return {str(cell).strip() for cell in uniques if not isinstance(cell, str)}


def _older(word: str) -> tuple[str, str]:
    """The words that older versions made of such cells: of bytes, and of a long code among gaps."""
    value = Numerals().value(word)
    long = value is not None and abs(value) >= 1e15
    return repr(word.encode()), f"{value:.15g}" if long else word
