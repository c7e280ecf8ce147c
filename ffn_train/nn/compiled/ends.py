"""A stack's ends: the input projection x_0 = W x + b, and the read-out y = W norm(x_L) + b."""

from __future__ import annotations

from ffn_train.nn.compiled.blas import product, product_of_transpose, product_with_transpose
from ffn_train.nn.compiled.branch import linear_of
from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.compiled.norms import norm, norm_backward
from ffn_train.nn.compiled.scheme import PRE, norm_of


@inlined
def _linear(weight, bias, x, y):
    product_with_transpose(x, weight, y)
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[n, j] += bias[j]


@inlined
def _linear_backward(weight, dweight, dbias, dy, x, dx):
    product_of_transpose(dy, x, dweight)
    product(dy, weight, dx)
    dbias[:] = 0
    for n in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dbias[j] += dy[n, j]


@inlined
def projection(scheme, theta, x, signal):
    """x_0 into ``signal``."""
    weight, bias, _ = linear_of(theta, 0, scheme.width, scheme.inputs)
    _linear(weight, bias, x, signal)


@inlined
def projection_backward(scheme, theta, grads, dsignal, x, dx):
    """From dL/dx_0 to dL/dx."""
    weight, _, _ = linear_of(theta, 0, scheme.width, scheme.inputs)
    dweight, dbias, _ = linear_of(grads, 0, scheme.width, scheme.inputs)
    _linear_backward(weight, dweight, dbias, dsignal, x, dx)


@inlined
def read_out(scheme, theta, at, signal, kept, slot, y):
    """y from x_L = ``signal``; its norm's values are kept at index ``slot``."""
    inner = signal
    if scheme.placement == PRE:
        gain, shift, at = norm_of(scheme, theta, at)
        inner, normed, inverse = kept.inner[slot], kept.normed[slot], kept.inverse[slot]
        eps = theta.dtype.type(scheme.eps)
        norm(signal, gain, shift, scheme.centred, eps, normed, inverse, inner)
    weight, bias, _ = linear_of(theta, at, scheme.outputs, scheme.width)
    _linear(weight, bias, inner, y)


@inlined
def read_out_backward(scheme, theta, grads, at, dy, signal, kept, slot, dinner, dsignal):
    """From dL/dy to dL/dx_L; ``dinner`` (N, D) is scratch."""
    inner, dx, start = signal, dsignal, at
    if scheme.placement == PRE:
        inner, dx = kept.inner[slot], dinner
        _, _, start = norm_of(scheme, theta, at)
    weight, _, _ = linear_of(theta, start, scheme.outputs, scheme.width)
    dweight, dbias, _ = linear_of(grads, start, scheme.outputs, scheme.width)
    _linear_backward(weight, dweight, dbias, dy, inner, dx)
    if scheme.placement == PRE:
        gain, _, _ = norm_of(scheme, theta, at)
        dgain, dshift, _ = norm_of(scheme, grads, at)
        normed, inverse = kept.normed[slot], kept.inverse[slot]
        norm_backward(dinner, gain, scheme.centred, normed, inverse, dgain, dshift, dsignal)
