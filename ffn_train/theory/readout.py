"""The start of the a-priori backward recursion: the read-out under a mean squared error.

The read-out is LeCun normal, so with M outputs and e = dLoss/dy = κ (y - t), κ = 2/(N M),

    E_ab = E[e_a · e_b] = κ² (M Y_ab + t_a · t_b)
    P_ab = κ²/D (M (M + D + 1)/D Y_ab + t_a · t_b)

for the kernel Y of its input, from the second moment of a Wishart matrix. M + 1 of the M + D + 1
lie along the signal, E[g_a | x_a] = κ M/D x_a, and a norm of x_L removes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.nn.stack import Stack
from ffn_train.theory.recursion import Top, norm_scales, passed
from ffn_train.theory.scaled import Scaled


@dataclass(frozen=True)
class ReadOut:
    """The start of the backward recursion, and the kernels Y and E of the read-out itself.

    ``gain``, ``shift``: kernels whose sums are the squared gradients of a final norm's parameters.
    ``spread``: the covariance (N, N) of the log of |dLoss/dx_L|² over seeds; ``error_spread`` that
    of |e|²; ``power``: d log P/d log Q of a sample.
    """

    top: Top
    final_signal: Scaled
    error: Scaled
    gain: Scaled
    shift: Scaled
    spread: Floats
    error_spread: Floats
    power: float


def mse_read_out(model: Stack, signal: Scaled, targets: Scaled, batch: int) -> ReadOut:
    """The read-out for the kernels (n, n) of x_L, ``signal``, and of the targets, t_a · t_b."""
    width, outputs = model.width, model.output.fan_out
    kappa = 2 / (batch * outputs)
    scales = norm_scales(model, signal)
    y = signal if model.final_norm is None else signal.over(scales)
    whole = (y * (outputs * (width + outputs + 1) / width) + targets) * (kappa**2 / width)
    projected = (y * float(outputs) + targets) * (kappa**2 / width * passed(model))
    if model.final_norm is not None:
        gradient = projected.over(scales)
        top = Top(gradient, gradient, None)
    else:
        coherence = Scaled(np.full(len(targets.values), kappa * outputs / width))
        post = model.block.post is not None
        top = Top(whole, projected, None if post else coherence, along=coherence if post else None)
    error = (y * outputs + targets) * kappa**2
    chance = _chance(y, targets, outputs)
    own = y.diagonal * float(outputs)
    share = own.share_of(own + targets.diagonal)
    squares, along = y.diagonal, kappa * outputs / width
    return ReadOut(
        top=top,
        final_signal=y,
        error=error,
        # Σ_n dLoss/dy_n ∘ y_n: the part of dLoss/dy along y adds E[y_a² y_b²] of each feature
        gain=error * y + (squares.outer() + y * y * 2.0) * (along**2 * width),
        shift=(error + y * (outputs * (outputs + 1) / width * kappa**2)),
        spread=chance + 2 / width * normalised_square(top.gradient),
        error_spread=chance,
        power=-1.0 if model.final_norm is not None else float(share),
    )


def _chance(y: Scaled, targets: Scaled, outputs: int) -> Floats:
    """The covariance of log |y_a - t_a|² with y ~ N(0, Y).

    The square's relative covariance is v = (2 M Y² + 4 Y t·t)/means, as of a chi-square with 2/v
    degrees of freedom. Its log has the variance ψ'(1/v), which v + v²/2 + v³/6 meets within 8 % at
    one degree (v = 2).
    """
    square = y * y * (2.0 * outputs) + y * targets * 4.0
    v = square.relative_to_sizes((y * outputs + targets).diagonal)
    return np.asarray(v + v**2 / 2 + v**3 / 6)


def normalised_square(kernel: Scaled) -> Floats:
    """K_ab²/(K_aa K_bb); 0 where K_aa or K_bb is 0."""
    return (kernel * kernel).relative_to_sizes(kernel.diagonal)
