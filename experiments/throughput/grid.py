"""A cell of the grid: each contestant in a process, gradients compared, and timed in turns.

Each process has its own threads, libraries and peak memory, and stays alive so that all can take
turns.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import pkgutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import distributions
from statistics import median, quantiles
from typing import Any

import numpy as np
from cells import Cell, arrays

NUMPY, COMPILED = "numpy", "compiled"
ALONE = "compiled, one thread"
ENGINES = (NUMPY, COMPILED)  # this project's
LIMIT, ITS_LIMIT, MKL_LIMIT = "products", "products, compiled", "products, MKL"
LIMITS = (LIMIT, ITS_LIMIT, MKL_LIMIT)
EAGER, GRAPH, JAX = "torch eager", "torch.compile", "jax"
SCAN, LONG_SCAN = "jax, 32 steps", "jax, 500 steps"
PEERS = (EAGER, GRAPH, JAX, SCAN, LONG_SCAN)
CONTESTANTS = {  # where it is defined, the packages it needs, its numbers of threads (0: auto)
    NUMPY: ("ours:NumPy", (), (0,)),
    COMPILED: ("ours:Compiled", ("numba", "scipy"), (0,)),
    ALONE: ("ours:CompiledAlone", ("numba", "scipy"), (1,)),
    LIMIT: ("ours:Products", (), (1, 2)),
    ITS_LIMIT: ("compiled_products:CompiledProducts", ("numba", "scipy"), (1, 2)),
    MKL_LIMIT: ("compiled_products:MKLProducts", ("numba", "scipy", "mkl"), (1, 2)),
    EAGER: ("torch_peer:Eager", ("torch",), (1, 2)),
    GRAPH: ("torch_peer:Compiled", ("torch",), (1, 2)),
    JAX: ("jax_peer:Jit", ("jax",), (1, 2)),
    SCAN: ("jax_peer:Scan", ("jax",), (1, 2)),
    LONG_SCAN: ("jax_peer:LongScan", ("jax",), (1, 2)),
}
VERSIONS = {distribution.name: distribution.version for distribution in distributions()}
OVER = {NUMPY: "numpy_over", COMPILED: "compiled_over"}

TOLERANCE = 1e-4  # of a tensor's largest gradient; relative, for the first losses
TRIED = 4  # batches, of which one has to agree
STEPS = 4  # per turn, at least: the first finds the caches as the others left them
PAUSE = 0.05  # seconds between turns, in which the last one's threads stop waiting for work

Row = dict[str, Any]
Arrays = Mapping[str, np.ndarray]


class Disagreement(Exception):
    """A contestant computes something else, so its time would say nothing."""


class Worker(ProcessPoolExecutor):
    """A new process that holds a contestant with its number of threads."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        super().__init__(1, multiprocessing.get_context("spawn"), hold, (name, threads))

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """The value of the contestant's method; ``seconds`` is then how long it took."""
        value, self.seconds = self.submit(asked, method, arguments, options).result()
        return value


contestant: Any = None  # of this process


def hold(name: str, threads: int) -> None:
    global contestant
    if name.startswith(JAX):  # uses a thread for each core that it may run on
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    contestant = pkgutil.resolve_name(CONTESTANTS[name][0])(threads)


