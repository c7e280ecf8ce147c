"""Norms of many arrays and what a batch says of hidden units, each in one call of compiled code."""

from __future__ import annotations

from math import isinf, sqrt

import numpy as np

from ffn_train.compiled.jit import entry, summing
from ffn_train.core import Array, Layout
from ffn_train.reductions import Floats, Reductions

_SMALLEST, _LARGEST = 1e-280, 1e280  # sums of squares that lost nothing to under- or overflow


@summing
def _norm(vector):
    """Added up in float64, which no square of a float32 leaves."""
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
def _norms(rows, out):
    for k in range(rows.shape[0]):
        out[k] = _norm(rows[k])


@entry
def _tensor_norms(vector, starts, out):
    for t in range(starts.size):
        end = starts[t + 1] if t + 1 < starts.size else vector.size
        out[t] = _norm(vector[starts[t] : end])


@entry
def _change(after, before):
    for i in range(before.size):
        before[i] = after[i] - before[i]


@entry
def _largest(hidden, out):
    for block in range(hidden.shape[0]):
        out[block] = hidden[block, 0]
        for n in range(1, hidden.shape[1]):
            for j in range(hidden.shape[2]):
                new, old = hidden[block, n, j], out[block, j]
                out[block, j] = new if new > old or new != new else old


@entry
def _dead_share(largest, out):
    for block in range(largest.shape[0]):
        dead, nan = 0, False
        for j in range(largest.shape[1]):
            dead += not largest[block, j] > 0
            nan |= largest[block, j] != largest[block, j]
        out[block] = np.nan if nan else dead / largest.shape[1]


class CompiledReductions(Reductions):
    """``Reductions``, compiled."""

    def norms(self, arrays: Array) -> Floats:
        found = np.empty(len(arrays))
        _norms(arrays.reshape(len(arrays), -1), found)
        return found

    def tensor_norms(self, layout: Layout, vector: Array) -> Floats:
        found = np.empty(len(layout.tensors))
        _tensor_norms(vector, layout.starts, found)
        return found

    def change_norms(self, layout: Layout, after: Array, before: Array) -> Floats:
        _change(after, before)
        return self.tensor_norms(layout, before)

    def largest(self, hidden: Array, out: Array) -> None:
        _largest(hidden, out)

    def dead_share(self, largest: Array) -> Floats:
        found = np.empty(len(largest))
        _dead_share(largest, found)
        return found
