"""Norms of many arrays and maxima of hidden units, each in one call of compiled code."""

from __future__ import annotations

from math import isinf, sqrt

import numpy as np

from ffn_train.nn.compiled.jit import entry, summing
from ffn_train.nn.core import Array, Arrays, Floats, Layout
from ffn_train.nn.reductions import Reductions

_SMALLEST, _LARGEST = 1e-280, 1e280  # between them a sum lost nothing to under- or overflow


@summing
def _norm(vector):
    """Summed in float64, whose range no square of a float32 leaves."""
    total = 0.0
    for i in range(vector.size):
        entry = np.float64(vector[i])
        total += entry * entry
    if _SMALLEST < total < _LARGEST or total != total:
        return sqrt(total)
    largest = 0.0
    for i in range(vector.size):
        largest = max(largest, abs(np.float64(vector[i])))
    if largest == 0 or isinf(largest):
        return largest
    total = 0.0
    for i in range(vector.size):
        entry = np.float64(vector[i]) / largest
        total += entry * entry
    return largest * sqrt(total)


@entry
def vector_norm(vector, out):
    """The norm of a vector, into ``out`` (1,)."""
    out[0] = _norm(vector)


@entry
def _norms(vector, starts, out):
    for t in range(starts.size):
        end = starts[t + 1] if t + 1 < starts.size else vector.size
        out[t] = _norm(vector[starts[t] : end])


@entry
def _maxima(hidden, out):
    for block in range(hidden.shape[0]):
        out[block] = hidden[block, 0]
        for n in range(1, hidden.shape[1]):
            for j in range(hidden.shape[2]):
                value, largest = hidden[block, n, j], out[block, j]
                out[block, j] = value if value > largest or value != value else largest


class CompiledReductions(Reductions):
    """``Reductions``, compiled. Many arrays must be stacked in one, not in a list."""

    def norm(self, vector: Array) -> float:
        out = np.empty(1)
        vector_norm(vector, out)
        return float(out[0])

    def norms(self, arrays: Arrays, out: Array) -> None:
        flat = np.reshape(arrays, -1)
        _norms(flat, np.arange(0, flat.size, arrays[0].size), out)

    def tensor_norms(self, layout: Layout, vector: Array, out: Floats) -> None:
        _norms(vector, layout.starts, out)

    def maxima(self, hidden: Arrays, out: Array) -> None:
        _maxima(hidden, out)