def asked(method: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    value = getattr(contestant, method)(*arguments, **options)
    return value, time.perf_counter() - started


def missing(name: str) -> list[str]:
    """The packages that a contestant needs and that are not installed."""
    return [package for package in CONTESTANTS[name][1] if package not in VERSIONS]


def measure(workers: Sequence[Worker], cell: Cell, *, rounds: int, turn: float) -> list[Row]:
    """The rows of a cell; ``turn``: about how many seconds each contestant's turn takes.

    Raises Disagreement if gradients or first losses differ by more than ``TOLERANCE``.
    """
    data, reference = arrays(cell), dict[str, Any]()
    results: dict[Worker, Row] = {}
    for worker in workers:
        try:
            facts = worker.ask("load", cell, data if worker.name in PEERS else None)
        except Exception as error:  # torch.compile finds no C++ compiler, say
            facts = {"note": f"{type(error).__name__}: {error}".splitlines()[0]}
        if worker.name not in LIMITS and "note" not in facts:
            facts["gradient_error"] = agreement(worker, cell, reference)
        results[worker] = {"contestant": worker.name, **facts}
    ready = [worker for worker, facts in results.items() if "note" not in facts]
    for worker, ms in zip(ready, take_turns(ready, rounds=rounds, turn=turn), strict=True):
        results[worker]["ms"] = ms
    return rows(cell, list(results.values()))


def agreement(worker: Worker, cell: Cell, reference: dict[Any, Any]) -> float:
    """The largest error of the gradients against ``reference``, which the first worker fills.

    Where rounding decides the sign of a ReLU unit's input, gradients differ by that sample's share;
    so batches are tried until one agrees.
    """
    errors = []
    for batch in range(TRIED):
        gradients = worker.ask("gradients", batch)
        errors.append(largest_error(gradients, reference.setdefault(batch, gradients)))
        if worker.name != NUMPY and errors[-1] <= TOLERANCE:
            break
    losses = np.array(worker.ask("steps", STEPS)[:STEPS])
    apart = np.abs(losses / reference.setdefault("losses", losses) - 1).max()
    if not (min(errors) <= TOLERANCE and apart <= TOLERANCE):
        apart = f"gradients differ by {min(errors):.2g}, first losses by {apart:.2g}"
        raise Disagreement(f"{cell}: {worker.name}: {apart}")
    return min(errors)


def largest_error(gradients: Arrays, reference: Arrays) -> float:
    """The largest difference in any tensor, relative to that tensor's largest entry."""
    if unlike := gradients.keys() ^ reference.keys():
        raise Disagreement(f"tensors {sorted(unlike)} on one side only")
    return max(
        float(np.abs(gradients[name] - right).max() / max(np.abs(right).max(), 1e-30))
        for name, right in reference.items()
    )


def take_turns(workers: Sequence[Worker], *, rounds: int, turn: float) -> list[list[float]]:
    """Each worker's milliseconds per step in each round; each round begins with another worker.

    A contestant that makes several steps at once may make more than it is asked for.
    """
    counts = []
    for worker in workers:
        worker.ask("steps", STEPS)  # warm
        made = len(worker.ask("steps", STEPS))
        counts.append(max(STEPS, math.ceil(made * turn / worker.seconds)))
    times: list[list[float]] = [[] for _ in workers]
    for round_ in range(rounds):
        for position in range(round_, round_ + len(workers)):
            index = position % len(workers)
            time.sleep(PAUSE)
            made = len(workers[index].ask("steps", counts[index]))
            times[index].append(1e3 * workers[index].seconds / made)
    return times


def rows(cell: Cell, measured: Sequence[Row]) -> list[Row]:
    """Each contestant at its better number of threads; one without ``ms`` has a ``note`` instead.

    ``numpy_over`` and so on: that engine's time over the contestant's in the same round; below 1
    the engine is faster. For these and for the milliseconds per step: median and quartiles.
    """
    best: dict[str, Row] = {}
    for facts in measured:
        other = best.setdefault(facts["contestant"], facts)
        if "ms" in facts and median(facts["ms"]) < median(other["ms"]):
            best[facts["contestant"]] = facts
    table = [{**vars(cell), **facts} for facts in best.values()]
    for row, ms in [(row, row["ms"]) for row in table if "ms" in row]:
        row |= spread("ms", ms)
        for engine in filter(best.__contains__, OVER):
            pairs = zip(best[engine]["ms"], ms, strict=True)
            row |= spread(OVER[engine], [ours / theirs for ours, theirs in pairs])
    return table


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median and the quartiles."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return {name: median(values), f"{name}_q1": low, f"{name}_q3": high}
