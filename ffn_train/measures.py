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

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.core import Array, Layout
from ffn_train.model import SignalGradient, Stack, StackPullback

Rows = NDArray[np.void]


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
    flat = array.reshape(-1)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        square = float(np.dot(flat, flat))
    if 1e-30 < square < 1e30:
        return float(np.sqrt(square))
    largest = float(np.max(np.abs(flat), initial=0))
    if largest == 0 or not np.isfinite(largest):
        return largest
    scaled = flat.astype(np.float64) / largest
    return largest * float(np.sqrt(np.dot(scaled, scaled)))


def rms(array: Array) -> float:
    """The root mean square over all entries."""
    return norm(array) / float(np.sqrt(array.size))


def norms(layout: Layout, vector: Array) -> list[float]:
    """The norm of each tensor of a flat vector."""
    return [norm(vector[tensor.span]) for tensor in layout.tensors]


def dead_share(hidden: Array) -> float:
    """The share of hidden units (N, H) that are positive for no sample; NaN if one is NaN."""
    largest = hidden.max(axis=0)
    if np.isnan(largest).any():
        return float("nan")
    return float(np.mean(~(largest > 0)))


class Measurement:
    """One row, filled while a step passes by: forward, backward, update."""

    def __init__(self, model: Stack, step: int) -> None:
        self._model = model
        self.row = np.zeros((), row_dtype(len(model.layout.tensors), model.depth))
        for name in self.row.dtype.names or ():
            if name != "step":
                self.row[name] = np.nan
        self.row["step"] = step

    def forward(self, pullback: StackPullback) -> None:
        """Take the signals and the hidden units of a forward pass that kept its signals."""
        self.row["signal_rms"] = [rms(x) for x in pullback.signals]
        if self._model.branch.activation.rectifies:
            self.row["dead_share"] = [dead_share(hidden) for hidden in pullback.hidden]

    def backward(self, flow: Iterable[SignalGradient]) -> None:
        """Run the backward pass, taking the signal gradients as they pass by."""
        for index, dx, skip, branch in flow:
            self.row["signal_gradient_rms"][index] = rms(dx)
            if skip is not None and branch is not None:
                self.row["skip_gradient_rms"][index] = rms(skip)
                self.row["branch_gradient_rms"][index] = rms(branch)

    def parameters(self, params: Array, grads: Array) -> None:
        """Take the norms of the parameters and of their gradients."""
        self.row["weight_norm"] = norms(self._model.layout, params)
        self.row["gradient_norm"] = norms(self._model.layout, grads)

    def update(self, before: Array, after: Array) -> None:
        """Take the norms of the step taken."""
        self.row["update_norm"] = norms(self._model.layout, after - before)
