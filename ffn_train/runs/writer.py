"""Writes one run's directory, so that what is there can be read at any moment."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ffn_train.nn.core import Array, Layout
from ffn_train.runs import files
from ffn_train.runs.checkpoint import Checkpoint
from ffn_train.runs.files import naming
from ffn_train.train.measures import Rows, row_dtype

_HEADER = 128  # bytes kept for the .npy header, enough for any number of rows


class MeasureFile:
    """A .npy file that grows by a record at a time and that ``numpy.load`` reads at any moment.

    A record is appended first, and then the count in the header, which stands in room kept for it.
    Opened with ``rows`` it keeps the first so many and goes on from there.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void], rows: int = 0) -> None:
        self._dtype = dtype
        self.rows = rows
        self._file = open(path, "r+b" if rows else "w+b", opener=files.regular)  # noqa: SIM115
        self._head = len(self._header(0))
        self._file.write(self._header(rows))
        self._file.flush()
        self._file.truncate(self._head + rows * dtype.itemsize)

    def _header(self, rows: int) -> bytes:
        # version 1.0 of the format: magic, header length, the header padded with spaces
        text = f"{{'descr': {self._dtype.descr!r}, 'fortran_order': False, 'shape': ({rows},), }}"
        length = -(-(len(text) - len(str(rows)) + _HEADER) // 64) * 64
        body = text.ljust(length - 11) + "\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode()

    def append(self, row: Rows) -> None:
        self._file.seek(self._head + self.rows * self._dtype.itemsize)
        self._file.write(row.tobytes())
        self._file.flush()
        self.rows += 1
        self._file.seek(0)
        self._file.write(self._header(self.rows))
        self._file.flush()

    def to_disk(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class RunWriter:
    """The growing files of a run that is under way; a context manager.

    ``record`` takes one row of scalars and, where it was measured, its per-layer row. With a
    checkpoint the files are cut back to the moment of the checkpoint.
    Raises OSError that names the file when the disk does not take a row.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        depth: int,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        scalars_bytes = checkpoint.scalars_bytes if checkpoint else 0
        measures_rows = checkpoint.measures_rows if checkpoint else 0
        self.path = path
        tensors = [{"name": t.name, "shape": list(t.shape)} for t in layout.tensors]
        files.write_json(path / files.LAYOUT, {"depth": depth, "tensors": tensors}, durable=False)
        dtype = row_dtype(len(layout.tensors), depth)
        self._measures = MeasureFile(path / files.MEASURES, dtype, measures_rows)
        scalars = path / files.SCALARS
        mode = "r+" if scalars_bytes else "w"
        self._scalars = open(  # noqa: SIM115
            scalars, mode, newline="", encoding="utf-8", opener=files.regular
        )
        self._scalars.truncate(scalars_bytes)
        self._scalars.seek(scalars_bytes)
        self._header_due = not scalars_bytes

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for name, file in ((files.SCALARS, self._scalars), (files.MEASURES, self._measures)):
            # a full disk must not hide what went wrong first
            with naming(self.path / name) if kind is None else suppress(OSError):
                file.close()

    def record(self, scalars: Mapping[str, float], measures: Rows | None) -> None:
        """Append a row; an unknown (NaN) scalar is an empty field."""
        with naming(self.path / files.SCALARS):
            if self._header_due:
                self._scalars.write(",".join(scalars) + "\n")
                self._header_due = False
            self._scalars.write(",".join(map(_cell, scalars.values())) + "\n")
            if measures is not None:
                self._scalars.flush()  # first, so that a measured step has its row of scalars
        if measures is not None:
            with naming(self.path / files.MEASURES):
                self._measures.append(measures)

    def to_disk(self) -> tuple[int, int]:
        """Push all rows to the disk; returns the lengths that a checkpoint writes down."""
        with naming(self.path / files.SCALARS):
            self._scalars.flush()
            os.fsync(self._scalars.fileno())
        with naming(self.path / files.MEASURES):
            self._measures.to_disk()
        return self._scalars.tell(), self._measures.rows


def _cell(value: float) -> str:
    return "" if math.isnan(value) else repr(value)


def write_weights(path: Path, layout: Layout, params: Array) -> None:
    """The final weights by their readable names, as safetensors."""
    named = {name: np.ascontiguousarray(array) for name, array in layout.named(params).items()}
    files.write_whole(path / files.WEIGHTS, save(named), durable=False)
