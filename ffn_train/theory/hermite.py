"""Expectations over a Gaussian pair by Mehler's formula: any activation, from its values alone.

With orthonormal Hermite polynomials h_k, f(σ_a z) = Σ_k C_ak h_k(z) and corr(u_a, u_b) = ρ,

    E f(u_a) f(u_b) = Σ_k C_ak C_bk ρ^k.

The C_ak are sums on a fine uniform grid, which integrates a smooth function against the normal
density to machine precision; Gauss-Hermite nodes would be too far apart for wide u. For even wider
u a graded grid is denser near 0, where an activation bends. The remainder of the series is given
the last term's power, so that ρ = 1 is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from ffn_train.nn.core import Floats

TERMS, _FEW = 96, 32  # of the series, and how many are tried first
_POINTS = 40  # of an interpolation: enough for widths that differ by a factor of ten

# nodes up to a σ: further out they are too far apart in u. None lies at 0, where activations bend
_UNIFORM = {2.0: 140, 3.0: 200, 8.0: 400}
_GRADED = 1200


def nodes_for(deviations: Floats, *, least: int = 0) -> int:
    """How many nodes the widest u_a needs."""
    widest = np.max(deviations, initial=0)
    fits = (count for width, count in _UNIFORM.items() if widest <= width and count >= least)
    return next(fits, _GRADED)


@cache
def grid(count: int) -> tuple[Floats, Floats]:
    """The nodes z and the normal weights, which sum to 1, both (count,)."""
    if count == _GRADED:  # z = c sinh t: the trapezoid in t is as exact, with nodes c dt apart at 0
        scale = 1e-3
        t = np.linspace(-1, 1, count) * np.arcsinh(9 / scale)
        nodes, density = scale * np.sinh(t), np.cosh(t)
    else:
        nodes = np.linspace(-9, 9, count)
        density = np.ones_like(nodes)
    weights = np.exp(-nodes * nodes / 2) * density
    return nodes, weights / weights.sum()


@cache
def _weighted_polynomials(count: int) -> Floats:
    """w(z) h_k(z), (count, TERMS)."""
    nodes, weights = grid(count)
    polynomials = [np.ones_like(nodes), nodes]
    for k in range(2, TERMS):
        polynomials.append(
            (nodes * polynomials[-1] - np.sqrt(k - 1) * polynomials[-2]) / np.sqrt(k)
        )
    return np.ascontiguousarray((np.array(polynomials) * weights).T)


def mean(values: Floats) -> Floats:
    """E f(u_a) (..., N) of values at the nodes."""
    return np.asarray(values @ grid(values.shape[-1])[1])


def expansion(values: Floats, negligible: float) -> Floats:
    """C_ak and, last, sqrt(E f²) (..., N, K + 1), for values of f at the nodes (..., N, nodes).

    No further term's share of E f² exceeds ``negligible``, or K is ``TERMS``.
    """
    squares = mean(values * values)
    for most in (_FEW, TERMS):
        coefficients = values @ _weighted_polynomials(values.shape[-1])[:, :most]
        shares = (coefficients * coefficients).sum(axis=-1)
        if np.all(shares > (1 - negligible) * squares):
            break
    return np.concatenate([coefficients, np.sqrt(squares)[..., None]], axis=-1)


def pairs(values: Floats, correlation: Floats, *, negligible: float = 1e-10) -> Floats:
    """E f(u_a) f(u_b) (..., N, N), for values of f at the nodes (..., N, nodes) and ρ (..., N, N).

    The series ends where no further term's share of E f² exceeds ``negligible``.
    """
    return series(expansion(values, negligible), correlation, negligible)


def series(expanded: Floats, correlation: Floats, negligible: float) -> Floats:
    """``pairs`` of what has this ``expansion``."""
    coefficients, squares = expanded[..., :-1], expanded[..., -1] ** 2
    shares = coefficients * coefficients / np.where(squares > 0, squares, 1)[..., None]
    counting = np.flatnonzero(shares.reshape(-1, shares.shape[-1]).max(axis=0) > negligible)
    terms = int(counting[-1]) + 1 if counting.size else TERMS  # each is small in a wide field
    columns = np.ascontiguousarray(np.moveaxis(coefficients[..., :terms], -1, 0))
    rest = np.sqrt(np.maximum(squares - (columns * columns).sum(axis=0), 0))
    total = rest[..., :, None] * rest[..., None, :]
    term = np.empty_like(total)
    for column in columns[::-1]:
        total *= correlation
        total += np.multiply(column[..., :, None], column[..., None, :], out=term)
    return np.asarray(total)


def interpolated(function: Callable[[Floats], Floats], at: Floats) -> Floats:
    """``function`` (..., K) of many positive numbers (...), from its values at a few of them.

    A polynomial in the logarithm is as exact where the function is smooth. Where it bends, the last
    coefficients are larger than rounding, and the function itself is taken.
    """
    points, inverse = _points()
    log = np.log(at)
    low, high = float(log.min()), float(log.max())
    if at.size > 2 * len(points) and np.isfinite(high - low):
        middle, half = (low + high) / 2, max(high - low, 1e-3) / 2
        terms = inverse @ function(np.exp(middle + half * points))
        if np.abs(terms[-3:]).max() < 1e-13 * np.abs(terms).max():
            return np.asarray(chebvander((log - middle) / half, len(points) - 1) @ terms)
    return function(at)


@cache
def _points() -> tuple[Floats, Floats]:
    """Points in [-1, 1] with both ends, and what gives Chebyshev coefficients of values there."""
    points: Floats = np.cos(np.linspace(0, np.pi, _POINTS))
    return points, np.asarray(np.linalg.inv(chebvander(points, _POINTS - 1)), np.float64)
