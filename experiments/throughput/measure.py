"""One cell: everyone's gradients are compared, then everyone takes turns at the clock."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from cells import Cell, arrays
from contestants import CONTESTANTS, NUMPY, PEERS
from crew import Failed, Seat, Worker

TOLERANCE = 1e-4  # of a tensor's largest gradient; relative, of the first losses
TRIED = 4  # batches, of which one has to agree
FIRST_STEPS = 5
PAUSE = 0.05  # seconds between turns: the last one's threads stop waiting for work


class Disagreement(RuntimeError):
    """A contestant computes something else, so its time would say nothing."""


@dataclass(frozen=True)
class Timed:
    """A contestant at a cell: milliseconds a step in each round, and what came before."""

    seat: Seat
    threads: int
    ms: tuple[float, ...]
    compile_seconds: float | None
    gradient_error: float | None


def measure(
    workers: Sequence[Worker], cell: Cell, *, rounds: int, turn: float
) -> tuple[list[Timed], dict[str, str]]:
    """Time a step of everyone; also why a contestant has no time.

    ``turn``: about how many seconds each works before the next one's turn. Raises Disagreement if
    gradients or first losses differ by more than ``TOLERANCE``.
    """
    reference: dict[Any, Any] = {}
    missing: dict[str, str] = {}
    taking = []
    for worker in workers:
        if CONTESTANTS[worker.seat.name].takes(cell):
            taking.append(worker)
        else:
            missing[worker.seat.name] = f"not beyond depth {CONTESTANTS[worker.seat.name].deepest}"
    ready: dict[Worker, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "cell.npz"
        np.savez(data, **arrays(cell))
        for _, same in groupby(taking, key=lambda worker: worker.seat.name):
            try:
                ready |= prepare(list(same), cell, data, reference)
            except Failed as error:
                missing[error.name] = str(error)
    times = take_turns(list(ready), rounds=rounds, turn=turn)
    timed = [Timed(worker.seat, ms=times[worker.seat], **facts) for worker, facts in ready.items()]
    return timed, missing


def prepare(
    same: Sequence[Worker], cell: Cell, data: Path, reference: dict[Any, Any]
) -> dict[Worker, dict[str, Any]]:
    """Load, compile and compare with ``reference``, which the first, the NumPy engine, fills.

    One contestant's numbers of threads compile side by side.
    """
    prepared = {}
    for worker in same:
        given = data if worker.seat.name in PEERS else None
        prepared[worker] = {"threads": worker.load(cell, given)}
        worker.begin("compile")
    failed = None
    for worker in same:  # every answer is taken, or the next question would get this one's
        try:
            prepared[worker]["compile_seconds"] = worker.answer()["seconds"]
        except Failed as error:
            failed = error
    if failed is not None:
        raise failed
    for worker in same:
        prepared[worker]["gradient_error"] = agreement(worker, cell, data.parent, reference)
    return prepared


def agreement(worker: Worker, cell: Cell, folder: Path, reference: dict[Any, Any]) -> float | None:
    """The largest error of the gradients. Raises Disagreement if they or first losses differ.

    A ReLU unit within rounding of zero for a sample is open here and shut there, and the gradient
    differs by that sample's share; so batches are tried until one agrees.
    """
    errors, own = [], folder / "gradients.npz"
    for batch in range(TRIED):
        if not worker.ask("gradients", to=str(own), batch=batch)["given"]:
            break
        gradients = dict(np.load(own))
        errors.append(largest_error(gradients, reference.setdefault(batch, gradients)))
        if worker.seat.name != NUMPY and errors[-1] <= TOLERANCE:
            break
    error = min(errors, default=None)
    if error is not None and not error <= TOLERANCE:
        raise Disagreement(f"{cell}: {worker.seat.name}: gradients differ by {error:.2g}")
    losses = worker.ask("steps", count=FIRST_STEPS)["losses"]
    if losses:
        apart = _apart(losses, reference.setdefault("losses", losses))
        if not apart <= TOLERANCE:
            raise Disagreement(f"{cell}: {worker.seat.name}: first losses differ by {apart:.2g}")
    return error


def largest_error(
    gradients: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]
) -> float:
    """The largest difference in any tensor, relative to that tensor's largest entry."""
    if gradients.keys() != reference.keys():
        raise Disagreement(
            f"tensors {sorted(gradients.keys() ^ reference.keys())} on one side only"
        )
    return max(
        float(np.abs(gradients[name] - right).max() / max(np.abs(right).max(), 1e-30))
        for name, right in reference.items()
    )


def _apart(losses: Sequence[float], reference: Sequence[float]) -> float:
    pairs = zip(losses, reference, strict=True)
    return max(abs(one - other) / abs(other) for one, other in pairs)


def take_turns(
    workers: Sequence[Worker], *, rounds: int, turn: float, multiple: int = 1
) -> dict[Seat, tuple[float, ...]]:
    """Milliseconds a step in each round; each round every worker has one turn, another one first.

    Each takes so many steps (a multiple of ``multiple``) that a turn lasts about ``turn`` seconds.
    """
    counts = {}
    for worker in workers:
        worker.ask("steps", count=multiple)  # warm
        seconds = worker.ask("steps", count=multiple)["seconds"] / multiple
        counts[worker.seat] = multiple * max(1, math.ceil(turn / seconds / multiple))
    times: dict[Seat, list[float]] = {worker.seat: [] for worker in workers}
    for round_ in range(rounds):
        first = round_ % len(workers)
        for worker in (*workers[first:], *workers[:first]):
            time.sleep(PAUSE)
            count = counts[worker.seat]
            times[worker.seat].append(1e3 * worker.ask("steps", count=count)["seconds"] / count)
    return {seat: tuple(values) for seat, values in times.items()}
