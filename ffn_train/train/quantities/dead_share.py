"""The share of each block's hidden units that are dead."""

from __future__ import annotations

from typing import Any

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.nn.core import Array, Floats
from ffn_train.nn.stack import Stack
from ffn_train.train.quantities.quantity import Batch, Forward, PassQuantity


@choice("quantity", "dead_share")
class DeadShare(PassQuantity):
    """Share of each block's hidden units that are positive for no sample of the batch."""

    per = "block"
    symbol = "share of dead units"
    equation = "#{j: h_nj <= 0 for all n} / H"
    needs = ("signals", "hidden units")
    log = False

    def absent(self, model: Stack) -> str:
        activation = model.branch.activation
        return "" if activation.rectifies else f"{activation.name} does not rectify"

    def start(self, model: Stack, dtype: np.dtype[Any]) -> Array:
        """The largest value of each hidden unit over the samples (L, H)."""
        return np.zeros((model.depth, model.hidden), dtype)

    def forward(self, at: Forward, partial: Array) -> None:
        at.reductions.maxima(at.hidden, partial[at.blocks])

    def combine(self, partial: Array, other: Array) -> None:
        np.maximum(partial, other, out=partial)

    def value(self, partial: Array, batch: Batch, out: Floats) -> None:
        np.mean(partial <= 0, axis=1, out=out)
        out[np.isnan(partial).any(axis=1)] = np.nan
