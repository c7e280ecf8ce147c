"""LayerNorm and RMSNorm, each sample in one visit."""

from __future__ import annotations

import math

from ffn_train.compiled.jit import inlined, summing


@summing
def _mean(row):
    total = row.dtype.type(0)
    for j in range(row.size):
        total += row[j]
    return total / row.dtype.type(row.size)


@summing
def _mean_product(a, b):
    total = a.dtype.type(0)
    for j in range(a.size):
        total += a[j] * b[j]
    return total / a.dtype.type(a.size)


@inlined
def norm(x, gain, shift, centred, eps, normed, inverse, y):
    """y = g ∘ x̂ + s of x (N, D), keeping x̂ and 1/scale; RMSNorm is not ``centred``, without s."""
    real = x.dtype.type
    zero, one = real(0), real(1)
    for n in range(x.shape[0]):
        row, into, out = x[n], normed[n], y[n]
        mean = _mean(row) if centred else zero
        for j in range(row.size):
            into[j] = row[j] - mean
        factor = one / real(math.sqrt(_mean_product(into, into) + eps))
        inverse[n] = factor
        for j in range(row.size):
            into[j] *= factor
            out[j] = into[j] * gain[j]
        if centred:
            for j in range(row.size):
                out[j] += shift[j]


@inlined
def norm_backward(dy, gain, centred, normed, inverse, dgain, dshift, dx):
    """dx (which may be dy), dg = Σ_n dy ∘ x̂ and ds = Σ_n dy."""
    zero = dy.dtype.type(0)
    dgain[:] = 0
    if centred:
        dshift[:] = 0
    for n in range(dy.shape[0]):
        row, its_normed, out = dy[n], normed[n], dx[n]
        if centred:
            for j in range(row.size):
                dshift[j] += row[j]
        for j in range(row.size):
            dgain[j] += row[j] * its_normed[j]
            out[j] = row[j] * gain[j]
        mean = _mean(out) if centred else zero
        through = _mean_product(out, its_normed)
        factor = inverse[n]
        for j in range(row.size):
            out[j] = (out[j] - mean - its_normed[j] * through) * factor
