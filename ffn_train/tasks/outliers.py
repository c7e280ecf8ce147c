"""The few rows that have most of a target's variance, if there are such."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Array

MOST = 0.01  # share of the rows that may count as few
SHARE = 0.5  # of the variance that they have to have


@dataclass(frozen=True)
class Outliers:
    """Rows that together have ``share`` of the variance of ``target``, the largest first.

    ``rows``: counted from 1, without the header; ``of``: how many rows there are.
    """

    rows: tuple[int, ...]
    of: int
    target: str
    share: float


def outliers(targets: Array, names: tuple[str, ...]) -> Outliers | None:
    """As few rows of targets (R, M) as have half of the Σ (y - mean)² of one of them.

    None where more than a hundredth of the rows is needed, and more than one.
    """
    for name, column in zip(names, targets.T, strict=True):
        with np.errstate(over="ignore", invalid="ignore"):
            squares = ((column - column.mean()) / (np.abs(column).max() or 1)) ** 2
        total = squares.sum()
        if not (np.isfinite(total) and total > 0):
            continue
        few = max(1, int(MOST * len(column)))
        largest = np.sort(np.partition(squares, -few)[-few:])[::-1]
        sums = np.cumsum(largest) / total
        if sums[-1] >= SHARE:
            few = int(np.argmax(sums >= SHARE)) + 1
            rows = tuple(int(row) + 1 for row in np.argsort(squares)[::-1][:few])
            return Outliers(rows, len(column), name, float(sums[few - 1]))
    return None
