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
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Array, Arrays
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack
from ffn_train.train.shards import Shards, worth_threads

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


class SignalNorms:
    """The norms of one shard's signals and their gradients, taken while its two passes go by.

    ``signal`` and ``gradient`` (L+1,) are |x_l| and |dLoss/dx_l|, ``skip`` and ``branch`` (L,) the
    norms of the latter's two parts; ``norms`` is all four in a row.
    """

    def __init__(self, model: Stack) -> None:
        self._reductions, depth = model.engine.reductions, model.depth
        self._rectifies = model.branch.activation.rectifies
        self._passes_on = model.block.passes_gradient_on
        self._shape = depth, model.hidden
        self.norms = np.full(4 * depth + 2, np.nan)
        ends = np.cumsum([depth + 1, depth + 1, depth])
        self.signal, self.gradient, self.skip, self.branch = np.split(self.norms, ends)
        self.activity: Array | None = None  # (L, H): the sum of each hidden unit over the samples
        self.begin()

    def begin(self) -> None:
        """Forget how far the last two passes came."""
        self.seconds = 0.0
        self.entries = 0  # of each signal
        self._signals = self._blocks = 0

    def forward(self, signals: Arrays, hidden: Arrays) -> None:
        """Take a segment's signals and the hidden units of its blocks."""
        before = time.perf_counter()
        seen, self._signals = self._signals, self._signals + len(signals)
        self.entries = signals[0].size
        self._reductions.norms(signals, self.signal[seen : self._signals])
        if self._rectifies:
            if self.activity is None:
                self.activity = np.empty(self._shape, hidden[0].dtype)
            blocks, self._blocks = self._blocks, self._blocks + len(hidden)
            self._reductions.activity(hidden, self.activity[blocks : self._blocks])
        self.seconds += time.perf_counter() - before

    def backward(self, at: SignalGradients) -> None:
        """Take the gradients of a segment's signals."""
        before = time.perf_counter()
        norms, (first, dx, skip, branch) = self._reductions.norms, at
        norms(dx, self.gradient[first : first + len(dx)])
        if skip is not None:
            end = first + len(branch)
            norms(branch, self.branch[first:end])
            if self._passes_on:
                self.skip[first:end] = self.gradient[first + 1 : end + 1]
            else:
                norms(skip, self.skip[first:end])
        self.seconds += time.perf_counter() - before

    def add(self, other: SignalNorms) -> None:
        """Take what another shard of the same batch found."""
        np.hypot(self.norms, other.norms, out=self.norms)
        self.entries += other.entries
        self.seconds = max(self.seconds, other.seconds)
        if self.activity is not None and other.activity is not None:
            self.activity += other.activity


class Measurement:
    """Rows, one at a time, each filled while a step goes by: signals, parameters, the update.

    ``seconds`` is what the row adds to the time of its step, as near as clocks between its
    operations and the step's own tell.
    """

    def __init__(self, model: Stack, shards: int = 1) -> None:
        self._layout, self._reductions = model.layout, model.engine.reductions
        self.shards = [SignalNorms(model) for _ in range(shards)]
        tensors = len(model.layout.tensors)
        self._dtype = row_dtype(tensors, model.depth)
        self._row = np.full(self._dtype.itemsize // 8, np.nan)
        self._step = self._row[:1].view(np.int64)
        lengths = (1, tensors, tensors, tensors, self.shards[0].norms.size)
        parts = np.split(self._row, np.cumsum(lengths))
        _, self._gradient, self._weight, self._update, self._signals, self._dead = parts
        self._before: Array | None = None
        self._seconds = 0.0

    def begin(self, step: int) -> Measurement:
        """The same, for the row of this step."""
        self._step[0] = step
        self._update.fill(np.nan)
        self._seconds = 0.0
        for shard in self.shards:
            shard.begin()
        return self

    @property
    def row(self) -> Rows:
        """The row as it is now; NumPy takes ten times as long to copy a record."""
        return np.ndarray((), self._dtype, self._row.copy())

    @property
    def seconds(self) -> float:
        return self._seconds + self.shards[0].seconds

    def gradients(self, params: Array, grads: Array, threads: Shards) -> None:
        """Take what is known after the backward pass: signals, parameters and their gradients."""
        before = time.perf_counter()
        whole = self.shards[0]
        for shard in self.shards[1:]:
            whole.add(shard)
        np.divide(whole.norms, math.sqrt(whole.entries), out=self._signals)
        if whole.activity is not None:
            self._reductions.dead_share(whole.activity, self._dead)
        vectors = ((params, self._weight), (grads, self._gradient))

        def norms_of(shard: int) -> None:
            for vector, out in vectors[shard :: threads.count]:
                self._reductions.tensor_norms(self._layout, vector, out)

        threads.each(norms_of, side_by_side=worth_threads(params))
        self._seconds += time.perf_counter() - before

    def before_update(self, params: Array) -> None:
        """Remember the parameters that the update starts from."""
        before = time.perf_counter()
        if self._before is None:
            self._before = np.empty_like(params)
        np.copyto(self._before, params)
        self._seconds += time.perf_counter() - before

    def after_update(self, params: Array) -> None:
        """Take the norms of the update."""
        before = time.perf_counter()
        assert self._before is not None
        self._reductions.change_norms(self._layout, params, self._before, self._update)
        if worth_threads(params):  # large: until the next row it would lie beside the activations
            self._before = None
        self._seconds += time.perf_counter() - before
