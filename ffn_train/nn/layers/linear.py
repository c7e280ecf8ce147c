"""The affine map y = x Wᵀ + b."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ffn_train.nn.core import Array, Layer, Pullback, Shape, Views
from ffn_train.nn.layers.sums import sample_sum


class Linear(Layer):
    """y = x Wᵀ + b with W (fan_out, fan_in) and b (fan_out,).

    Backward: dW = dyᵀ x, db = Σ_n dy_n, dx = dy W.
    """

    def __init__(self, fan_in: int, fan_out: int) -> None:
        self.fan_in = fan_in
        self.fan_out = fan_out

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"weight": (self.fan_out, self.fan_in), "bias": (self.fan_out,)}

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        weight = params["weight"]
        y = np.dot(x, weight.T)
        y += params["bias"]

        def pullback(dy: Array, grads: Views) -> Array:
            np.dot(dy.T, x, out=grads["weight"])
            sample_sum(dy, out=grads["bias"])
            dx: Array = np.dot(dy, weight)
            return dx

        return y, pullback
