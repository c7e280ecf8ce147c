"""The parts of the benchmark: what each measures, its table, and how they are published."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import costs
import findings
from cells import GRID, PLAIN, Cell
from grid import CONTESTANTS, VERSIONS, Row, Worker, measure, missing

from ffn_train.plots import encoded
from ffn_train.plots.style import look
from ffn_train.runs.provenance import surroundings
from ffn_train.train.threads import BlasThreads, allowed_cores

HERE, SCRATCH = Path(__file__).parent, Path("outputs") / "throughput"
PACKAGES = ("numpy", "numba", "scipy", "mkl", "torch", "jax", "jaxlib", "matplotlib", "hydra-core")
NORMED = {"activation": "gelu_tanh", "norm": "pre_layer"}
SMALL = [PLAIN[0], replace(PLAIN[1], **NORMED)]
PROFILED = [replace(PLAIN[index], **NORMED) for index in (0, 3, 5)]


def main() -> None:
    parser = argparse.ArgumentParser(description="see benchmark.py")
    parser.add_argument("--quick", action="store_true", help="two small cells, few rounds")
    parser.add_argument("--resume", action="store_true", help="keep what is measured already")
    chosen = parser.parse_args()
    scratch = SCRATCH / ("quick" if chosen.quick else "whole")
    if not chosen.resume:
        shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    for name in filter(missing, CONTESTANTS):
        print(f"without {name}: {', '.join(missing(name))} not installed")
    for cache in ("TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR"):  # start with empty caches
        os.environ[cache] = str(scratch.resolve() / "compiled")
    for name, measured in parts(scratch, quick=chosen.quick).items():
        table = scratch / f"{name}.csv"
        if name == "results" or not table.exists():
            print(name, flush=True)
            write(table, measured())
    publish(scratch, scratch if chosen.quick else HERE)


def parts(scratch: Path, *, quick: bool) -> dict[str, Callable[[], Iterable[Row]]]:
    """How each table is measured."""
    pace = {"rounds": 3, "turn": 0.02} if quick else {"rounds": 5, "turn": 0.2}
    plain, profiled = (SMALL, SMALL[1:]) if quick else (PLAIN, PROFILED)
    large, depths = (SMALL, (8, 64)) if quick else (PLAIN[4:6], costs.DEPTHS)
    return {
        "results": lambda: over_the_grid(scratch / "results.csv", SMALL if quick else GRID, pace),
        "peak": lambda: costs.peak(pace["rounds"]),
        "profile": lambda: costs.in_processes(costs.profile, profiled),
        "measures": lambda: costs.in_processes(costs.measures, plain, **pace),
        "memory": lambda: costs.memory(large, **pace),
        "depth": lambda: costs.over_depth(depths, **pace),
        "start": lambda: costs.start(1 if quick else 3),
        "many_runs": lambda: costs.many_runs(*((4, 0.3) if quick else (60, 2.0))),
    }


def over_the_grid(table: Path, cells: list[Cell], pace: Mapping[str, Any]) -> list[Row]:
    """Each cell is written as soon as it is measured, so that ``--resume`` can go on."""
    rows = read(table) if table.exists() else []
    left = [cell for cell in cells if cell not in findings.by_cell(rows)]
    chosen = [(name, threads) for name in CONTESTANTS for threads in CONTESTANTS[name][2]]
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(name, threads))
            for name, threads in chosen
            if not missing(name)
        ]
        for cell in left:
            print(cell, flush=True)
            rows += measure(workers, cell, **pace)
            write(table, rows)
    return rows


def read(table: Path) -> list[Row]:
    """The rows, without their empty fields."""

    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            return text

    with table.open(encoding="utf-8", newline="") as file:
        return [{k: value(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


def write(table: Path, rows: Iterable[Row]) -> None:
    """Write a table atomically; numbers to four digits, an unknown one as an empty field."""
    cells = [{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    columns = dict.fromkeys(column for row in cells for column in row)
    part = table.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(cells)
    part.replace(table)


def publish(measured: Path, folder: Path) -> None:
    """Tables, figure, and the findings in the README or on the terminal."""
    tables = {path.stem: read(path) for path in measured.glob("*.csv")}
    for name, rows in tables.items():
        write(folder / f"{name}.csv", rows)
    with look():
        page = findings.draw(tables)
    for kind in ("png", "pdf"):
        (folder / f"figure.{kind}").write_bytes(encoded(page, kind))
    versions = ", ".join(f"{name} {VERSIONS[name]}" for name in PACKAGES if name in VERSIONS)
    machine = f"{surroundings()['processor']}, {allowed_cores()} cores, {BlasThreads(1).library}"
    text = findings.text(tables, f"{machine}; {versions}.")
    print(text)
    if (folder / "README.md").is_file():
        findings.put_into(folder / "README.md", text)
