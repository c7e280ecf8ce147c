"""LayerNorm and RMSNorm, sample by sample."""

from __future__ import annotations

from math import inf, sqrt

from ffn_train.nn.compiled.jit import summing


@summing
def norm(scheme, x, gain, shift, kept, slot, y):
    """y = g ∘ x̂ + s of x (N, D), keeping x̂ and 1/scale; RMSNorm: not ``centred``, and no s."""
    real, width = x.dtype.type, x.shape[1]
    centred, eps = scheme.centred, real(scheme.eps)
    normed, inverse = kept.normed[slot], kept.inverse[slot]
    for n in range(x.shape[0]):
        mean, square = real(0), real(0)
        if centred:
            for j in range(width):
                mean += x[n, j]
            mean /= real(width)
        for j in range(width):
            deviation = x[n, j] - mean
            square += deviation * deviation
        scale = real(sqrt(square / real(width) + eps))
        if scale == real(inf):  # the squares overflow: factor out the largest; eps is negligible
            largest, square = real(0), real(0)
            for j in range(width):
                largest = max(largest, abs(x[n, j] - mean))
            for j in range(width):
                part = (x[n, j] - mean) / largest
                square += part * part
            scale = largest * real(sqrt(square / real(width)))
        factor = real(1) / scale
        inverse[n] = factor
        for j in range(width):
            x_hat = (x[n, j] - mean) * factor
            normed[n, j] = x_hat
            y[n, j] = x_hat * gain[j] + (shift[j] if centred else real(0))


@summing
def norm_backward(scheme, dy, gain, kept, slot, dgain, dshift, dx):
    """dx (which may be dy), dg = Σ_n dy ∘ x̂ and ds = Σ_n dy."""
    real, width, centred = dy.dtype.type, dy.shape[1], scheme.centred
    normed, inverse = kept.normed[slot], kept.inverse[slot]
    dgain[:] = 0
    dshift[:] = 0
    for n in range(dy.shape[0]):
        mean, through = real(0), real(0)
        for j in range(width):
            scaled = dy[n, j] * gain[j]
            mean += scaled
            through += scaled * normed[n, j]
        mean = mean / real(width) if centred else real(0)
        through /= real(width)
        for j in range(width):
            d, x_hat = dy[n, j], normed[n, j]
            dgain[j] += d * x_hat
            if centred:
                dshift[j] += d
            dx[n, j] = (d * gain[j] - mean - x_hat * through) * inverse[n]
