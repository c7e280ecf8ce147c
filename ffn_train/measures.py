"""Per-layer measures of one training step: what gradient flow is made of.

A measurement is one row of a NumPy record of fixed size, so a run's measurements are one array.
With T parameter tensors, L blocks, and every norm the Euclidean (Frobenius) norm:

    step                        updates made before this row
    gradient_norm   (T,)        |dLoss/dθ| of each parameter tensor, before clipping
    weight_norm     (T,)        |θ|
    update_norm     (T,)        |Δθ| of the step actually taken from here; NaN at the last row
    signal_rms      (L+1,)      root mean square over the batch and features of x_l, l = 0 ... L
    signal_gradient_rms (L+1,)  the same of dLoss/dx_l
    skip_gradient_rms   (L,)    the same of the skip part of dLoss/dx_l, l = 0 ... L-1; NaN without
    branch_gradient_rms (L,)    the same of the branch part
    dead_share      (L,)        share of hidden units that are positive for no sample of the batch;
                                NaN where the activation does not rectify
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.core import Array, Layout
from ffn_train.model import Stack
from ffn_train.segments import SignalGradients

SMALL = 2**15  # entries of a vector whose squares are quicker added up in one go
SMALLEST, LARGEST = 1e-30, 1e30  # sums of squares that lost nothing to under- or overflow

Floats = NDArray[np.float64]
Rows = NDArray[np.void]


@cache
def row_dtype(tensors: int, depth: int) -> np.dtype[np.void]:
    """The record of one measurement, for a stack of ``depth`` blocks and so many tensors."""
    fields: list[tuple[str, Any, tuple[int, ...]]] = [
        ("step", np.int64, ()),
        ("gradient_norm", np.float64, (tensors,)),
        ("weight_norm", np.float64, (tensors,)),
        ("update_norm", np.float64, (tensors,)),
        ("signal_rms", np.float64, (depth + 1,)),
        ("signal_gradient_rms", np.float64, (depth + 1,)),
        ("skip_gradient_rms", np.float64, (depth,)),
        ("branch_gradient_rms", np.float64, (depth,)),
        ("dead_share", np.float64, (depth,)),
    ]
    return np.dtype(fields)


def norm(array: Array) -> float:
    """The Euclidean norm, also of entries whose squares over- or underflow; NaN and inf stay."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return _norm(array)


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


def _norms(arrays: Array) -> list[float]:
    """The norm of each of k arrays, along the first axis."""
    if len(arrays) == 1:
        return [_norm(arrays[0])]
    rows = arrays.reshape(len(arrays), -1)
    squares = np.vecdot(rows, rows).tolist()
    if min(squares) > SMALLEST and max(squares) < LARGEST:
        return [math.sqrt(square) for square in squares]
    return [_norm(row) for row in rows]


def rms(array: Array) -> float:
    """The root mean square over all entries."""
    return norm(array) / math.sqrt(array.size)


def norms(layout: Layout, vector: Array) -> Floats:
    """The norm of each tensor (T,) of a flat vector.

    A call of NumPy costs more than the norm of a small tensor, so each takes those of all blocks,
    or all of a small vector's.
    """
    found = np.empty(len(layout.tensors))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if layout.size <= SMALL:
            found[...] = np.add.reduceat(vector * vector, layout.starts)
        else:
            for alike in layout.alike:
                rows = alike.rows(vector)
                found[alike.places] = np.vecdot(rows, rows)
        lost = ~((found > SMALLEST) & (found < LARGEST))
        np.sqrt(found, out=found)
        for place in np.flatnonzero(lost):
            found[place] = _norm(vector[layout.tensors[place].span])
    return found


