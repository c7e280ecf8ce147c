"""scalars.csv as columns, each parsed when it is first used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.runs.files import check_steps, damaged, read_bytes
from ffn_train.runs.old_names import NAMES


class Scalars(Mapping[str, Floats]):
    """The columns by name, each (rows,); NaN where a row has no value, or NaN (see ``logged``).

    A comparison reads three of seven columns, and parsing numbers dominates reading a run. Raises
    RunError for a column with something other than numbers, when it is first used.
    """

    def __init__(self, path: Path, texts: Mapping[str, Sequence[str]], steps: Floats) -> None:
        self._path, self._texts = path, texts
        self._columns = {"step": steps}
        self._logged: dict[str, NDArray[np.bool_]] = {}

    def __getitem__(self, name: str) -> Floats:
        if name not in self._columns:
            with damaged(self._path, ValueError):
                self._columns[name] = _numbers(self._texts[name])
        return self._columns[name]

    def logged(self, name: str) -> NDArray[np.bool_]:
        """The rows (rows,) in which a column of the file has a value, finite or not."""
        if name not in self._logged:
            cells = self._texts[name]
            self._logged[name] = np.fromiter(map(bool, cells), dtype=bool, count=len(cells))
            self._logged[name].flags.writeable = False
        return self._logged[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def logged(scalars: Mapping[str, Floats], name: str) -> NDArray[np.bool_]:
    """The rows (rows,) in which a column has a value, finite or not; none without the column.

    Columns that are not those of a file have one where they are not NaN.
    """
    if name not in scalars:
        return np.zeros(len(scalars["step"]), dtype=bool)
    if isinstance(scalars, Scalars):
        return scalars.logged(name)
    return ~np.isnan(scalars[name])


def read_scalars(path: Path, content: bytes | None = None) -> Scalars:
    """The complete rows of a run's scalars.csv, without the partial row of a killed run.

    ``content``: the file's, if it has been read. Raises RunError.
    """
    with damaged(path, OSError, ValueError):
        content = read_bytes(path) if content is None else content
        whole, _, _ = content.decode().rpartition("\n")
        header, *body = whole.splitlines() or ["step"]
        names = [NAMES.get(name, name) for name in header.split(",")]
        if names[0] != "step":
            raise ValueError("expected a table whose first column is step")
        if any(line.count(",") != len(names) - 1 for line in body):
            raise ValueError(f"a row does not have {len(names)} fields")
        cells = ",".join(body).split(",") if body else []
        texts = {name: cells[place :: len(names)] for place, name in enumerate(names)}
        return Scalars(path, texts, _steps(tuple(texts["step"])))


@lru_cache(16)  # the runs of a sweep mostly log the same steps
def _steps(cells: tuple[str, ...]) -> Floats:
    steps = _numbers(cells)
    check_steps(steps)
    steps.flags.writeable = False
    return steps


def _numbers(cells: Sequence[str]) -> Floats:
    return np.array([float(cell) if cell else math.nan for cell in cells], dtype=np.float64)
