"""Peak resident memory and time a step, each contestant in a process that does nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from cells import Cell, arrays
from contestants import COMPILED, CONTESTANTS, EAGER, NUMPY, PEERS
from crew import Seat, Worker
from measure import take_turns

SHAPES = ((64, 64, 256, 64), (8, 256, 1024, 256))
DEPTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
WIDTHS = (32, 128, 64)  # D, H, N of the stacks that grow deep
RECOMPUTE = "recompute"
STEPS = 4  # at least, of a turn: the first finds the caches as the others left them

COLUMNS = (
    *("depth", "width", "hidden", "batch", "contestant", "threads", "ms", "peak_mib"),
    *("libraries_mib", "kib_per_block", "us_per_block"),
)


def variants(threads: int) -> list[tuple[Seat, dict[str, Any]]]:
    """Our engines, these rebuilding activations in the backward pass, and PyTorch eager."""
    seats: list[tuple[Seat, dict[str, Any]]] = []
    for engine in (NUMPY, COMPILED):
        seats += [(Seat(engine, 0), {}), (Seat(engine, 0, RECOMPUTE), {"recompute": "auto"})]
    seats.append((Seat(EAGER, threads), {}))
    return [(seat, options) for seat, options in seats if not CONTESTANTS[seat.name].missing]


def peaks(cell: Cell, threads: int, *, rounds: int, turn: float) -> list[dict[str, Any]]:
    """Of each variant: the peak, what its libraries alone take, and the median time a step."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        data = Path(folder) / "cell.npz"
        np.savez(data, **arrays(cell))
        workers, found = [], []
        for seat, options in variants(threads):
            worker = stack.enter_context(Worker(seat))
            libraries = worker.ask("memory")["now"]
            used = worker.load(cell, data if seat.name in PEERS else None, **options)
            worker.ask("steps", count=3)
            workers.append(worker)
            found.append(
                {
                    **dict(zip(COLUMNS[:4], cell.shape, strict=True)),
                    "contestant": f"{seat.name} {seat.variant}".strip(),
                    "threads": used,
                    "libraries_mib": libraries / 2**20,
                    "peak_mib": worker.ask("memory")["peak"] / 2**20,
                }
            )
        times = take_turns(workers, rounds=rounds, turn=turn, multiple=STEPS)
        for row, worker in zip(found, workers, strict=True):
            row["ms"] = median(times[worker.seat])
    return found


def memory(
    shapes: Sequence[tuple[int, int, int, int]] = SHAPES, *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    """At the two shapes where weights and where activations weigh most."""
    for shape in shapes:
        yield from peaks(Cell(*shape), 2, rounds=rounds, turn=turn)


def depth_scaling(
    depths: Sequence[int] = DEPTHS, *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    """Time and memory per block, memory beyond that of a stack of one block."""
    shallow = peaks(Cell(1, *WIDTHS), 1, rounds=1, turn=turn)
    base = {row["contestant"]: row["peak_mib"] for row in shallow}
    for depth in depths:
        for row in peaks(replace(Cell(1, *WIDTHS), depth=depth), 1, rounds=rounds, turn=turn):
            beyond = row["peak_mib"] - base[row["contestant"]]
            yield {
                **row,
                "kib_per_block": 1024 * beyond / (depth - 1),
                "us_per_block": 1e3 * row["ms"] / depth,
            }
