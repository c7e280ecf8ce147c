"""Fits the coefficients of ``ffn_train/nn/special.py``: python -m tests.nn.fit_special

The two polynomials are truncated Chebyshev series, computed with 60 digits and rounded once. The
fraction is the best of its shape in the relative error, found in float64 by Lawson's method.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

DIGITS = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640629")
NODES = 64  # the further terms of the series, which alias to these, are below 1e-40
LAST = 13.15  # in float32 the density's normal numbers end there

Series = list[Decimal]
Vector = NDArray[np.float64]


def erfcx_coefficients(count: int = 23) -> list[float]:
    """Q's, lowest first: exp(x²) erfc(x) = t Q(1 - 2t) with t = 1/(1 + 0.4 x) in (0, 1]."""

    def q(u: Decimal) -> Decimal:
        t = (1 - u) / 2
        return erfcx((1 / t - 1) / Decimal("0.4")) / t

    with localcontext(prec=DIGITS):
        return [float(c) for c in powers(chebyshev_series(q, count), Decimal(0), Decimal(1))]


def erf_coefficients(count: int = 14) -> list[float]:
    """Those of erf(x)/x in powers of s = x² in [0, 1], lowest first."""

    def ratio(u: Decimal) -> Decimal:
        s = (1 + u) / 2
        return erf_by_series(s.sqrt()) / s.exp() / s.sqrt()

    with localcontext(prec=DIGITS):
        return [float(c) for c in powers(chebyshev_series(ratio, count), Decimal(-1), Decimal(2))]


def erfcx(x: Decimal) -> Decimal:
    """exp(x²) erfc(x) for x >= 0."""
    if x < 2:
        return (x * x).exp() - erf_by_series(x)
    fraction = x  # Laplace's x + (1/2)/(x + (2/2)/(x + (3/2)/(x + ...)))
    for k in range(1000, 0, -1):
        fraction = x + Decimal(k) / 2 / fraction
    return 1 / (fraction * PI.sqrt())


def erf_by_series(x: Decimal) -> Decimal:
    """exp(x²) erf(x) = 2/sqrt(π) Σ_k 2ᵏ x²ᵏ⁺¹ / (1·3···(2k+1)), all of whose terms are positive."""
    total = term = x
    k = 0
    while term > total.scaleb(-DIGITS):
        k += 1
        term *= 2 * x * x / (2 * k + 1)
        total += term
    return 2 * total / PI.sqrt()


def chebyshev(x: Decimal, count: int) -> Series:
    """T_0(x) ... T_{count-1}(x)."""
    values = [Decimal(1), x]
    while len(values) < count:
        values.append(2 * x * values[-1] - values[-2])
    return values


def chebyshev_series(f: Callable[[Decimal], Decimal], count: int) -> Series:
    """The first coefficients of f's Chebyshev series on [-1, 1]."""
    cosine = Decimal(0)  # of π/2, and halved log2(NODES) times of π/(2 NODES)
    for _ in range(NODES.bit_length() - 1):
        cosine = ((1 + cosine) / 2).sqrt()
    nodes = chebyshev(cosine, 2 * NODES)[1::2]
    polynomials = [chebyshev(u, count) for u in nodes]
    values = [f(u) for u in nodes]
    pairs = list(zip(values, polynomials, strict=True))
    sums = [sum((f_u * t[j] for f_u, t in pairs), Decimal(0)) for j in range(count)]
    series = [2 * total / NODES for total in sums]
    return [series[0] / 2, *series[1:]]


def powers(series: Series, start: Decimal, slope: Decimal) -> Series:
    """Σ_j c_j T_j(start + slope s) in powers of s, lowest first."""

    def times_argument(polynomial: Series) -> Series:
        raised = [Decimal(0), *(slope * c for c in polynomial)]
        return [c + start * d for c, d in zip(raised, [*polynomial, Decimal(0)], strict=True)]

    before, polynomial = [Decimal(1)], [start, slope]
    total = [series[0]] + [Decimal(0)] * (len(series) - 1)
    for coefficient in series[1:]:
        for power, value in enumerate(polynomial):
            total[power] += coefficient * value
        following = [2 * c for c in times_argument(polynomial)]
        for power, value in enumerate(before):
            following[power] -= value
        before, polynomial = polynomial, following
    return total


def mills_ratio(z: Vector) -> Vector:
    """(1 - Φ(z))/φ(z) for 0 <= z <= LAST, to 2e-14."""
    exact = [math.erfc(v / math.sqrt(2)) * math.exp(v * v / 2) for v in z.tolist()]
    return np.sqrt(np.pi / 2) * np.array(exact)


def fraction(z: Vector, coefficients: Sequence[float]) -> Vector:
    """a/(z + b + c/(z + d + e (z + f)/(z² + g z + h)))."""
    a, b, c, d, e, f, g, h = coefficients
    value: Vector = a / (z + b + c / (z + d + e * (z + f) / (z * z + g * z + h)))
    return value


def relative_error(coefficients: Sequence[float]) -> float:
    """The fraction's largest, on a fine grid over [0, LAST]."""
    z = LAST * np.linspace(0, 1, 50_001) ** 2
    return float(np.abs(fraction(z, coefficients) / mills_ratio(z) - 1).max())


def mills_fraction(points: int = 600, rounds: int = 1000) -> list[float]:
    """The fraction's a ... h with the least largest relative error over [0, LAST].

    As P/Q with cubic P and quartic Q: each round solves min Σ w ((P - m Q)/(m Q_before))², which is
    linear, and then weighs each point with its error (Lawson 1961), until all extremes are equal.
    """
    z = LAST * (1 - np.cos(np.linspace(0, np.pi, points))) / 2
    m = mills_ratio(z)
    cubic, quartic = np.vander(z / LAST, 4), np.vander(z / LAST, 5)
    weights, below = np.full(points, 1 / points), np.ones(points)
    for _ in range(rounds):
        rows = np.hstack([cubic / m[:, None], -quartic]) * (np.sqrt(weights) / below)[:, None]
        solution = np.linalg.svd(rows, full_matrices=False)[2][-1]
        above, below = cubic @ solution[:4], quartic @ solution[4:]
        weights *= np.abs(above / (m * below) - 1)
        weights /= weights.sum()
    scale = LAST ** -np.arange(4.0, -1, -1)
    return nested(solution[:4] * scale[1:], solution[4:] * scale)


def nested(above: Vector, below: Vector) -> list[float]:
    """The fraction's a ... h of P/Q, given both polynomials, highest power first."""
    a, cubic = above[0] / below[0], above / above[0]
    (_, b), rest = np.polydiv(below / below[0], cubic)
    c, quadratic = rest[0], rest / rest[0]
    (_, d), rest = np.polydiv(cubic, quadratic)
    e, f = rest[0], rest[1] / rest[0]
    return [float(value) for value in (a, b, c, d, e, f, *quadratic[1:])]


if __name__ == "__main__":
    fitted = mills_fraction()
    print("ERFCX", *erfcx_coefficients(), sep="\n    ")
    print("ERF_NEAR_ZERO", *erf_coefficients(), sep="\n    ")
    print("MILLS_FRACTION", *fitted, f"relative error {relative_error(fitted):.2e}", sep="\n    ")
