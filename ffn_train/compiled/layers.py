"""The layers outside the blocks: input projection, final norm and read-out."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np

from ffn_train.compiled.blas import product, product_of_transpose, product_with_transpose
from ffn_train.compiled.jit import entry
from ffn_train.compiled.norms import norm, norm_backward
from ffn_train.core import Array, Layer, Pullback, Views
from ffn_train.layers.linear import Linear
from ffn_train.layers.norms import LayerNorm, RMSNorm

Kind = TypeVar("Kind", bound=Layer)


@entry
def _linear(x, weight, bias):
    y = np.empty((x.shape[0], weight.shape[0]), x.dtype)
    product_with_transpose(x, weight, y)
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[n, j] += bias[j]
    return y


@entry
def _linear_backward(dy, x, weight, dweight, dbias):
    dx = np.empty_like(x)
    product_of_transpose(dy, x, dweight)
    product(dy, weight, dx)
    dbias[:] = 0
    for n in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dbias[j] += dy[n, j]
    return dx


@entry
def _norm(x, gain, shift, centred, eps):
    y, normed, inverse = np.empty_like(x), np.empty_like(x), np.empty(x.shape[0], x.dtype)
    norm(x, gain, shift, centred, x.dtype.type(eps), normed, inverse, y)
    return y, normed, inverse


@entry
def _norm_backward(dy, gain, centred, normed, inverse, dgain, dshift):
    dx = np.empty_like(dy)
    norm_backward(dy, gain, centred, normed, inverse, dgain, dshift, dx)
    return dx


def _matrix(array: Array, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """The array as the BLAS, which looks at neither strides nor bounds, takes it to be.

    Raises ValueError for another shape.
    """
    if array.shape != shape:
        raise ValueError(f"array has shape {array.shape}, the layer needs {shape}")
    return np.ascontiguousarray(array, dtype)


class CompiledLinear(Linear):
    """``Linear``, compiled. Takes any order and precision, and computes in that of its weight."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        weight, rows = params["weight"], len(x)
        x = _matrix(x, (rows, self.fan_in), weight.dtype)

        def pullback(dy: Array, grads: Views) -> Array:
            dy = _matrix(dy, (rows, self.fan_out), weight.dtype)
            dx: Array = _linear_backward(dy, x, weight, grads["weight"], grads["bias"])
            return dx

        return _linear(x, weight, params["bias"]), pullback


class CompiledLayerNorm(LayerNorm):
    """``LayerNorm``, compiled."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        y, normed, inverse = _norm(x, gain, params["shift"], True, self.eps)

        def pullback(dy: Array, grads: Views) -> Array:
            gradients = grads["gain"], grads["shift"]
            dx: Array = _norm_backward(dy, gain, True, normed, inverse, *gradients)
            return dx

        return y, pullback


class CompiledRMSNorm(RMSNorm):
    """``RMSNorm``, compiled."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        gain = params["gain"]
        y, normed, inverse = _norm(x, gain, gain[:0], False, self.eps)

        def pullback(dy: Array, grads: Views) -> Array:
            gradients = grads["gain"], grads["gain"][:0]
            dx: Array = _norm_backward(dy, gain, False, normed, inverse, *gradients)
            return dx

        return y, pullback


def compiled_layer(layer: Kind) -> Kind:
    """The same layer, compiled."""
    twin: Any
    match layer:
        case Linear():
            twin = CompiledLinear(layer.fan_in, layer.fan_out)
        case LayerNorm():
            twin = CompiledLayerNorm(layer.width, layer.eps)
        case RMSNorm():
            twin = CompiledRMSNorm(layer.width, layer.eps)
        case _:
            raise TypeError(f"{type(layer).__name__} has no compiled twin")
    return cast(Kind, twin)
