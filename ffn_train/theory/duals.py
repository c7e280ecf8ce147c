"""Dual activations: the maps of a Gaussian field's kernel through an activation.

For (u_a, u_b) ~ N(0, K), with all pairs of a batch at once:

    A_ab = E[act(u_a) act(u_b)]         D_ab = E[act'(u_a) act'(u_b)]
    s_a  = E[(act act')'(u_a)]          M_ab = E[(act act')(u_a) (act act')(u_b)]

K is ``kernel`` · exp(``log``); A and M are returned in units of exp(log), D and s have no unit.
The kernels of several blocks, with a log each, have leading axes.
Closed forms are exact; other activations use their Hermite series, which needs more terms for a
wider field. tanh and SiLU of a wide field are therefore sums of functions with closed forms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from math import exp
from typing import Any, NamedTuple

import numpy as np

from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.activations.erf import Erf
from ffn_train.nn.activations.gelu import GELU, GELUTanh
from ffn_train.nn.activations.identity import Identity
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.core import Floats
from ffn_train.theory import hermite
from ffn_train.theory.scaled import ratio

# beyond exp(±50) in σ an activation equals its asymptote to all digits (linear near zero,
# homogeneous far out), and the scale cancels in every ratio
_FURTHEST = 100.0
_SMALL = 1e-4  # of what enters a correction of order L/D only


class Dual(NamedTuple):
    """A (units of exp(log)) and D."""

    value: Floats
    slope: Floats


class Coherence(NamedTuple):
    """s (N,) and M (units of exp(log))."""

    slope: Floats
    pairs: Floats


def correlation(kernel: Floats) -> Floats:
    """ρ_ab = K_ab/sqrt(K_aa K_bb), in [-1, 1] and 1 on the diagonal."""
    deviations = _deviations(kernel)
    inverse = np.divide(1, deviations, out=np.zeros_like(deviations), where=deviations > 0)
    rho = kernel * inverse[..., :, None]
    rho *= inverse[..., None, :]
    np.minimum(np.maximum(rho, -1, out=rho), 1, out=rho)
    rho.reshape(-1, rho.shape[-1] ** 2)[:, :: rho.shape[-1] + 1] = 1
    return rho


def _deviations(kernel: Floats) -> Floats:
    return np.sqrt(kernel.diagonal(axis1=-2, axis2=-1))


@singledispatch
def dual(activation: Activation, kernel: Floats, log: float) -> Dual:
    """A and D for the kernel exp(log) K (N, N)."""
    return _series(activation, kernel, log)


def _series(activation: Activation, kernel: Floats, log: float) -> Dual:
    values, slopes, unit = _at_nodes(activation, kernel, log)
    rho = correlation(kernel)
    return Dual(hermite.pairs(values / unit, rho), hermite.pairs(slopes, rho))


@singledispatch
def coherence(activation: Activation, kernel: Floats, log: Any) -> Coherence:
    """s and M for the kernel exp(log) K (..., N, N); s by Stein's lemma, E[u act act']/K_aa."""
    unit, own = np.exp(_within(log) / 2)[..., None], _deviations(kernel)

    def expansion(deviations: Floats) -> Floats:
        """Of act act'/σ, which hardly depends on σ."""
        values, slopes = _pair(activation, deviations, hermite.nodes_for(deviations))
        sizes = np.where(deviations > 0, deviations, 1)[..., None]
        return hermite.expansion(values * slopes / sizes, _SMALL)

    expanded = hermite.interpolated(expansion, own * unit)
    expanded *= np.where(own > 0, own, 1 / unit)[..., None]
    pairs = hermite.series(expanded, correlation(kernel), _SMALL)
    return Coherence(ratio(expanded[..., 1], own), pairs)


def square_pairs(activation: Activation, kernel: Floats, log: Any) -> Floats:
    """E[act(u_a)² act(u_b)²] in units of exp(2 log)."""
    values, _, unit = _at_nodes(activation, kernel, log)
    return hermite.pairs((values / unit) ** 2, correlation(kernel), negligible=_SMALL)


def _at_nodes(activation: Activation, kernel: Floats, log: Any) -> tuple[Floats, Floats, Floats]:
    """act and act' at the nodes, and the unit exp(log/2), (..., 1, 1)."""
    unit = np.exp(_within(log) / 2)[..., None, None]
    deviations = _deviations(kernel) * unit[..., 0]
    return *_pair(activation, deviations, hermite.nodes_for(deviations)), unit


