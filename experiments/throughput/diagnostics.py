"""What the per-layer measures cost: training with them at two cadences against training without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Any

from cells import ENDLESS, SHAPES, Cell
from contestants import COMPILED, CONTESTANTS, NUMPY
from crew import Seat, Worker
from measure import take_turns

DEFAULT_EVERY = 50  # conf/config.yaml's measure.every
CADENCES = {"none": ENDLESS, "default": DEFAULT_EVERY, "every step": 1}

COLUMNS = (
    *("depth", "width", "hidden", "batch", "activation", "norm", "engine", "cadence"),
    *("ms", "cost", "cost_q1", "cost_q3"),
)


def diagnostics(
    shapes: Sequence[tuple[int, int, int, int]] = SHAPES, *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    """``cost``: the time with measures over that without, less one; median and quartiles.

    With relu and no norm, where it weighs most: the step is the quickest, and dead units count.
    """
    for engine in (NUMPY, COMPILED):
        if not CONTESTANTS[engine].missing:
            yield from _of_engine(engine, shapes, rounds=rounds, turn=turn)


def _of_engine(
    engine: str, shapes: Sequence[tuple[int, int, int, int]], *, rounds: int, turn: float
) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(Seat(engine, 0, name))) for name in CADENCES}
        for shape in shapes:
            cell = Cell(*shape)
            for name, worker in workers.items():
                worker.load(cell, None, measure_every=CADENCES[name])
                worker.ask("steps", count=1)
            times = take_turns(
                list(workers.values()), rounds=rounds, turn=turn, multiple=DEFAULT_EVERY
            )
            without = times[workers["none"].seat]
            for name, worker in workers.items():
                measured = times[worker.seat]
                cost = [one / other - 1 for one, other in zip(measured, without, strict=True)]
                low, _, high = quantiles(cost, n=4, method="inclusive")
                yield {
                    **vars(cell),
                    "engine": engine,
                    "cadence": name,
                    "ms": median(measured),
                    "cost": median(cost),
                    "cost_q1": low,
                    "cost_q3": high,
                }
