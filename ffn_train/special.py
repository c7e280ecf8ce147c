"""The normal distribution's special functions in NumPy: erf, the density and the distribution.

erfc(x) = exp(-x²) erfcx(x), and erfcx, which is smooth and free of underflow, is t Q(1 - 2t) with
t = 1/(1 + p x) in (0, 1] and a polynomial Q. The relative error stays below 3e-13 in float64 and
4e-6 in float32 in the far tails too, where 1 - erf(x) would lose every digit.
The method is Shepherd and Laframboise's (1981, "Chebyshev approximation of (1 + 2x) exp(x²) erfc x
in 0 <= x < ∞") with another factor; the coefficients are Chebyshev fits to 50-digit values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ffn_train.core import Array

# dtype -> (p, the coefficients of Q, lowest power first)
_ERFCX: dict[str, tuple[float, Sequence[float]]] = {
    "float64": (
        0.4,
        (
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
        ),
    ),
    "float32": (
        0.425,
        (
            0.4446114754700147,
            -0.32935880157485353,
            0.17282611883891644,
            -0.055136896033238326,
            0.003385748611579746,
            0.004893505613637772,
            -0.0009840913701685118,
            -0.0005584139506925167,
        ),
    ),
}
MILLS = {
    dtype: (p / np.sqrt(2), [np.sqrt(np.pi / 2) * coefficient for coefficient in coefficients])
    for dtype, (p, coefficients) in _ERFCX.items()
}
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


def _polynomial(x: Array, coefficients: Sequence[float]) -> Array:
    *others, highest = coefficients
    y = x * x.dtype.type(highest)
    for coefficient in reversed(others[1:]):
        y += x.dtype.type(coefficient)
        y *= x
    y += x.dtype.type(others[0])
    return y


def _mills_ratio(z: Array) -> Array:
    """(1 - Φ(z)) / φ(z) = sqrt(π/2) erfcx(z/√2) for z >= 0."""
    p, coefficients = MILLS[z.dtype.name]
    t = z * z.dtype.type(p)
    t += 1
    np.reciprocal(t, out=t)
    u = t * -2
    u += 1
    ratio = _polynomial(u, coefficients)
    ratio *= t
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
    upper = (z >= 0).astype(z.dtype)  # Φ is 1 - tail there and the tail elsewhere
    sign = upper * -2
    sign += 1
    tail *= sign
    tail += upper
    return tail


def erf(x: Array) -> Array:
    """erf(x) = 2/sqrt(π) ∫₀ˣ exp(-t²) dt, in full relative precision near zero too."""
    size = np.abs(x)
    far = np.exp(-(size * size))
    far *= _mills_ratio(size * x.dtype.type(np.sqrt(2)))
    far *= x.dtype.type(np.sqrt(2 / np.pi))
    np.subtract(1, far, out=far)
    near = np.minimum(size, 1)
    near *= _polynomial(near * near, ERF_NEAR_ZERO)
    return np.copysign(np.where(size < 1, near, far), x)
