"""What the per-layer measures cost: training with them at two cadences against training without."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median, quantiles
from typing import Any

from cells import SHAPES, Cell
from contestants import COMPILED, CONTESTANTS, NUMPY
from crew import Seat, Worker

DEFAULT_EVERY = 50  # conf/config.yaml's measure.every
LEAST = 5  # intervals between two measured steps

COLUMNS = (
    *("depth", "width", "hidden", "batch", "activation", "norm", "engine", "cadence"),
    *("ms", "cost", "cost_q1", "cost_q3"),
)


def diagnostics(
    shapes: Sequence[tuple[int, int, int, int]] = SHAPES, *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    """``cost``: what measures add to the time without them, as a share; median and quartiles.

    With relu and no norm, where it weighs most: the step is the quickest, and dead units count.
    """
    for engine in (NUMPY, COMPILED):
        if not CONTESTANTS[engine].missing:
            yield from _of_engine(engine, shapes, rounds=rounds, turn=turn)


def _of_engine(
    engine: str, shapes: Sequence[tuple[int, int, int, int]], *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    for shape in shapes:
        cell = Cell(*shape)
        with Worker(Seat(engine, 0)) as worker:  # a new one: no arrays of another shape lie about
            both = worker.ask("with and without", cell=vars(cell), rounds=rounds, turn=turn)["ms"]
            worker.load(cell, None, measure_every=DEFAULT_EVERY)
            intervals = _intervals(worker, rounds * turn)
        without, always = zip(*both, strict=True)
        yield _row(cell, engine, "none", without, [0.0, 0.0])
        yield _row(cell, engine, "default", [ms for ms, _ in intervals], [c for _, c in intervals])
        yield _row(cell, engine, "every step", always, [b / a - 1 for a, b in both])


def _intervals(worker: Worker, seconds: float) -> list[tuple[float, float]]:
    """Of each interval at the default cadence: ms a step, and what its measured step cost.

    In the longer turns of ``with_and_without`` a fiftieth of a measurement would be lost. So the
    measured step and the one behind it, which finds the caches changed, are compared with the
    median of the others between them and the next: the cost is what they take longer, over that of
    the whole interval.
    """
    found: list[tuple[float, float]] = []
    started = time.perf_counter()
    worker.ask("clock", count=DEFAULT_EVERY // 2)  # so that it is measured amid the steps asked for
    while len(found) < LEAST or time.perf_counter() - started < seconds:
        answer = worker.ask("clock", count=DEFAULT_EVERY)
        at = answer["measured"].index(True)
        assert sum(answer["measured"]) == 1
        here, others = answer["seconds"][at : at + 2], answer["seconds"]
        usual = median(others[:at] + others[at + 2 :])
        cost = (sum(here) - 2 * usual) / (DEFAULT_EVERY * usual)
        found.append((1e3 * usual * (1 + cost), cost))
    return found


def _row(
    cell: Cell, engine: str, cadence: str, ms: Sequence[float], cost: Sequence[float]
) -> dict[str, Any]:
    low, _, high = quantiles(cost, n=4, method="inclusive")
    return {
        **vars(cell),
        "engine": engine,
        "cadence": cadence,
        "ms": median(ms),
        "cost": median(cost),
        "cost_q1": low,
        "cost_q3": high,
    }
