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

    Of text, what stands for a number that is known is that one; of numbers, and of true and false,
    what one known word alone stands for is that word.
    """
    words, index = as_words(cells)
    plain = cells.dtype.kind in "iufb"
    if not plain and not of_text(known):
        words = [_among_numbers(word, numerals) or word for word in words]
    elif plain and of_text(known):
        forms = [_among_numbers(word, numerals) for word in known]
        stands_for = {f: word for f, word in zip(forms, known, strict=True) if forms.count(f) == 1}
        words = [word if word in known else stands_for.get(word, word) for word in words]
    absent = {*known} - {*words}
    if absent:
        there = {*known}
        words = [
            word if word in there else next((w for w in _older(word) if w in absent), word)
            for word in words
        ]
    return words, index


def _older(word: str) -> tuple[str, str]:
    """The words that older versions made of such cells: of bytes, and of a long code among gaps."""
    value = Numerals().value(word)
    long = value is not None and abs(value) >= 1e15
    return repr(word.encode()), f"{value:.15g}" if long else word
