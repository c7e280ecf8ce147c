"""LayerNorm and RMSNorm over the features of each sample, with learnable gain."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ffn_train.nn.core import Array, Layer, Pullback, Shape, Views
from ffn_train.nn.layers.sums import feature_mean, sample_sum


def _inverse_scale(x: Array, eps: float) -> Array:
    """1 / sqrt(mean(x²) + eps) of each sample, as a column (N, 1).

    Where the squares overflow (above 1e19 in float32) the largest |x| is factored out, and eps is
    negligible; 1/inf would turn the sample into zeros.
    """
    scale = feature_mean(x * x)
    scale += eps
    np.sqrt(scale, out=scale)
    if not np.isfinite(scale).all():
        rows = ~np.isfinite(scale[:, 0])
        largest = np.abs(x[rows]).max(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            part = x[rows] / largest
        scale[rows] = largest * np.sqrt(feature_mean(part * part))
    return np.reciprocal(scale, out=scale)


class _FeatureNorm(Layer):
    """A norm over the D = ``width`` features of each sample, with a gain."""

    def __init__(self, width: int, eps: float) -> None:
        self.width = width
        self.eps = eps

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"gain": (self.width,)}

    def initial_value(self, name: str) -> float:
        return 1.0 if name == "gain" else 0.0


class LayerNorm(_FeatureNorm):
    """y = g ∘ x̂ + s with x̂ = (x - mean(x)) / sqrt(var(x) + eps), over each sample's D features.

    Backward, with dx̂ = dy ∘ g: dg = Σ_n dy ∘ x̂, ds = Σ_n dy and
    dx = (dx̂ - mean(dx̂) - x̂ mean(dx̂ ∘ x̂)) / sqrt(var(x) + eps).
    The two subtracted means are the paths through mean(x) and through var(x): the gradient has no
    component along the all-ones vector nor (up to eps) along x̂.
    Source: Ba, Kiros and Hinton 2016, "Layer Normalization".
    """

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {**super().shapes, "shift": (self.width,)}

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        normed = x - feature_mean(x)
        inverse = _inverse_scale(normed, self.eps)
        normed *= inverse
        y = normed * gain
        y += params["shift"]

        def pullback(dy: Array, grads: Views) -> Array:
            sample_sum(dy, out=grads["shift"])
            product = dy * normed
            sample_sum(product, out=grads["gain"])
            dx = dy * gain
            through_variance = feature_mean(np.multiply(dx, normed, out=product))
            dx -= feature_mean(dx)
            dx -= np.multiply(normed, through_variance, out=product)
            dx *= inverse
            return dx

        return y, pullback


class RMSNorm(_FeatureNorm):
    """y = g ∘ x̂ with x̂ = x / sqrt(mean(x²) + eps), over each sample's D features.

    Backward, with dx̂ = dy ∘ g: dg = Σ_n dy ∘ x̂ and
    dx = (dx̂ - x̂ mean(dx̂ ∘ x̂)) / sqrt(mean(x²) + eps).
    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        inverse = _inverse_scale(x, self.eps)
        normed = x * inverse
        y = normed * gain

        def pullback(dy: Array, grads: Views) -> Array:
            product = dy * normed
            sample_sum(product, out=grads["gain"])
            dx = dy * gain
            through_scale = feature_mean(np.multiply(dx, normed, out=product))
            dx -= np.multiply(normed, through_scale, out=product)
            dx *= inverse
            return dx

        return y, pullback
