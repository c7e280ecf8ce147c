"""The cross-entropy of a softmax over classes."""

from __future__ import annotations

import numpy as np

from ffn_train.config.registry import choice
from ffn_train.config.settings import setting
from ffn_train.nn.core import Array
from ffn_train.nn.losses.loss import Loss


@choice("loss", "cross_entropy")
class CrossEntropy(Loss):
    """mean over samples of -Σ_k t_k log p_k with p = softmax(y); its gradient is (p - t)/N.

    t is one-hot, or with label smoothing s, (1 - s) of that plus s/K for each of the K classes
    (Szegedy et al. 2016). In nats: of K equally likely classes log K.
    """

    kinds = ("classes",)
    trivial = "knowing only how common each class is"

    smoothing: float = setting("s, label smoothing", 0.0, at_least=0, below=1)

    @property
    def unit(self) -> str:  # type: ignore[override]
        smoothing = f", with label smoothing {self.smoothing:g}" if self.smoothing else ""
        return f"in nats{smoothing}"

    def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
        wanted = self._smoothed(targets)
        shifted = y - y.max(axis=1, keepdims=True)  # no exp of it overflows
        p = np.exp(shifted)
        total = p.sum(axis=1, keepdims=True)
        value = float(np.log(total).sum() - np.vdot(wanted, shifted)) / len(y)
        p /= total
        p -= wanted
        p /= len(y)
        return value, p

    def trivial_outputs(self, targets: Array) -> Array:
        share = self._smoothed(targets).mean(axis=0)
        tiny = np.finfo(targets.dtype).tiny  # the share of a class without a training row
        return np.broadcast_to(np.log(np.maximum(share, tiny)), targets.shape)

    def _smoothed(self, targets: Array) -> Array:
        if self.smoothing == 0:
            return targets
        smoothed: Array = targets * (1 - self.smoothing) + self.smoothing / targets.shape[1]
        return smoothed
