"""Norms of many arrays and maxima of hidden units, from which the quantities are computed.

Every norm is Euclidean (Frobenius), and right even where squares over- or underflow; NaN and inf
propagate. A NumPy call costs more than the norm of a small array, so each takes many arrays.
"""

from __future__ import annotations

import math

import numpy as np

from ffn_train.nn.core import Array, Arrays, Floats, Layout

SMALL = 2**15  # entries: up to here one reduceat over the whole vector is faster
SMALLEST, LARGEST = 1e-30, 1e30  # between them a sum of squares lost nothing to under- or overflow


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
    if flat.dtype == np.float32:  # no square of these leaves float64's range
        wide = flat.astype(np.float64)
        return math.sqrt(np.dot(wide, wide))
    largest = float(np.max(np.abs(flat), initial=0))
    if largest == 0 or not math.isfinite(largest):
        return largest
    scaled = flat / largest
    return largest * math.sqrt(np.dot(scaled, scaled))


class Reductions:
    """Reductions of many arrays in NumPy; the caller silences overflow (``np.errstate``)."""

    def norm(self, vector: Array) -> float:
        """The norm of a vector."""
        return _norm(vector)

    def norms(self, arrays: Arrays, out: Array) -> None:
        """The norm of each array, into ``out`` (K,)."""
        out[:] = [_norm(array) for array in arrays]

    def tensor_norms(self, layout: Layout, vector: Array, out: Floats) -> None:
        """The norm of each tensor of a flat vector (P,), into ``out`` (T,)."""
        if layout.size > SMALL:
            self.norms(np.split(vector, layout.starts[1:]), out)
            return
        out[...] = np.add.reduceat(vector * vector, layout.starts)
        lossy = np.flatnonzero(~((out > SMALLEST) & (out < LARGEST)))
        np.sqrt(out, out=out)
        for index in lossy:
            out[index] = _norm(vector[layout.tensors[index].span])

    def maxima(self, hidden: Arrays, out: Array) -> None:
        """Each unit's largest value over the samples, of k blocks (N, H), into ``out`` (k, H).

        NaN propagates.
        """
        for units, largest in zip(hidden, out, strict=True):
            np.maximum.reduce(units, axis=0, out=largest)