def _pair(activation: Activation, deviations: Floats, count: int) -> tuple[Floats, Floats]:
    nodes, _ = hermite.grid(count)
    values, slopes = activation.pair(deviations[..., None] * nodes)
    return np.asarray(values, np.float64), np.asarray(slopes, np.float64)


def _within(log: Any) -> Floats:
    return np.asarray(np.minimum(np.maximum(log, -_FURTHEST), _FURTHEST))


def _unit(log: float) -> float:
    """exp(log), within limits."""
    return exp(min(max(log, -_FURTHEST), _FURTHEST))


def _rectified(kernel: Floats) -> Dual:
    """The arc-cosine kernels of degree 1 and 0, of ReLU. Cho and Saul 2009."""
    deviations, rho = _deviations(kernel), correlation(kernel)
    angle, size = np.arccos(rho), deviations[..., :, None] * deviations[..., None, :]
    value = size / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * rho)
    varies = 2 * _positive(kernel)
    step = varies[..., :, None] * varies[..., None, :]
    return Dual(value, (np.pi - angle) / (2 * np.pi) * step)


def _leaky(kernel: Floats, slope: float) -> Dual:
    # max(z, s z) = s z + (1 - s) relu(z), and E[z_a relu(z_b)] = K_ab/2
    value, step = _rectified(kernel)
    rest, positive = (1 - slope) ** 2, _positive(kernel)
    either = positive[..., :, None] + positive[..., None, :]
    return Dual(
        slope * kernel + rest * value, slope**2 + slope * (1 - slope) * either + rest * step
    )


def _positive(kernel: Floats) -> Floats:
    """The probability that u_a > 0: 1/2, but 0 where it is 0 for certain, at the kink."""
    return np.where(_deviations(kernel) > 0, 0.5, 0.0)


def _slope_below_zero(activation: ReLU | LeakyReLU | Identity) -> float:
    if isinstance(activation, LeakyReLU):
        return activation.slope
    return 1.0 if isinstance(activation, Identity) else 0.0


@dual.register
def _(activation: ReLU | LeakyReLU | Identity, kernel: Floats, log: float) -> Dual:
    return _leaky(kernel, _slope_below_zero(activation))


@coherence.register
def _(activation: ReLU | LeakyReLU | Identity, kernel: Floats, log: Any) -> Coherence:
    square = _slope_below_zero(activation) ** 2  # act act' is the leaky unit of the squared slope
    slope = square + (1 - square) * _positive(kernel)
    return Coherence(slope, _leaky(kernel, square).value)


def _erf_pairs(left: Floats, right: Floats, size: Floats, cross: Floats) -> tuple[Floats, Floats]:
    """A and D of erf for E u_a² = left (N, 1), E u_b² = right (N,), their root and E u_a u_b."""
    spread = np.sqrt(1 + 2 * (left + right) + 4 * (size - cross) * (size + cross))
    # arcsin(x) by its tangent, exact near 1 too: sqrt((1 + 2 K_aa)(1 + 2 K_bb)) cos = spread
    return 2 / np.pi * np.arctan2(2 * cross, spread), 4 / np.pi / spread


def _gelu_pairs(left: Floats, right: Floats, size: Floats, cross: Floats) -> tuple[Floats, Floats]:
    """A and D of GELU, with the arguments of ``_erf_pairs``."""
    apart = (size - cross) * (size + cross)
    square = 1 + left + right + apart  # δ² without its cancellation
    shares = 1 / (1 + left) + 1 / (1 + right)
    root = np.sqrt(square)
    inverse, half = 0.5 / np.pi / root, 0.25 + np.arctan2(cross, root) / (2 * np.pi)
    value = cross * half + (apart + cross * cross * shares) * inverse
    return value, half + cross * inverse * (1 / square + shares)


def _products(kernel: Floats) -> tuple[Floats, Floats]:
    """sqrt(K_aa K_bb), exact on the diagonal, and K_ab within it."""
    deviations = _deviations(kernel)
    size = np.multiply.outer(deviations, deviations)
    size.reshape(-1)[:: len(size) + 1] = kernel.diagonal()
    return size, np.minimum(np.maximum(kernel, -size), size)


def _closed(pairs: Callable[..., tuple[Floats, Floats]], kernel: Floats, log: float) -> Dual:
    """The dual of an activation that has a closed form for pairs."""
    unit = _unit(log)
    kernel = kernel * unit
    variances = kernel.diagonal()
    value, slope = pairs(variances[:, None], variances, *_products(kernel))
    value /= unit
    return Dual(value, slope)


