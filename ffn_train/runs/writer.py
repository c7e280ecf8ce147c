"""Writes one run's directory, so that what is there can be read at any moment."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from safetensors.numpy import save

from ffn_train.core import Array, Layout
from ffn_train.measures import Rows, row_dtype
from ffn_train.runs import files

_HEADER = 128  # bytes kept for the .npy header, enough for any number of rows


class MeasureFile:
    """A .npy file that grows by a record at a time and that ``numpy.load`` reads at any moment.

    A record is appended first, and then the count in the header, which stands in room kept for it.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void]) -> None:
        self._dtype = dtype
        self._rows = 0
        self._file = path.open("w+b")
        self._head = len(self._header(0))
        self._file.write(self._header(0))
        self._file.flush()

    def _header(self, rows: int) -> bytes:
        # version 1.0 of the format: magic, header length, the header padded with spaces
        text = f"{{'descr': {self._dtype.descr!r}, 'fortran_order': False, 'shape': ({rows},), }}"
        length = -(-(len(text) - len(str(rows)) + _HEADER) // 64) * 64
        body = text.ljust(length - 11) + "\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode()

    def append(self, row: Rows) -> None:
        self._file.seek(self._head + self._rows * self._dtype.itemsize)
        self._file.write(row.tobytes())
        self._file.flush()
        self._rows += 1
        self._file.seek(0)
        self._file.write(self._header(self._rows))
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class RunWriter:
    """The open files of a run that is under way; a context manager.

    ``record`` takes one row of scalars and, where it was measured, its per-layer row.
    """

    def __init__(self, path: Path, layout: Layout, depth: int) -> None:
        self.path = path
        tensors = [{"name": t.name, "shape": list(t.shape)} for t in layout.tensors]
        files.write_json(path / files.LAYOUT, {"depth": depth, "tensors": tensors})
        self._measures = MeasureFile(path / files.MEASURES, row_dtype(len(layout.tensors), depth))
        self._scalars = (path / files.SCALARS).open("w", newline="", encoding="utf-8")
        self._table: csv.DictWriter[str] | None = None

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scalars.close()
        self._measures.close()

    def record(self, scalars: Mapping[str, float], measures: Rows | None) -> None:
        """Append a row; an unknown (NaN) scalar is an empty field."""
        if self._table is None:
            self._table = csv.DictWriter(self._scalars, list(scalars), lineterminator="\n")
            self._table.writeheader()
        self._table.writerow({key: _cell(value) for key, value in scalars.items()})
        if measures is not None:
            self._scalars.flush()  # first, so that a measured step always has its row of scalars
            self._measures.append(measures)


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def write_weights(path: Path, layout: Layout, params: Array) -> None:
    """The final weights by their readable names, as safetensors."""
    named = {name: np.ascontiguousarray(array) for name, array in layout.named(params).items()}
    files.write_whole(path / files.WEIGHTS, save(named))


def make_directory(path: Path | None, stamp: str) -> Path:
    """Make the run's directory: the one named, or a new one under outputs/runs that nobody has.

    Raises FileExistsError if the named directory holds anything already.
    """
    if path is not None:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise FileExistsError(f"{path} is not empty")
        return path
    parent = Path("outputs") / "runs"
    parent.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        candidate = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            os.mkdir(candidate)  # atomic: of two launches in one second, one gets the name
            return candidate
        except FileExistsError:
            attempt += 1


def write_config(path: Path, config: Mapping[str, Any]) -> None:
    files.write_json(path / files.CONFIG, config)
