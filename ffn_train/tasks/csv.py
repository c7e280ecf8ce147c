"""Regression on the columns of a comma or tab separated file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.config import places
from ffn_train.config.registry import choice
from ffn_train.config.settings import SettingError, nearest, setting, unchecked
from ffn_train.tasks.table import Table
from ffn_train.tasks.task import Task

FEWEST_ROWS = 4
LISTED = 20  # columns shown in an error before the rest is only counted


@choice("task", "csv")
class CSV(Task):
    """The rows of a UTF-8 file with a header line; all columns but targets and dropped are inputs.

    ``path`` is looked for from the working directory, then among the shipped studies; ``target``
    and ``drop`` are a column's name or a list of names. The header line decides between comma and
    tab. Fields may be quoted; blank lines are skipped; the cells of dropped columns may be
    anything, those of all others are finite numbers. ``table`` raises SettingError for a file that
    is not so, with the line and the column.
    """

    path: str | None = setting(
        "the file, from the working directory or among the shipped studies",
        None,
        changes="source",
        check=unchecked,
    )
    target: str | Sequence[str] | None = setting(
        "the column to predict, or a list of columns", None, check=unchecked
    )
    drop: str | Sequence[str] = setting("columns to leave out", [], check=unchecked)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is None or self.path in ("", "???"):
            raise SettingError("task.path is missing: name a CSV file (task.path=data.csv)")
        if not isinstance(self.path, str):
            raise SettingError(f"task.path must be the path of a CSV file, got {self.path!r}")
        if self.target is None or self.target in ("", "???", [], ()):
            raise SettingError("task.target is missing: name the column to predict (task.target=y)")
        targets = _names("task.target", self.target)
        dropped = _names("task.drop", self.drop)
        for name in targets:
            if targets.count(name) > 1:
                raise SettingError(f"task.target has {_shown(name)} twice")
            if name in dropped:
                raise SettingError(f"task.drop has {_shown(name)}, which is a target too")

    def table(self, rng: np.random.Generator) -> Table:
        """The file's numbers in the file's order; nothing is random here."""
        source = f"task.path={self.path!r}"
        text = _read(source, str(self.path))
        records = _records(source, text, _delimiter(source, text))
        line, header = next(records, (0, []))
        if not header:
            raise SettingError(f"{source} is empty: a header line and rows of numbers are needed")
        columns = _columns(f"{source}, line {line}", header)
        targets = _names("task.target", self.target)
        inputs = self._inputs(source, columns, targets)
        used = [(name, columns[name]) for name in (*inputs, *targets)]
        rows = []
        for line, cells in records:
            where = f"{source}, line {line}"
            if len(cells) != len(columns):
                raise SettingError(
                    f"{where}: {len(cells)} fields, but the header has {len(columns)}"
                )
            rows.append([_number(cells[place], where, name) for name, place in used])
        if len(rows) < FEWEST_ROWS:
            raise SettingError(
                f"{source} has {len(rows)} rows below its header; at least {FEWEST_ROWS} are needed"
            )
        values = np.array(rows, dtype=np.float64)
        return Table(
            inputs=np.ascontiguousarray(values[:, : len(inputs)]),
            targets=np.ascontiguousarray(values[:, len(inputs) :]),
            input_names=inputs,
            target_names=targets,
        )

    def _inputs(
        self, source: str, columns: dict[str, int], targets: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The columns that are neither target nor dropped."""
        dropped = _names("task.drop", self.drop)
        for key, names in (("task.target", targets), ("task.drop", dropped)):
            for name in names:
                _check_column(key, name, columns, source)
        inputs = tuple(name for name in columns if name not in {*targets, *dropped})
        if not inputs:
            raise SettingError(
                f"{source} has no input left: every column is in task.target or task.drop"
            )
        if "" in (*inputs, *targets):
            raise SettingError(
                f"{source}: column {columns[''] + 1} of the header has no name; name it or leave "
                "it out (task.drop=[''])"
            )
        return inputs


def _names(key: str, value: Any) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise SettingError(f"{key} must be a column's name or a list of names, got {value!r}")
    return tuple(name.strip() for name in names)


def _shown(text: str) -> str:
    """The text in quotes, on one line and not longer than a glance takes."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _read(source: str, path: str) -> str:
    try:
        found = places.find(path)
        content = _content(source, found)
    except (OSError, RuntimeError, ValueError) as error:  # also "~nobody" and a path with a null
        if isinstance(error, SettingError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise SettingError(f"{source} cannot be read: {reason}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingError(f"{source}, line {line}: not UTF-8 text ({error.reason})") from error
    null = text.find("\0")
    if null >= 0:
        line = text.count("\n", 0, null) + 1
        raise SettingError(f"{source}, line {line}: a null byte; this is not a text file")
    return text


def _content(source: str, file: Path) -> bytes:
    if not file.exists():
        raise SettingError(f"{source}: there is no such file")
    if not file.is_file():
        kind = "a directory" if file.is_dir() else "not a regular file"
        raise SettingError(f"{source} is {kind}; a CSV file is needed")
    return file.read_bytes()


def _delimiter(source: str, text: str) -> str:
    """Comma or tab: whichever parts the header line into more fields."""

    def fields(delimiter: str) -> int:
        try:
            return len(next(_records(source, text, delimiter), (0, []))[1])
        except SettingError:  # a comma in a quoted name of a tab separated file, or a broken file
            return 0

    return "\t" if fields("\t") > fields(",") else ","


def _records(source: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line it starts on (a quoted field may hold line ends)."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = str(error)
            if "unexpected end" in reason or "field limit" in reason:
                reason = "a quote is opened and not closed"
            elif "expected after" in reason:
                reason = "a closing quote is followed by more text"
            raise SettingError(f"{source}, line {line}: {reason}") from error
        if len(cells) > 1 or "".join(cells).strip():
            yield line, cells


def _columns(where: str, header: list[str]) -> dict[str, int]:
    """The place of each column by name."""
    columns: dict[str, int] = {}
    for name in map(str.strip, header):
        if name in columns:
            raise SettingError(f"{where}: two columns are named {_shown(name)}")
        columns[name] = len(columns)
    if len(columns) == 1:
        raise SettingError(
            f"{where}: one column only, {_shown(header[0])}; inputs and target are needed, "
            "separated by commas or tabs"
        )
    return columns


def _check_column(key: str, name: str, columns: dict[str, int], source: str) -> None:
    if name not in columns:
        shown = [_shown(column) for column in columns]
        more = f" and {len(shown) - LISTED} more" if len(shown) > LISTED else ""
        raise SettingError(
            f"{key} {_shown(name)} is not a column of {source}, which has "
            f"{', '.join(shown[:LISTED])}{more}{nearest(_shown(name), shown)}"
        )


def _number(cell: str, where: str, name: str) -> float:
    try:
        if "_" in cell or not cell.isascii():  # float() reads 1_000 and the digits of any script
            raise ValueError
        value = float(cell)
    except ValueError:
        trouble = f"{_shown(cell)} is not a number" if cell.strip() else "the cell is empty"
        raise SettingError(f"{where}, column {_shown(name)}: {trouble}") from None
    if not math.isfinite(value):
        raise SettingError(f"{where}, column {_shown(name)}: {_shown(cell)} is not finite")
    return value
