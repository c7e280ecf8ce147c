"""The kernel of a batch; of a large batch, that of a sample of its rows.

With 32 of 128 rows at 512 blocks the gradients of tensors are up to 9 % off in the median, with 90
up to 8 %, most of them 1 to 5 % and 0 to 3 %; a sum over pairs that nearly cancels is up to a half
off. Of some stacks' tensors, up to 3 % more had no prediction. With 20 rows at 2,048 blocks they
are within 13 % of those with 64; of one stack 39 % of the tensors had no prediction instead of 16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.theory.scaled import Scaled

ROWS = 128  # the largest batch that is used whole
FEWEST_ROWS = 20
_ENTRIES = 32 * ROWS**2  # kernel entries over all blocks; a deeper stack uses fewer rows


def sample(x: Floats, depth: int) -> NDArray[np.intp]:
    """The indices (n,) of the rows that represent the batch: all, or evenly spaced ranks of |x|."""
    most = max(FEWEST_ROWS, min(ROWS, int(np.sqrt(_ENTRIES / depth))))
    if len(x) <= most:
        return np.arange(len(x))
    order = np.argsort((x * x).sum(axis=1), kind="stable")
    return np.sort(order[np.linspace(0, len(x) - 1, most).round().astype(np.intp)])


def _with_mean(kernel: Scaled, mean: float) -> Scaled:
    """The kernel of the rows, rescaled to the mean diagonal of the whole batch."""
    if mean == 0 or not kernel.values.any():
        return kernel
    return Scaled(kernel.values, kernel.log + float(np.log(mean)) - kernel.diagonal.log_mean())


def measured(x: Floats, unit: float, rows: NDArray[np.intp]) -> Scaled:
    """The kernel (n, n) of the rows of unit · x, rescaled to the whole batch's mean diagonal."""
    kernel = Scaled(x[rows] @ x[rows].T / x.shape[1]).normalised()
    kernel = _with_mean(kernel, float(np.mean(x * x)))
    return Scaled(kernel.values, kernel.log + 2 * float(np.log(unit)))


def measured_sum(x: Floats, unit: float, rows: NDArray[np.intp]) -> Scaled:
    """As ``measured``, with the mean over pairs also that of the whole batch.

    |Σ_a x_a|² is a sum over pairs that can cancel, most of all with one output; a sample of the
    pairs then estimates it poorly, and a deep stack amplifies the error.
    """
    kernel, batch, n = measured(x, unit, rows), len(x), len(rows)
    squares = float((x * x).sum())
    if n == batch or n < 2 or squares == 0:
        return kernel
    pairs = float((x.sum(axis=0) ** 2).sum()) - squares
    diagonal = np.diagonal(kernel.values)
    sizes = np.sqrt(np.multiply.outer(diagonal, diagonal))
    off_diagonal = ~np.eye(n, dtype=bool)
    pair_mean = pairs / squares / (batch - 1) * diagonal.mean()
    shift = (pair_mean - kernel.values[off_diagonal].mean()) / sizes[off_diagonal].mean()
    return Scaled(kernel.values + np.where(off_diagonal, shift * sizes, 0), kernel.log)


def largest(x: Floats) -> float:
    """The largest magnitude of x; 1 if all are 0."""
    return float(np.max(np.abs(x), initial=0)) or 1.0
