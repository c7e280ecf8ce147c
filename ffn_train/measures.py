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

from ffn_train.core import Array
from ffn_train.model import Stack
from ffn_train.segments import SignalGradients
from ffn_train.shards import Shards, worth_threads

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

    ``signal`` and ``gradient`` (L+1,) are |x_l| and |dLoss/dx_l|, ``skip`` and ``branch`` the norms
    of the latter's two parts; all four are the rows of ``norms``.
    """

    def __init__(self, model: Stack) -> None:
        self._model, self._reductions = model, model.engine.reductions
        self.norms = np.full((4, model.depth + 1), np.nan)
        self.signal, self.gradient, self.skip, self.branch = self.norms
        self.activity: Array | None = None  # (L, H): the sum of each hidden unit over the samples
        self.entries = 0  # of each signal
        self.seconds = 0.0
        self._seen = self._blocks = 0  # signals and blocks

    def forward(self, signals: Array, hidden: Array | None) -> None:
        """Take signals, and the hidden units of the blocks that they come from."""
        before = time.perf_counter()
        seen, self._seen = self._seen, self._seen + len(signals)
        self.entries = signals[0].size
        self._reductions.norms(signals, self.signal[seen : self._seen])
        if hidden is not None and self._model.branch.activation.rectifies:
            if self.activity is None:
                self.activity = np.empty((self._model.depth, hidden.shape[2]), hidden.dtype)
            blocks, self._blocks = self._blocks, self._blocks + len(hidden)
            self._reductions.activity(hidden, self.activity[blocks : self._blocks])
        self.seconds += time.perf_counter() - before

    def backward(self, flow: Iterable[SignalGradients]) -> None:
        """Run the backward pass, taking the signal gradients as they go by."""
        norms = self._reductions.norms
        same = self._model.block.passes_gradient_on
        for first, dx, skip, branch in flow:
            before = time.perf_counter()
            norms(dx, self.gradient[first : first + len(dx)])
            if skip is not None and branch is not None:
                parts = slice(first, first + len(branch))
                norms(branch, self.branch[parts])
                if same:
                    self.skip[parts] = self.gradient[first + 1 : first + 1 + len(branch)]
                else:
                    norms(skip, self.skip[parts])
            self.seconds += time.perf_counter() - before


def _merged(ufunc: np.ufunc, shards: list[Array]) -> Array:
    """What each shard found, as one; a single shard's stays as it is."""
    merged: Array = shards[0] if len(shards) == 1 else ufunc.reduce(shards)
    return merged


class Measurement:
    """One row, filled while a step goes by: the shards' signals, the parameters, the update.

    ``seconds`` is what it adds to the time of the step, as near as clocks between its operations
    and the step's own tell.
    """

    def __init__(self, model: Stack, step: int, shards: int = 1) -> None:
        self._layout, self._reductions = model.layout, model.engine.reductions
        self.shards = [SignalNorms(model) for _ in range(shards)]
        self.row = np.zeros((), row_dtype(len(model.layout.tensors), model.depth))
        self.row["step"] = step
        self.row["update_norm"] = self.row["dead_share"] = np.nan
        self._seconds = 0.0

    @property
    def seconds(self) -> float:
        return self._seconds + max(shard.seconds for shard in self.shards)

    def gradients(self, params: Array, grads: Array, threads: Shards) -> None:
        """Take what is known after the backward pass: signals, parameters and their gradients."""
        before = time.perf_counter()
        row, reductions = self.row, self._reductions
        entries = sum(shard.entries for shard in self.shards)
        norms = _merged(np.hypot, [shard.norms for shard in self.shards]) / math.sqrt(entries)
        row["signal_rms"], row["signal_gradient_rms"] = norms[0], norms[1]
        row["skip_gradient_rms"], row["branch_gradient_rms"] = norms[2, :-1], norms[3, :-1]
        activity = [shard.activity for shard in self.shards if shard.activity is not None]
        if activity:
            row["dead_share"] = reductions.dead_share(_merged(np.add, activity))
        vectors = (("weight_norm", params), ("gradient_norm", grads))

        def norms_of(shard: int) -> None:
            for name, vector in vectors[shard :: threads.count]:
                row[name] = reductions.tensor_norms(self._layout, vector)

        threads.each(norms_of, side_by_side=worth_threads(params))
        self._seconds += time.perf_counter() - before

    def before_update(self, params: Array) -> None:
        """Remember the parameters that the update starts from."""
        before = time.perf_counter()
        self._before = params.copy()
        self._seconds += time.perf_counter() - before

    def after_update(self, params: Array) -> None:
        """Take the norms of the update."""
        before = time.perf_counter()
        change_norms = self._reductions.change_norms
        self.row["update_norm"] = change_norms(self._layout, params, self._before)
        self._seconds += time.perf_counter() - before
