"""The affine map y = x Wᵀ + b."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ffn_train.core import Array, Layer, Pullback, Shape, Views


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
        y = x @ weight.T
        y += params["bias"]

        def pullback(dy: Array, grads: Views) -> Array:
            np.matmul(dy.T, x, out=grads["weight"])
            np.matmul(np.ones(len(dy), dy.dtype), dy, out=grads["bias"])  # faster than dy.sum(0)
            return dy @ weight

        return y, pullback
