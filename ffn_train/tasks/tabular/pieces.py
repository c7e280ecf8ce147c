"""Large text files, which pandas reads in pieces by several threads, if the result is the same."""

from __future__ import annotations

import mmap
import os
import re
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.tasks.tabular.cells import handy
from ffn_train.tasks.tabular.numerals import MISSING

LONG_ROW = 2**12  # bytes, of which a piece has several rows still


def fast_and_exact() -> bool:
    """Whether this pandas reads numbers exactly without being told, and files by threads."""
    import pandas as pd

    return tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)


def in_pieces(path: str, before: str, options: Mapping[str, Any]) -> Any:
    """The frame of an uncompressed file in UTF-8 below the lines ``before``; ``options`` of pandas.

    None for a file that cannot be read so, or in which pieces may differ in their kinds of cells:
    the cell 007 is a number only where a piece has no words beside it.
    """
    import pandas as pd

    lines = re.split(r"\r\n|\r|\n", before)
    open_quote = any(line.count('"') % 2 for line in lines)  # pandas would join it to the next
    if open_quote or not fast_and_exact():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            warnings.simplefilter("error", pd.errors.DtypeWarning)
            frame = pd.read_csv(path, compression=None, skiprows=len(lines) - 1, **options)
    except (pd.errors.ParserWarning, pd.errors.DtypeWarning, ValueError, OverflowError):
        return None
    zeros, few = False, os.path.getsize(path) > LONG_ROW * len(frame)
    for name in frame:
        if isinstance(frame[name].dtype, pd.StringDtype):
            frame[name] = handy(frame[name])
        if not _alike(frame[name]):
            return None
        if frame[name].dtype.kind == "f" and not zeros:
            values = frame[name].to_numpy()
            zeros = not values.all() and (few or _zero_by_integer(values))
    return None if zeros and _has_minus_zero(path, options["decimal"]) else frame


def _alike(cells: Any) -> bool:
    """Whether all pieces of a column had the same kind, but for integers among other numbers."""
    import pandas as pd

    if isinstance(cells.dtype, pd.CategoricalDtype):  # numbers too long leave these as they are
        return MISSING.isdisjoint(cells.cat.categories)
    if cells.dtype.kind == "f":  # integers from 2^63 on are a kind of their own
        return bool(np.fmax.reduce(cells.to_numpy(), initial=0) < 2**63)
    return cells.dtype.kind in "iub"


def _zero_by_integer(values: NDArray[np.float64]) -> bool:
    """Whether a 0 may be in a piece of integers, which has the row above or below it too."""
    zeros = np.flatnonzero(values == 0)
    above, below = values[np.maximum(zeros - 1, 0)], values[np.minimum(zeros + 1, len(values) - 1)]
    return bool(((above == np.trunc(above)) | (below == np.trunc(below))).any())


def _has_minus_zero(path: str, decimal: str) -> bool:
    """Whether the integer -0 is in a file: it has a sign only if it is read among fractions."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        integer = rf"-0+(?![\deE{re.escape(decimal)}])"
        return re.search(integer.encode(), content) is not None
