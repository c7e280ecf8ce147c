"""A stack's ends: x_0 = W x + b, a linear layer, and the read-out y = W norm(x_L) + b."""

from __future__ import annotations

from ffn_train.nn.compiled.blas import product_with_transpose
from ffn_train.nn.compiled.branch import linear_of, products_backward
from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.compiled.norms import norm, norm_backward
from ffn_train.nn.compiled.scheme import PRE, norm_of


@inlined
def linear(theta, at, fan_out, fan_in, x, y):
    """y = W x + b into ``y``, with the parameters that begin at ``at``."""
    weight, bias, _ = linear_of(theta, at, fan_out, fan_in)
    product_with_transpose(x, weight, y)
    for n in range(y.shape[0]):
        for j in range(y.shape[1]):
            y[n, j] += bias[j]


@inlined
def linear_backward(theta, grads, at, fan_out, fan_in, dy, x, dx):
    """From dL/dy to dL/dx; fills dL/dW and dL/db."""
    products_backward(theta, grads, at, fan_out, fan_in, dy, x, dx)
    _, dbias, _ = linear_of(grads, at, fan_out, fan_in)
    dbias[:] = 0
    for n in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dbias[j] += dy[n, j]


@inlined
def read_out(scheme, theta, at, signal, kept, slot, y):
    """y from x_L = ``signal``; its norm's values are kept at index ``slot``."""
    inner = signal
    if scheme.placement == PRE:
        gain, shift, at = norm_of(scheme, theta, at)
        inner = kept.inner[slot]
        norm(scheme, signal, gain, shift, kept, slot, inner)
    linear(theta, at, scheme.outputs, scheme.width, inner, y)


@inlined
def read_out_backward(scheme, theta, grads, at, dy, signal, kept, slot, dinner, dsignal):
    """From dL/dy to dL/dx_L; ``dinner`` (N, D) is scratch."""
    inner, dx, start = signal, dsignal, at
    if scheme.placement == PRE:
        inner, dx = kept.inner[slot], dinner
        _, _, start = norm_of(scheme, theta, at)
    linear_backward(theta, grads, start, scheme.outputs, scheme.width, dy, inner, dx)
    if scheme.placement == PRE:
        gain, _, _ = norm_of(scheme, theta, at)
        dgain, dshift, _ = norm_of(scheme, grads, at)
        norm_backward(scheme, dinner, gain, kept, slot, dgain, dshift, dsignal)
