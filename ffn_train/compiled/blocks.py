"""Forward and backward pass of consecutive residual blocks, between two returns to Python.

The equations are those of ``ffn_train.blocks`` and ``ffn_train.layers``, the test of these.
"""

from __future__ import annotations

import numpy as np

from ffn_train.compiled.branch import branch, branch_backward
from ffn_train.compiled.jit import entry, inlined, summing
from ffn_train.compiled.norms import norm, norm_backward
from ffn_train.compiled.scheme import NO_NORM, POST, PRE


@inlined
def _norm_of(scheme, theta, at):
    """The norm's gain and shift, and where the next tensor starts."""
    middle = at
    end = at
    if scheme.placement != NO_NORM:
        middle = at + scheme.width
        end = middle + scheme.width if scheme.centred else middle
    return theta[at:middle], theta[middle:end], end


@inlined
def _multiplier_of(scheme, theta, at):
    if scheme.learnable:
        return theta[at], at + 1
    return theta.dtype.type(scheme.multiplier), at


@summing
def _dot(a, b):
    total = a.dtype.type(0)
    for n in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += a[n, j] * b[n, j]
    return total


@entry
def forward(scheme, theta, kept, first, last):
    """Blocks ``first`` ... ``last`` - 1 of k, from ``kept.signals[first]`` on; fills ``kept``.

    ``theta`` holds the parameters of the k blocks.
    """
    rows = kept.signals.shape[1]
    size = theta.size // kept.hidden.shape[0]
    gate = np.empty((rows, scheme.hidden if scheme.gated else 0), theta.dtype)
    real = theta.dtype.type
    skip, eps = real(scheme.skip), real(scheme.eps)
    for block in range(first, last):
        x, y, hidden = kept.signals[block], kept.signals[block + 1], kept.hidden[block]
        multiplier, at = _multiplier_of(scheme, theta, block * size)
        gain, shift, at = _norm_of(scheme, theta, at)
        inner, slope, value, output = x, hidden, hidden, y
        if scheme.placement == PRE:
            inner = kept.inner[block]
            normed, inverse = kept.normed[block], kept.inverse[block]
            norm(x, gain, shift, scheme.centred, eps, normed, inverse, inner)
        if scheme.keeps_slope:
            slope = kept.slope[block]
        if scheme.gated:
            value = kept.value[block]
        if scheme.learnable:
            output = kept.branch[block]
        bias = branch(scheme, theta, at, inner, hidden, slope, value, gate, output)
        for n in range(rows):
            for j in range(scheme.width):
                out = output[n, j] + bias[j]
                output[n, j] = out
                out *= multiplier
                y[n, j] = out + skip * x[n, j] if skip != 0 else out
        if scheme.placement == POST:
            normed, inverse = kept.normed[block], kept.inverse[block]
            norm(y, gain, shift, scheme.centred, eps, normed, inverse, y)


@entry
def backward(scheme, theta, grads, kept, dy, dx, parts, first, last):
    """From dL/dx_last in ``dy`` to dL/dx_first in ``dx``, both (N, D); fills ``grads``.

    ``parts`` (2, N, D) takes the skip and the branch part of dL/dx_first, unless it is empty.
    """
    rows = dy.shape[0]
    size = theta.size // kept.hidden.shape[0]
    skip = theta.dtype.type(scheme.skip)
    dhidden = np.empty((rows, scheme.hidden), theta.dtype)
    dvalue = np.empty((rows, scheme.hidden if scheme.gated else 0), theta.dtype)
    dsum, dbranch, dinner = np.empty((3, rows, scheme.width), theta.dtype)
    dx[:] = dy
    for block in range(last - 1, first - 1, -1):
        multiplier, at = _multiplier_of(scheme, theta, block * size)
        dgain, dshift, _ = _norm_of(scheme, grads, at)
        gain, _, at = _norm_of(scheme, theta, at)
        hidden = kept.hidden[block]
        inner, slope, value, dz = kept.signals[block], hidden, hidden, dx
        if scheme.placement == PRE:
            inner = kept.inner[block]
        if scheme.keeps_slope:
            slope = kept.slope[block]
        if scheme.gated:
            value = kept.value[block]
        if scheme.placement == POST:
            dz = dsum
            normed, inverse = kept.normed[block], kept.inverse[block]
            norm_backward(dx, gain, scheme.centred, normed, inverse, dgain, dshift, dz)
        if scheme.learnable:
            grads[block * size] = _dot(dz, kept.branch[block])
        dbias = grads[(block + 1) * size - scheme.width : (block + 1) * size]
        dbias[:] = 0
        for n in range(rows):
            for j in range(scheme.width):
                d = multiplier * dz[n, j]
                dbranch[n, j] = d
                dbias[j] += d
        branch_backward(
            scheme, theta, grads, at, dbranch, inner, hidden, slope, value, dhidden, dvalue, dinner
        )
        if scheme.placement == PRE:
            normed, inverse = kept.normed[block], kept.inverse[block]
            norm_backward(dinner, gain, scheme.centred, normed, inverse, dgain, dshift, dinner)
        if parts.size and block == first:
            parts[1] = dinner
            for n in range(rows):
                for j in range(scheme.width):
                    parts[0, n, j] = skip * dz[n, j]
        for n in range(rows):
            for j in range(scheme.width):
                d = dinner[n, j]
                dx[n, j] = d + skip * dz[n, j] if skip != 0 else d
