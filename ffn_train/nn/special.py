"""The normal distribution's special functions in NumPy: erf, the density and the distribution.

Both tails are the density times Mills' ratio m(z) = (1 - Φ(z)) / φ(z), which is smooth and free of
underflow, so the relative error stays below 3e-13 in float64 and 5e-6 in float32 in the far tails
too, where 1 - erf(x) would lose every digit; in float32 nearly all of it is the rounding of z².

float64: m(z) = t Q(1 - 2t) with t = 1/(1 + p z) in (0, 1] and a polynomial Q, a truncated Chebyshev
series. This is Shepherd and Laframboise's method (1981, "Chebyshev approximation of
(1 + 2x) exp(x²) erfc x in 0 <= x < ∞") with another factor.
float32: a fraction in the shape of Laplace's 1/(z + 1/(z + 2/(z + ...))); it takes half the passes
over memory that the polynomial takes. Its relative error is 4.1e-7 up to z = 13.15, where φ leaves
float32's normal range; the least that such a fraction can have is 3.5e-7.

``tests/nn/fit_special.py`` fits all coefficients anew, and a test compares them with these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_train.nn.core import Array

# sqrt(2/π) m(√2 x) = erfcx(x) = t Q(1 - 2t), t = 1/(1 + 0.4 x): Q's coefficients, lowest first
ERFCX = (
    0.42161272812228723,
    -0.3218607397756594,
    0.18156564665922276,
    -0.06850045809844092,
    0.011344620053543768,
    0.003357217721730853,
    -0.0019275142232051635,
    -0.00017568331795414735,
    0.00028107762359897705,
    2.332320957295223e-05,
    -4.504269360087179e-05,
    -7.813278685890337e-06,
    7.3004777451222276e-06,
    2.7028039391350558e-06,
    -9.393354423389915e-07,
    -7.870007654306762e-07,
    7.652875904539806e-09,
    1.8142119762551096e-07,
    4.485977752884366e-08,
    -2.9480449421795505e-08,
    -1.4297276763277472e-08,
    2.5050658727010676e-09,
    1.8100251661223615e-09,
)
_MILLS = tuple(float(np.sqrt(np.pi / 2) * coefficient) for coefficient in ERFCX)
MILLS_FRACTION = tuple(
    np.float32(value)
    for value in (
        0.9998763761960369,
        -0.005799940065136511,
        1.119336927954464,
        1.3065632877927529,
        -7.343305679541464,
        -0.2491511941403112,
        5.722097266173105,
        21.184722909320527,
    )
)
# erf(x)/x in powers of x² for |x| <= 1, lowest first; 4e-16 relative
ERF_NEAR_ZERO = (
    1.1283791670955126,
    -0.37612638903183754,
    0.1128379167095512,
    -0.026866170645129854,
    0.005223977625423455,
    -0.0008548327021945428,
    0.00012055332903350668,
    -1.4925647581008593e-05,
    1.6462045711013026e-06,
    -1.6364645854816389e-07,
    1.479243542696247e-08,
    -1.2164764337224506e-09,
    8.709755232851789e-11,
    -4.2320376764874594e-12,
)

FAR = 100.0  # |x| is clipped here, where erf is 1, so that no square overflows


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    *others, highest = coefficients
    y = x * x.dtype.type(highest)
    for coefficient in reversed(others[1:]):
        y += x.dtype.type(coefficient)
        y *= x
    y += x.dtype.type(others[0])
    return y


def _mills_ratio(z: Array) -> Array:
    """(1 - Φ(z)) / φ(z) for z >= 0."""
    if z.dtype == np.float32:
        return _mills_fraction(z)
    t = z * (0.4 / np.sqrt(2))
    t += 1
    np.reciprocal(t, out=t)
    u = t * -2
    u += 1
    ratio = _polynomial(u, _MILLS)
    ratio *= t
    return ratio


def _mills_fraction(z: Array) -> Array:
    """a/(z + b + c/(z + d + e (z + f)/(z² + g z + h))), whose denominators are all positive."""
    a, b, c, d, e, f, g, h = MILLS_FRACTION
    quadratic = z + g
    quadratic *= z
    quadratic += h
    ratio = z + f
    ratio /= quadratic  # before e, by which z + f could overflow
    ratio *= e
    ratio += z
    ratio += d
    np.divide(c, ratio, out=ratio)
    ratio += z
    ratio += b
    np.divide(a, ratio, out=ratio)
    return ratio


def normal_density(z: Array) -> Array:
    """φ(z) = exp(-z²/2) / sqrt(2π)."""
    density = z * z
    density *= -0.5
    np.exp(density, out=density)
    density *= z.dtype.type(1 / np.sqrt(2 * np.pi))
    return density


def normal_distribution(z: Array, density: Array) -> Array:
    """Φ(z), given φ(z), in full relative precision in the lower tail too."""
    tail = _mills_ratio(np.abs(z))
    tail *= density
    above = (z > 0).astype(z.dtype)  # NumPy subtracts from a bool at half the speed
    np.subtract(above, tail, out=tail)  # 1 - tail = Φ above zero, -tail = -Φ below
    np.abs(tail, out=tail)
    return tail


def erf(x: Array) -> Array:
    """erf(x) = 2/sqrt(π) ∫₀ˣ exp(-t²) dt, in full relative precision near zero too."""
    size = np.abs(x)
    np.minimum(size, x.dtype.type(FAR), out=size)
    far = np.exp(-(size * size))
    far *= _mills_ratio(size * x.dtype.type(np.sqrt(2)))
    far *= x.dtype.type(np.sqrt(2 / np.pi))
    np.subtract(1, far, out=far)
    near = np.minimum(size, 1)
    near *= _polynomial(near * near, ERF_NEAR_ZERO)
    return np.copysign(np.where(size < 1, near, far), x)
