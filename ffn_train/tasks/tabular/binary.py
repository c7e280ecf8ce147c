"""NumPy's arrays, workbooks, parquet and frames in memory as tables; nothing is executed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any

import numpy as np

from ffn_train.config.settings import SettingError, first_line
from ffn_train.tasks.tabular.cells import shown, with_cells
from ffn_train.tasks.tabular.content import too_large
from ffn_train.tasks.tabular.dialect import LINES, Given, header_and_units, of_skipped
from ffn_train.tasks.tabular.numerals import Numerals, missing_words, numerals_of
from ffn_train.tasks.tabular.reading import Reading, unique


def settled(frame: Any, kind: str, hints: Given, **read: Any) -> tuple[Any, Reading]:
    """A frame as the table of a text file: with unique names, text in place of bytes, days in place
    of durations, the machine's order of bytes, and no words for missing cells.

    Numbers in cells of text are written as the settings say, and numbers beside text are made so.
    Raises SettingError for bytes that are not UTF-8.
    """
    names, unnamed, renamed = unique(frame.columns)
    frame = frame.set_axis(names, axis=1)
    numerals = numerals_of((), hints.decimal, hints.thousands)

    def written(cell: Any) -> Any:
        number = isinstance(cell, (float, np.floating, Decimal))
        return str(cell).replace(".", numerals.decimal) if number else cell

    texts, usual = {}, missing_words(hints.version)
    for name, cells in frame.items():
        if isinstance(cells.dtype, np.dtype) and not cells.dtype.isnative:  # pandas cannot count it
            cells = texts[name] = cells.astype(cells.dtype.newbyteorder("="))
        words = getattr(cells.dtype, "categories", ())
        arrow = hasattr(cells.dtype, "pyarrow_dtype") and cells.dtype.kind == "O"  # bytes, lists
        if arrow or cells.dtype.kind == "S" or any(isinstance(word, bytes) for word in words):
            cells = cells.astype(object)
        if cells.dtype == object and any(isinstance(cell, bytes) for cell in cells):
            cells = texts[name] = _decoded(name, cells)
        if cells.dtype.kind == "m" and hints.version > 2:
            texts[name] = cells.dt.total_seconds() / 86400
        if cells.dtype == object and numerals.decimal != ".":
            cells = cells.map(written, na_action="ignore")
        if cells.dtype.kind not in "iufbcmM":
            missing = np.array([isinstance(c, str) and c in usual for c in cells], dtype=bool)
            texts[name] = cells.mask(missing) if missing.any() else cells
    categorical = tuple(name for name, cells in frame.items() if hasattr(cells.dtype, "categories"))
    about = {**read, **asdict(numerals), "unnamed": unnamed, "renamed": renamed}
    return with_cells(frame, texts), Reading(kind, len(frame), categorical=categorical, **about)


def _decoded(name: str, cells: Any) -> Any:
    """The cells with the text that bytes among them stand for."""
    try:
        return cells.map(lambda cell: cell.decode() if isinstance(cell, bytes) else cell)
    except UnicodeDecodeError:
        raise SettingError(f"column {shown(name)} has bytes that are not UTF-8 text") from None


def arrays(files: Mapping[str, Any], kind: str, hints: Given) -> tuple[Any, Reading]:
    """The columns of NumPy's arrays: a matrix x has the columns x0, x1, ..."""
    import pandas as pd

    columns: list[tuple[str, Any]] = []
    for name, file in files.items():
        try:
            array = np.lib.format.read_array(file, allow_pickle=False)
        except (ValueError, MemoryError, EOFError, SyntaxError) as error:
            objects = "objects, which are not read" in str(error) or "allow_pickle" in str(error)
            reason = "Python objects, which are not read" if objects else first_line(error)
            raise SettingError(
                f"has a NumPy array {name!r} that cannot be used: {reason}"
            ) from error
        if array.dtype.names and array.ndim == 1:
            columns += [(field, array[field]) for field in array.dtype.names]
        elif array.ndim == 2 and array.shape[1] > 1:
            columns += [(f"{name or 'column'}{i}", array[:, i]) for i in range(array.shape[1])]
        elif array.ndim in (1, 2):
            columns.append((name or "column0", array.reshape(-1)))
        else:
            raise SettingError(f"has an array {name!r} of shape {array.shape}: rows are needed")
    shapes = [column.shape for _, column in columns]
    if len({*shapes}) > 1 or any(len(shape) > 1 for shape in shapes):
        listed = ", ".join(f"{name} has {len(column)}" for name, column in columns)
        raise SettingError(f"has arrays of different lengths: {listed}")
    frame = pd.DataFrame(dict(enumerate(column for _, column in columns)))
    frame.columns = [name for name, _ in columns]
    return settled(frame, kind, hints)


def excel(file: io.BytesIO, hints: Given) -> tuple[Any, Reading]:
    """The first sheet of a workbook that is not empty."""
    import pandas as pd

    try:
        import openpyxl  # noqa: F401
    except ImportError:
        raise SettingError(
            "is an Excel workbook: pip install 'ffn_train[excel]' reads it, or save it as CSV"
        ) from None
    try:
        sheets = pd.read_excel(
            file,
            sheet_name=None,
            header=None,
            engine="openpyxl",
            keep_default_na=False,
            na_values=sorted(missing_words(hints.version)),
        )
    except Exception as error:  # openpyxl raises any for a damaged workbook
        raise SettingError(
            f"is an Excel workbook that cannot be read: {first_line(error)}"
        ) from error
    skipped = [sheet.iloc[hints.skip :] for sheet in sheets.values()]
    filled = [sheet.dropna(how="all").dropna(how="all", axis=1) for sheet in skipped]
    cells = next((sheet for sheet in filled if sheet.size), None)
    if cells is None:
        raise SettingError("is empty: a header line and rows are needed")
    top = cells.head(LINES).astype(object).where(cells.head(LINES).notna(), "")
    rows = [[_as_typed(cell).strip() for cell in row] for row in top.to_numpy().tolist()]
    header, units = header_and_units(rows, Numerals(), hints)
    places = cells.index  # an empty row among the others is one of the table
    above = int(places[header + units - 1]) + 1 if header else int(places[0])
    frame = cells.reindex(range(above, int(places[-1]) + 1)).reset_index(drop=True).infer_objects()
    frame.columns = rows[0] if header else [""] * cells.shape[1]
    kind = "Excel" if len(filled) == 1 else f"Excel, the first of {len(filled)} sheets"
    remarks = () if header else of_skipped(hints)
    return settled(frame, kind, hints, header=header, units=units, remarks=remarks)


def _as_typed(cell: Any) -> str:
    """A cell's text: a year above numbers with fractions is 2019 all the same."""
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell) if whole else cell)


def parquet(file: io.BytesIO, hints: Given, largest: int) -> tuple[Any, Reading]:
    """The table in a parquet file, with its index if that has a name."""
    import pandas as pd

    try:
        from pyarrow import parquet as arrow
    except ImportError:
        raise SettingError(
            "is a parquet file: pip install 'ffn_train[parquet]' reads it, or save it as CSV"
        ) from None
    try:
        about = arrow.ParquetFile(file).metadata
        if sum(about.row_group(i).total_byte_size for i in range(about.num_row_groups)) > largest:
            raise too_large(largest)
        frame = pd.read_parquet(file, engine="pyarrow")
        frame = frame.reset_index(drop=not any(frame.index.names))
    except SettingError:
        raise
    except Exception as error:  # Arrow raises any for a damaged file
        raise SettingError(f"is a parquet file that cannot be read: {first_line(error)}") from error
    return settled(frame, "parquet", hints)
