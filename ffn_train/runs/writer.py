"""Writes one run's directory, which is readable at any moment."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from ffn_train.nn.core import Array
from ffn_train.runs import files
from ffn_train.runs.checkpoint import NO_LOGS, Logs
from ffn_train.runs.files import naming
from ffn_train.runs.layout import RunLayout
from ffn_train.runs.tensors import pieces
from ffn_train.train.measures import Values
from ffn_train.train.quantities.quantity import shape_of

_HEADER = 128  # bytes reserved in the .npy header, enough for any number of rows


class MeasureFile:
    """A .npy file that grows by one record at a time and is readable by ``numpy.load`` throughout.

    First the record is appended, then the count in the header is overwritten. ``rows``: how many
    records of an existing file to keep.
    """

    def __init__(self, path: Path, dtype: np.dtype[np.void], rows: int = 0) -> None:
        self.dtype = dtype
        self._descr = repr(dtype.descr)  # which NumPy works out at each call
        self.rows = rows
        before = files.read_records(path)[:rows].tobytes() if rows else b""
        self.digest = hashlib.sha256(before)  # of the records
        self.file = open(path, "r+b" if rows else "w+b", opener=files.regular)  # noqa: SIM115
        self._head = len(self._header(0))
        self.file.write(self._header(rows) + before)  # another program's header may differ
        self.file.flush()
        self.file.truncate(self._head + rows * dtype.itemsize)

    def _header(self, rows: int) -> bytes:
        # version 1.0 of the format: magic, header length, the header padded with spaces
        text = f"{{'descr': {self._descr}, 'fortran_order': False, 'shape': ({rows},), }}"
        length = -(-(len(text) - len(str(rows)) + _HEADER) // 64) * 64
        body = text.ljust(length - 11) + "\n"
        return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body.encode()

    def append(self, step: float, values: Values) -> None:
        row = np.zeros((), self.dtype)
        for name in self.dtype.names or ():
            row[name] = step if name == "step" else values.get(name, np.nan)
        self.file.seek(self._head + self.rows * self.dtype.itemsize)
        content = row.tobytes()
        self.file.write(content)
        self.digest.update(content)
        self.file.flush()
        self.rows += 1
        self.file.seek(0)
        self.file.write(self._header(self.rows))
        self.file.flush()


def row_dtypes(layout: RunLayout) -> dict[str, np.dtype[np.void]]:
    """The record type of each file of measures: the step and the quantities in the file."""
    fields: dict[str, list[tuple[str, Any, tuple[int, ...]]]] = {}
    for column in layout.quantities:
        shape = shape_of(column.per, len(layout.tensors), layout.depth)
        first = ("step", np.int64, ())
        fields.setdefault(column.file, [first]).append((column.name, np.float64, shape))
    return {name: np.dtype(columns) for name, columns in fields.items()}


class RunWriter:
    """The growing files of a running run; a context manager.

    The files are truncated to the lengths in ``logs``. Raises OSError that names the file if
    writing fails.
    """

    def __init__(self, path: Path, layout: RunLayout, logs: Logs = NO_LOGS) -> None:
        scalars_bytes, rows = logs.scalars_bytes, logs.measures_rows
        self.path = path
        layout.write(path)
        scalars = path / files.SCALARS
        before = files.read_bytes(scalars)[:scalars_bytes] if scalars_bytes else b""
        self._digest = hashlib.sha256(before)  # of the scalars
        self._header_due = not scalars_bytes
        self._measures: dict[str, MeasureFile] = {}
        with ExitStack() as opened:  # closes them if one cannot be opened
            mode = "r+" if scalars_bytes else "w"
            self._scalars = opened.enter_context(
                open(scalars, mode, newline="", encoding="utf-8", opener=files.regular)
            )
            self._scalars.truncate(scalars_bytes)
            self._scalars.seek(scalars_bytes)
            self._files: dict[str, IO[Any]] = {files.SCALARS: self._scalars}
            for name, dtype in row_dtypes(layout).items():
                self._measures[name] = MeasureFile(path / name, dtype, rows.get(name, 0))
                self._files[name] = opened.enter_context(self._measures[name].file)
            opened.pop_all()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for name, file in self._files.items():
            # a full disk must not hide the first error
            with naming(self.path / name) if kind is None else suppress(OSError):
                file.close()

    def record(self, scalars: Mapping[str, Any], measures: Values) -> None:
        """Append a row of scalars, None where one has no value, and records of the measures.

        A file of measures gets a record if any of its quantities was measured.
        """
        with naming(self._scalars.name):
            lines = ",".join(scalars) + "\n" if self._header_due else ""
            lines += ",".join(["" if v is None else repr(v) for v in scalars.values()]) + "\n"
            self._header_due = False
            self._scalars.write(lines)
            self._digest.update(lines.encode())
            if measures:
                self._scalars.flush()  # first, so that every measured step has a row of scalars
        for name, file in self._measures.items() if measures else ():
            if any(quantity in measures for quantity in file.dtype.names or ()):
                with naming(self.path / name):
                    file.append(scalars["step"], measures)

    def to_disk(self) -> Logs:
        """Flush all rows to disk; returns the lengths and digests for a checkpoint."""
        for name, file in self._files.items():
            with naming(self.path / name):
                file.flush()
                os.fsync(file.fileno())
        rows = {name: measures.rows for name, measures in self._measures.items()}
        digests = {name: measures.digest.hexdigest() for name, measures in self._measures.items()}
        if length := self._scalars.tell():
            digests[files.SCALARS] = self._digest.hexdigest()
        return Logs(length, rows, digests)


def write_weights(path: Path, named: Mapping[str, Array]) -> None:
    """Write weights by name to a file, as safetensors."""
    files.write_whole(path, pieces(named, {}), durable=False)
