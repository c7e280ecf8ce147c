"""Tables that are in memory: frames, mappings, arrays and lists of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, first_line


def framed(table: Any, names: Callable[[tuple[int, int]], Sequence[str]]) -> Any:
    """The table as a pandas frame.

    ``table``: a frame, also Arrow's or Polars', a mapping of columns, mappings one by one, or rows
    without names, (N, D): an array, what NumPy can make one of, or a list. ``names``: what their D
    columns are called, by the shape; an array's fields have names. Masked entries are missing
    cells. Raises SettingError, in one line, for anything else.
    """
    import pandas as pd

    if isinstance(table, (str, bytes, os.PathLike)):
        raise SettingError(
            f"the table is {str(table)[:60]!r}: a frame, a mapping of columns or an array is needed"
        )
    if hasattr(table, "to_pandas"):  # as an array it would lose its names
        table = table.to_pandas()
    if isinstance(table, Iterator):
        table = list(table)
    if isinstance(table, np.ndarray) and table.dtype.names:
        table = {name: table[name] for name in table.dtype.names}
    if not isinstance(table, (pd.DataFrame, pd.Series, Mapping, list, tuple)):
        table = array_of(table, "the table", (2,))
    try:
        frame = pd.DataFrame(table)
    except (ValueError, TypeError) as error:
        needed = "a mapping's columns must be arrays or lists of one length"
        trouble = needed if isinstance(table, Mapping) else first_line(error)
        raise SettingError(f"the table cannot be used: {trouble}") from None
    if frame.columns.nlevels > 1:
        frame = frame.set_axis(frame.columns.to_flat_index(), axis=1)
    nameless = isinstance(table, np.ndarray) or (
        isinstance(table, (list, tuple)) and isinstance(frame.columns, pd.RangeIndex)
    )
    return frame.set_axis(list(names(frame.shape)), axis=1) if nameless else frame


def array_of(values: Any, what: str, dimensions: tuple[int, ...]) -> Any:
    """The array of anything that NumPy can make one of. Raises SettingError for other shapes."""
    try:
        if np.ma.is_masked(values):
            whole = values.astype(np.float64 if values.dtype.kind in "iuf" else object)
            values = np.ma.filled(whole, np.nan)
        array = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # a tensor that needs its gradient
        raise SettingError(f"{what} cannot be used: {first_line(error)}") from None
    if array.ndim == 0:
        kind = type(values).__name__
        raise SettingError(f"{what} is one value, of the type {kind}: an array is needed")
    if array.ndim not in dimensions:
        raise SettingError(f"{what} has shape {array.shape}: (N, columns) is needed")
    return array
