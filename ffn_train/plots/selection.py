"""Which blocks, steps and numbers of a run a figure shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs import Measures, Run, RunError

T = TypeVar("T")

SHALLOW = 8  # blocks: up to here every one is drawn
FAR = 10  # axes of losses and scores end at this many times the error of predicting the mean


def blocks(depth: int) -> list[int]:
    """All blocks of a shallow stack; first, second, middle, last but one and last of a deep one."""
    if depth <= SHALLOW:
        return list(range(depth))
    return [0, 1, depth // 2, depth - 2, depth - 1]


def evenly(items: Sequence[T], most: int) -> list[T]:
    """All of them, or as many as there is room for, evenly chosen with the first and the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items)))
    return [items[round(place)] for place in places]


def bounded(values: Floats, ceiling: float) -> Floats:
    """The values up to the ceiling, if at least half of the finite ones are; else all of them."""
    below = values[values <= ceiling]
    return below if 2 * len(below) >= np.isfinite(values).sum() else values


def rows(values: Floats, count: int = 5) -> list[int]:
    """About ``count`` measured rows, evenly spaced, with the first and the last.

    Where the last row is not finite, the last row that is finite joins them.
    """
    chosen = set(evenly(range(len(values)), count))
    finite = np.flatnonzero(np.isfinite(values).all(axis=1))
    if len(finite):
        chosen.add(int(finite[-1]))
    return sorted(chosen)


def shown_blocks(measures: Measures, table: Floats) -> Floats:
    """The rows of a table (K, layers) for the blocks that are drawn: (blocks, K)."""
    return table[:, measures.block_columns].T[blocks(measures.depth)]


def scalar(run: Run, name: str) -> tuple[Floats, Floats]:
    """The steps and values of a column of scalars. Raises RunError if no row is written yet."""
    values = run.scalars.get(name, np.zeros(0))
    if not len(values):
        raise RunError(f"{run.path}: {name} has no row yet, so there is nothing to draw")
    return run.scalars["step"], values
