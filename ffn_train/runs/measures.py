"""A run's per-layer measures as arrays over the measured steps, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats


@dataclass(frozen=True)
class Measures:
    """The per-layer measures of a run: K measured steps, T tensors, L blocks.

    The arrays are those of ffn_train.train.measures, stacked over steps; ``tensors`` names the
    columns of the first three.
    """

    tensors: tuple[str, ...]
    step: NDArray[np.int64]  # (K,)
    gradient_norm: Floats  # (K, T)
    weight_norm: Floats  # (K, T)
    update_norm: Floats  # (K, T)
    signal_rms: Floats  # (K, L+1)
    signal_gradient_rms: Floats  # (K, L+1)
    skip_gradient_rms: Floats  # (K, L)
    branch_gradient_rms: Floats  # (K, L)
    dead_share: Floats  # (K, L)

    @property
    def depth(self) -> int:
        """L, the number of blocks."""
        return int(self.signal_rms.shape[1]) - 1

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers in order: ``input``, ``blocks.0`` ..., (``final_norm``,) ``output``."""
        return tuple(dict.fromkeys(_layer(name) for name in self.tensors))

    @property
    def layer_gradient_norm(self) -> Floats:
        """|dLoss/dθ| of each layer as a whole (K, layers)."""
        return self._by_layer(self.gradient_norm)

    @property
    def update_ratio(self) -> Floats:
        """|Δθ|/|θ| of each layer as a whole (K, layers), in the step taken; NaN at the last row."""
        weight = self._by_layer(self.weight_norm)
        known = np.where(weight > 0, weight, np.nan)
        with np.errstate(invalid="ignore"):
            ratio: Floats = self._by_layer(self.update_norm) / known
        return ratio

    @property
    def gradient_ratio(self) -> Floats:
        """|dLoss/dx_0| / |dLoss/dx_L| (K,): below 1 gradients vanish on the way back.

        0 where dLoss/dx_0 is below the range of the numbers; NaN where dLoss/dx_L already is.
        """
        last = self.signal_gradient_rms[:, -1]
        with np.errstate(invalid="ignore"):
            ratio: Floats = self.signal_gradient_rms[:, 0] / np.where(last > 0, last, np.nan)
        return ratio

    @property
    def growth_per_block(self) -> Floats:
        """The factor by which |dLoss/dx_l| grows for each block on the way back (K,).

        exp(-slope) of the least-squares line through log |dLoss/dx_l| over l = 0 ... L, or over the
        l where it is not 0, below the range of the numbers.
        """
        flow, index = self.signal_gradient_rms, np.arange(self.depth + 1)
        kept = flow != 0
        with np.errstate(divide="ignore", invalid="ignore"):
            middle = (kept @ index) / kept.sum(axis=1)
            aside = np.where(kept, index - middle[:, None], 0)
            log = np.where(kept, np.log(flow), 0)
            slope = (log * aside).sum(axis=1) / (aside**2).sum(axis=1)
        growth: Floats = np.exp(-slope)
        return growth

    def _by_layer(self, norms: Floats) -> Floats:
        layers = self.layers
        column = {name: index for index, name in enumerate(layers)}
        # scaled, so that the squares of the smallest and largest norms stay in range
        finite = np.where(np.isfinite(norms), norms, 0)
        scale = np.max(finite, axis=1, keepdims=True, initial=0)
        scale = np.where(scale > 0, scale, 1)
        squares = np.zeros((len(norms), len(layers)))
        with np.errstate(under="ignore", over="ignore", invalid="ignore"):
            for index, name in enumerate(self.tensors):
                squares[:, column[_layer(name)]] += (norms[:, index] / scale[:, 0]) ** 2
        result: Floats = np.sqrt(squares) * scale
        return result


def _layer(tensor: str) -> str:
    parts = tensor.split(".")
    return ".".join(parts[:2]) if parts[0] == "blocks" else parts[0]
