"""scalars.csv as columns, each parsed when it is first used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs.files import check_steps, damaged, read_bytes
from ffn_train.runs.old_names import NAMES


class Scalars(Mapping[str, Floats]):
    """The columns by name, each (rows,); NaN where a row has no value.

    A comparison reads three of seven columns, and parsing numbers dominates reading a run. Raises
    RunError for a column with something other than numbers, when it is first used.
    """

    def __init__(self, path: Path, names: Sequence[str], cells: Sequence[str]) -> None:
        self._path = path
        self._texts = {name: cells[column :: len(names)] for column, name in enumerate(names)}
        self._columns: dict[str, Floats] = {}

    def __getitem__(self, name: str) -> Floats:
        if name not in self._columns:
            with damaged(self._path, ValueError):
                values = [float(cell or "nan") for cell in self._texts[name]]
            self._columns[name] = np.array(values, dtype=np.float64)
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def read_scalars(path: Path) -> Scalars:
    """The complete rows of a run's scalars.csv, without the partial row of a killed run.

    Raises RunError.
    """
    with damaged(path, OSError, ValueError):
        whole, _, _ = read_bytes(path).decode().rpartition("\n")
        header, *body = whole.splitlines() or ["step"]
        names = [NAMES.get(name, name) for name in header.split(",")]
        if names[0] != "step":
            raise ValueError("expected a table whose first column is step")
        if not {line.count(",") for line in body} <= {len(names) - 1}:
            raise ValueError(f"a row does not have {len(names)} fields")
        scalars = Scalars(path, names, ",".join(body).split(",") if body else [])
        check_steps(scalars["step"])
    return scalars
