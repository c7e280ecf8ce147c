"""LayerNorm and RMSNorm over the features of each sample, with learnable gain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ffn_train.core import Array, Layer, Pullback, Shape, Views


def _mean_product(a: Array, b: Array) -> Array:
    """The mean over features of a·b, one value a sample, as a column (N, 1)."""
    mean: Array = np.einsum("nd,nd->n", a, b)[:, None]
    mean /= a.shape[1]
    return mean


class LayerNorm(Layer):
    """y = g ∘ x̂ + s with x̂ = (x - mean(x)) / sqrt(var(x) + eps), over each sample's D features.

    Backward, with dx̂ = dy ∘ g: dg = Σ_n dy ∘ x̂, ds = Σ_n dy and
    dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / sqrt(var(x) + eps).
    The two subtracted means are the paths through mean(x) and through var(x): the gradient has no
    component along the all-ones vector nor (up to eps) along x̂.
    Source: Ba, Kiros and Hinton 2016, "Layer Normalization".
    """

    def __init__(self, width: int, eps: float) -> None:
        self.width = width
        self.eps = eps

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"gain": (self.width,), "shift": (self.width,)}

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        normed = x - x.mean(axis=1, keepdims=True)
        inverse = 1 / np.sqrt(_mean_product(normed, normed) + x.dtype.type(self.eps))
        normed *= inverse
        y = normed * gain
        y += params["shift"]

        def pullback(dy: Array, grads: Views) -> Array:
            np.einsum("nd,nd->d", dy, normed, out=grads["gain"])
            np.matmul(np.ones(len(dy), dy.dtype), dy, out=grads["shift"])
            dx = dy * gain
            through_variance = _mean_product(dx, normed)
            dx -= dx.mean(axis=1, keepdims=True)
            dx -= normed * through_variance
            dx *= inverse
            return dx

        return y, pullback


class RMSNorm(Layer):
    """y = g ∘ x̂ with x̂ = x / sqrt(mean(x²) + eps), over each sample's D features.

    Backward, with dx̂ = dy ∘ g: dg = Σ_n dy ∘ x̂ and
    dx = (dx̂ - x̂ mean(dx̂ ∘ x̂)) / sqrt(mean(x²) + eps).
    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    def __init__(self, width: int, eps: float) -> None:
        self.width = width
        self.eps = eps

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"gain": (self.width,)}

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        inverse = 1 / np.sqrt(_mean_product(x, x) + x.dtype.type(self.eps))
        normed = x * inverse
        y = normed * gain

        def pullback(dy: Array, grads: Views) -> Array:
            np.einsum("nd,nd->d", dy, normed, out=grads["gain"])
            dx = dy * gain
            dx -= normed * _mean_product(dx, normed)
            dx *= inverse
            return dx

        return y, pullback
