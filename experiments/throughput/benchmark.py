"""How fast a training step is with either engine, beside PyTorch, JAX and its matrix products.

    python experiments/throughput/benchmark.py              everything, on an otherwise idle machine
    python experiments/throughput/benchmark.py --resume     what an interrupted run has not measured
    python experiments/throughput/benchmark.py --quick      two small cells, to see that it works

Writes the tables, machine.json, the figure and the findings in README.md beside this file; with
``--quick`` or ``--parts`` to outputs/throughput instead. Needs pip install -e
".[peers,parallel,mkl]"; a contestant that is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import depth_memory
import diagnostics
import end_to_end
import figure
import many_runs
import results as tables
import step_profile
import summary
from cells import Cell, grid
from contestants import COMPILED, CONTESTANTS
from crew import crew
from machine import machine
from measure import measure

HERE = Path(__file__).parent
SCRATCH = Path("outputs") / "throughput"
QUICK_CELLS = (Cell(4, 16, 64, 32, "relu", "none"), Cell(8, 32, 128, 64, "gelu_tanh", "pre_layer"))

COLUMNS: Mapping[str, Sequence[str]] = {
    "results": tables.COLUMNS,
    "profile": step_profile.COLUMNS,
    "diagnostics": diagnostics.COLUMNS,
    "memory": depth_memory.COLUMNS,
    "depth": depth_memory.COLUMNS,
    "start": end_to_end.COLUMNS,
    "many_runs": many_runs.COLUMNS,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small cells, few rounds")
    parser.add_argument("--resume", action="store_true", help="keep what is measured already")
    parser.add_argument("--parts", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    chosen = parser.parse_args()
    scratch = SCRATCH / "quick" if chosen.quick else SCRATCH / "whole"
    store = tables.Store(scratch / "measured", keep=chosen.resume)
    for name, contestant in CONTESTANTS.items():
        if contestant.missing:
            told(f"without {name}: pip install -e '.[{contestant.extra}]'")
    with tempfile.TemporaryDirectory() as compiled:  # nothing is compiled beforehand
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{compiled}/torch"
        os.environ["NUMBA_CACHE_DIR"] = f"{compiled}/numba"
        keep_compiled()
        steps = parts(store, quick=chosen.quick)
        found = {part: list(steps[part]()) for part in COLUMNS if part in chosen.parts}
    whole = not chosen.quick and len(found) == len(COLUMNS)
    publish(found, HERE if whole else scratch)


def keep_compiled() -> None:
    """The engine's code on disk, where all workers find it: compiling needs memory of its own."""
    with crew([COMPILED]) as workers:
        for worker in workers:
            told("compiling the engine")
            worker.load(QUICK_CELLS[0], None)
            worker.ask("steps", count=1)


def parts(store: tables.Store, *, quick: bool) -> dict[str, Callable[[], Iterable[Any]]]:
    """How each table is measured."""
    rounds, turn = (3, 0.02) if quick else (9, 0.08)
    pace = {"rounds": rounds, "turn": turn}
    shapes = {"shapes": [cell.shape for cell in QUICK_CELLS]} if quick else {}
    depths = {"depths": (8, 64)} if quick else {}
    few = {"runs": 4, "seconds": 0.3} if quick else {}

    def kept(key: str, measured: Callable[[], Iterable[Any]]) -> Callable[[], list[Any]]:
        def get() -> list[Any]:
            told(key)
            return store.get(key) or store.put(key, list(measured()))

        return get

    return {
        "results": lambda: over_the_grid(store, QUICK_CELLS if quick else list(grid()), pace),
        "profile": kept("profile", lambda: step_profile.profiles(**shapes)),
        "diagnostics": kept("diagnostics", lambda: diagnostics.diagnostics(**shapes, **pace)),
        "memory": kept("memory", lambda: depth_memory.memory(**shapes, **pace)),
        "depth": kept("depth", lambda: depth_memory.depth_scaling(**depths, **pace)),
        "start": kept("start", lambda: end_to_end.end_to_end(rounds=1 if quick else 5)),
        "many_runs": kept("many_runs", lambda: many_runs.many_runs(**few)),
    }


def over_the_grid(
    store: tables.Store, cells: Sequence[Cell], pace: Mapping[str, Any]
) -> Iterable[tables.Row]:
    with crew(list(CONTESTANTS)) as workers:
        for order, cell in enumerate(cells, start=1):
            rows = store.get(str(cell))
            if rows is None:
                told(f"{order} of {len(cells)}: {cell}")
                rows = store.put(str(cell), tables.rows(cell, *measure(workers, cell, **pace)))
            yield from rows


def publish(found: Mapping[str, Sequence[Mapping[str, Any]]], folder: Path) -> None:
    """Tables, machine, figure, and the findings in the README or on the terminal."""
    for part, rows in found.items():
        (folder / f"{part}.csv").write_text(tables.csv_text(rows, COLUMNS[part]), encoding="utf-8")
    here = machine()
    (folder / "machine.json").write_text(json.dumps(here, indent=2) + "\n", encoding="utf-8")
    figure.write(found, folder)
    findings = summary.text(found, here)
    print(findings)
    if (folder / "README.md").is_file():
        summary.put_into(folder / "README.md", findings)


STARTED = time.monotonic()


def told(line: str) -> None:
    print(f"{time.monotonic() - STARTED:6.0f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
