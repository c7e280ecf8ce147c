"""Norms of many arrays at once, and what a batch says of hidden units: what measures are made of.

Every norm is the Euclidean (Frobenius) norm, also of entries whose squares over- or underflow; NaN
and inf stay. A call of NumPy costs more than the norm of a small array, so each takes many.
"""

from __future__ import annotations

import math

import numpy as np

from ffn_train.nn.core import Array, Arrays, Floats, Layout

SMALL = 2**15  # entries of a vector whose squares are quicker added up in one go
SMALLEST, LARGEST = 1e-30, 1e30  # sums of squares that lost nothing to under- or overflow


def norm(array: Array) -> float:
    """The norm of one array."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return _norm(array)


def rms(array: Array) -> float:
    """The root mean square over all entries."""
    return norm(array) / math.sqrt(array.size)


def _norm(array: Array) -> float:
    square = float(np.vdot(array, array))
    if SMALLEST < square < LARGEST:
        return math.sqrt(square)
    flat = array.reshape(-1)
    if flat.dtype == np.float32:  # no square of these is out of float64's range
        wide = flat.astype(np.float64)
        return math.sqrt(np.dot(wide, wide))
    largest = float(np.max(np.abs(flat), initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = flat / largest
    return largest * math.sqrt(np.dot(scaled, scaled))


class Reductions:
    """Reductions of many arrays, in NumPy, which the caller tells to be silent of overflow."""

    def norm(self, vector: Array) -> float:
        """The norm of a vector."""
        return _norm(vector)

    def norms(self, arrays: Arrays, out: Array) -> None:
        """The norm of each array."""
        squares = [float(np.vdot(array, array)) for array in arrays]
        if min(squares) > SMALLEST and max(squares) < LARGEST:
            out[:] = [math.sqrt(square) for square in squares]
        else:
            out[:] = [_norm(array) for array in arrays]

    def tensor_norms(self, layout: Layout, vector: Array, out: Floats) -> None:
        """The norm of each tensor (T,) of a flat vector."""
        if layout.size <= SMALL:
            out[...] = np.add.reduceat(vector * vector, layout.starts)
        else:
            for alike in layout.alike:
                rows = alike.rows(vector)
                out[alike.places] = np.vecdot(rows, rows)
        squares = out.tolist()
        np.sqrt(out, out=out)
        if not (min(squares) > SMALLEST and max(squares) < LARGEST):
            for place, square in enumerate(squares):
                if not SMALLEST < square < LARGEST:
                    out[place] = _norm(vector[layout.tensors[place].span])

    def maxima(self, hidden: Arrays, out: Array) -> None:
        """The largest value (k, H) of each unit of k blocks (N, H) over the samples; NaN stays."""
        for block, its_units in zip(hidden, out, strict=True):
            np.maximum.reduce(block, axis=0, out=its_units)

    def dead_share(self, maxima: Array, out: Floats) -> None:
        """Of units (L, H): each block's share that are never positive; NaN where one is NaN."""
        np.divide(np.add.reduce(maxima <= 0, axis=1), maxima.shape[1], out=out)
        out[np.isnan(maxima).any(axis=1)] = np.nan