class SignalNorms:
    """The norms of one shard's signals and their gradients, taken while its two passes go by."""

    def __init__(self, model: Stack) -> None:
        self._rectifies, self._depth = model.branch.activation.rectifies, model.depth
        self.entries = 0  # of each signal
        self.signal: list[float] = []
        self.gradient, self.skip, self.branch = ([math.nan] * (model.depth + 1) for _ in range(3))
        self.largest: Array | None = None  # (L, H): of each block's hidden units, over the samples
        self.seconds = 0.0

    def forward(self, signals: Array, hidden: Array | None) -> None:
        """Take signals, and the hidden units of the blocks that they come from."""
        before = time.perf_counter()
        self.entries = signals[0].size
        if hidden is not None and self._rectifies:
            if self.largest is None:
                self.largest = np.empty((self._depth, hidden.shape[2]), hidden.dtype)
            block = len(self.signal) - 1  # of signals so far, x_0 comes from none
            np.maximum.reduce(hidden, axis=1, out=self.largest[block : block + len(hidden)])
        self.signal.extend(_norms(signals))
        self.seconds += time.perf_counter() - before

    def backward(self, flow: Iterable[SignalGradients]) -> None:
        """Run the backward pass, taking the signal gradients as they go by."""
        above = None
        for first, dx, skip, branch in flow:
            before = time.perf_counter()
            here = slice(first, first + len(dx))
            self.gradient[here] = _norms(dx)
            if skip is not None and branch is not None:
                # an identity's skip part is dLoss/dx_{l+1} itself
                self.skip[here] = [self.gradient[first + 1]] if skip is above else _norms(skip)
                self.branch[here] = _norms(branch)
            above = dx
            self.seconds += time.perf_counter() - before


def dead_share(largest: Array) -> Array:
    """The share of units (L, H) of each block that are positive for no sample; NaN if one is."""
    share: Array = 1 - np.count_nonzero(largest > 0, axis=1) / largest.shape[1]
    if np.isnan(np.vdot(largest, largest)):
        share[np.isnan(largest).any(axis=1)] = np.nan
    return share


class Measurement:
    """One row, filled while a step goes by: the shards' signals, the parameters, the update.

    ``seconds`` is what it adds to the time of the step, as near as clocks between its operations
    and the step's own tell.
    """

    def __init__(self, model: Stack, step: int, shards: int = 1) -> None:
        self._layout = model.layout
        self.shards = [SignalNorms(model) for _ in range(shards)]
        self.row = np.zeros((), row_dtype(len(model.layout.tensors), model.depth))
        self.row["step"] = step
        self.row["update_norm"] = np.nan
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        return self._seconds + max(shard.seconds for shard in self.shards)

    def gradients(self, params: Array, grads: Array) -> None:
        """Take what is known after the backward pass: signals, parameters and their gradients."""
        before = time.perf_counter()
        entries = sum(shard.entries for shard in self.shards)
        parts = [(one.signal, one.gradient, one.skip, one.branch) for one in self.shards]
        signal, gradient, skip, branch = np.hypot.reduce(parts, axis=0) / math.sqrt(entries)
        self.row["signal_rms"], self.row["signal_gradient_rms"] = signal, gradient
        self.row["skip_gradient_rms"], self.row["branch_gradient_rms"] = skip[:-1], branch[:-1]
        largest = [shard.largest for shard in self.shards if shard.largest is not None]
        self.row["dead_share"] = dead_share(np.maximum.reduce(largest)) if largest else np.nan
        self.row["weight_norm"] = norms(self._layout, params)
        self.row["gradient_norm"] = norms(self._layout, grads)
        self._seconds += time.perf_counter() - before

    def before_update(self, params: Array) -> None:
        """Remember the parameters that the update starts from."""
        before = time.perf_counter()
        self._before = params.copy()
        self._seconds += time.perf_counter() - before

    def after_update(self, params: Array) -> None:
        """Take the norms of the update."""
        before = time.perf_counter()
        np.subtract(params, self._before, out=self._before)
        self.row["update_norm"] = norms(self._layout, self._before)
        self._seconds += time.perf_counter() - before