@dual.register
def _(activation: Erf, kernel: Floats, log: float) -> Dual:
    """Williams 1997: A = 2/π arcsin(2 K_ab/sqrt((1 + 2 K_aa)(1 + 2 K_bb))).

    D = 4/π / sqrt((1 + 2 K_aa)(1 + 2 K_bb) - 4 K_ab²).
    """
    return _closed(_erf_pairs, kernel, log)


@dual.register
def _(activation: GELU, kernel: Floats, log: float) -> Dual:
    """With p = (1 + K_aa)(1 + K_bb), δ² = p - K_ab² and ω = arctan(K_ab/δ):

    A = K_ab/4 + (K_ab² + K_aa K_bb δ²)/(2π p δ) + K_ab ω/(2π),
    D = 1/4 + ω/(2π) + K_ab (1/δ² + (1 - K_aa K_bb)/p + 1)/(2π δ). Tsuchida et al. 2021.

    With s = 1/(1 + K_aa) + 1/(1 + K_bb), (1 - K_aa K_bb)/p is s - 1, and the numerator of 2π p δ
    over p is K_ab² s + K_aa K_bb - K_ab².
    """
    return _closed(_gelu_pairs, kernel, log)


# tanh z = Σ_j c_j erf(b_j z) to 8e-6, its derivative to 7e-5 of itself: (b_j, c_j), least squares
_TANH = (
    (0.3653, 0.00493),
    (0.4832, 0.06428),
    (0.6341, 0.2261),
    (0.8379, 0.36802),
    (1.1219, 0.27946),
    (1.5394, 0.05721),
)
_WIDE = 2.5  # σ from which the sums are more accurate than the series of tanh, SiLU and GELUTanh


@dual.register
def _(activation: Tanh | SiLU | GELUTanh, kernel: Floats, log: float) -> Dual:
    """The Hermite series; for a wide field a sum over pairs of functions with closed forms.

    tanh z = Σ c erf(b z), z σ(z) = z (1 + tanh(z/2))/2 = Σ c GELU(s z)/s with s = b/sqrt(2), and
    GELU's tanh form is GELU to 5e-4.
    """
    unit = _unit(log)
    variances = np.diagonal(kernel) * unit
    if np.max(variances, initial=0) < _WIDE**2:
        return _series(activation, kernel, log)
    if isinstance(activation, GELUTanh):
        return _closed(_gelu_pairs, kernel, log)
    size, cross = _products(kernel * unit)
    pairs, scale, power = _erf_pairs, 1.0, 0
    if isinstance(activation, SiLU):
        pairs, scale, power = _gelu_pairs, np.sqrt(2), 1
    terms = [(rate / scale, share) for rate, share in _TANH]
    value, slope = np.zeros_like(kernel), np.zeros_like(kernel)
    for a, left in terms:
        for b, right in terms:
            values, slopes = pairs(
                a * a * variances[:, None], b * b * variances, a * b * size, a * b * cross
            )
            value += left * right / (a * b) ** power * values
            slope += left * right * (a * b) ** (1 - power) * slopes
    return Dual(value / unit, slope)


class Response(NamedTuple):
    """How one unit responds to N(0, σ²) and to a change of σ².

    ``value_power``, ``slope_power``: d log E act²/d log σ² and d log E act'²/d log σ².
    ``value_tail``, ``slope_tail``: E act⁴/(E act²)² and E act'⁴/(E act'²)²; ``mixed_tail``:
    E (act act')²/(E act² E act'²).
    """

    value_power: Floats
    slope_power: Floats
    value_tail: Floats
    slope_tail: Floats
    mixed_tail: Floats


def response(activation: Activation, log_variance: Any) -> Response:
    """The response at each variance exp(log_variance), by sums on the grid."""
    unit = np.exp(_within(log_variance) / 2)
    # of one unit the finer grid costs nothing, and fourth powers show a kink
    count = hermite.nodes_for(unit, least=400)
    nodes, weights = hermite.grid(count)
    values, slopes = _pair(activation, unit, count)
    squares = (values / unit[..., None]) ** 2, slopes**2
    means = [hermite.mean(square) for square in squares]
    # the density of N(0, σ²) changes by (z² - 1)/2 of itself
    growth = weights * (nodes**2 - 1) / 2
    powers = [ratio(square @ growth, mean) for square, mean in zip(squares, means, strict=True)]
    value, slope = (
        np.where(mean[..., None], square / mean[..., None], 1.0)
        for square, mean in zip(squares, means, strict=True)
    )
    return Response(*powers, *map(hermite.mean, (value * value, slope * slope, value * slope)))
