"""What was measured as tables: a row for each cell and contestant, our engines as yardsticks."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from cells import Cell
from contestants import COMPILED, NUMPY, OPENBLAS
from measure import Timed

OVER = {NUMPY: "numpy_over", COMPILED: "compiled_over", OPENBLAS: "openblas_over"}

COLUMNS = (
    *("depth", "width", "hidden", "batch", "activation", "norm", "contestant", "threads"),
    *("ms", "ms_q1", "ms_q3"),
    *(f"{over}{quartile}" for over in OVER.values() for quartile in ("", "_q1", "_q3")),
    *("compile_seconds", "gradient_error", "note"),
)

Row = dict[str, Any]


def rows(cell: Cell, timed: Sequence[Timed], missing: Mapping[str, str]) -> list[Row]:
    """Each contestant at its better number of threads, and those that have no time.

    ``numpy_over`` and so on are that engine's time over the contestant's in the same round: below
    1 the engine is faster. Of them and of the milliseconds a step: the median over rounds and the
    quartiles.
    """
    best: dict[str, Timed] = {}
    for one in timed:
        name = one.seat.name
        if name not in best or median(one.ms) < median(best[name].ms):
            best[name] = one
    table = []
    for name, one in best.items():
        over: dict[str, float] = {}
        for engine, column in OVER.items():
            if engine in best:
                pairs = zip(best[engine].ms, one.ms, strict=True)
                over |= _spread(column, [mine / theirs for mine, theirs in pairs])
        table.append(
            {
                **vars(cell),
                "contestant": name,
                "threads": one.threads,
                **_spread("ms", one.ms),
                **over,
                "compile_seconds": one.compile_seconds,
                "gradient_error": one.gradient_error,
                "note": "",
            }
        )
    table += [
        {**vars(cell), "contestant": name, "note": note}
        for name, note in missing.items()
        if name not in best
    ]
    return table


def _spread(name: str, values: Sequence[float]) -> dict[str, float]:
    low, _, high = quantiles(values, n=4, method="inclusive")
    return {name: median(values), f"{name}_q1": low, f"{name}_q3": high}


def csv_text(table: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """The table as CSV; numbers to four digits, an unknown one as an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in table:
        writer.writerow([_cell(row.get(column)) for column in columns])
    return buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Store:
    """What has been measured so far, a JSON file each, so that a run can be taken up again."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        if not keep:
            for path in folder.glob("*.json"):
                path.unlink()

    def get(self, key: str) -> Any:
        """None if it is not there."""
        path = self._path(key)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def put(self, key: str, value: Any) -> Any:
        path = self._path(key)
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(value), encoding="utf-8")
        aside.replace(path)
        return value

    def _path(self, key: str) -> Path:
        return self._folder / f"{key.replace(' ', '_')}.json"
