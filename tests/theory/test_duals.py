"""Dual activations against two-dimensional integrals that share nothing with them."""

from __future__ import annotations

from collections.abc import Callable
from math import erf, erfc, sqrt

import numpy as np
import pytest

from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.activations.erf import Erf
from ffn_train.nn.activations.gelu import GELU, GELUTanh
from ffn_train.nn.activations.identity import Identity
from ffn_train.nn.activations.relu import LeakyReLU, ReLU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.core import Floats
from ffn_train.theory import hermite
from ffn_train.theory.duals import coherence, dual, response

Function = Callable[[np.ndarray], np.ndarray]

# K_aa, K_bb, ρ
PAIRS = [
    *((1.0, 1.0, 0.3), (0.1, 4.0, -0.7), (2.0, 0.5, 0.0), (1e-3, 1e-3, 0.5)),
    *((10.0, 10.0, 0.999), (10.0, 0.01, -0.999), (10.0, 10.0, -0.2), (1.0, 1.0, 1.0 - 1e-6)),
]
NODES = np.arange(-10, 10.0001, 0.06)
WEIGHTS = np.exp(-(NODES**2) / 2) * 0.06 / sqrt(2 * np.pi)


def expectation(f: Function, g: Function, pair: tuple[float, float, float]) -> float:
    """E f(u_a) g(u_b) on a uniform grid over two independent normals, exact for smooth f and g."""
    a, b, rho = pair
    u = sqrt(a) * NODES
    if rho == 1:  # the second one has no part in it
        return float(WEIGHTS @ (f(u) * g(sqrt(b) * NODES)))
    v = sqrt(b) * (rho * NODES[:, None] + sqrt(1 - rho * rho) * NODES)
    return float(WEIGHTS @ (f(u)[:, None] * g(v)) @ WEIGHTS)


def polar(f: Function, g: Function, pair: tuple[float, float, float], degree: int) -> float:
    """The same for f and g homogeneous and linear on either side of zero.

    Over the radius E r^(2 degree) is 2^degree degree!; over the angle Gauss-Legendre between the
    places where u or v changes its sign.
    """
    a, b, rho = pair
    bend = np.arctan2(-rho, sqrt(1 - rho * rho))  # v = 0 there and half a turn on
    turns = np.sort(np.mod([np.pi / 2, -np.pi / 2, bend, bend + np.pi, 0], 2 * np.pi))
    x, w = np.polynomial.legendre.leggauss(40)
    total = 0.0
    for start, stop in zip(turns, [*turns[1:], turns[0] + 2 * np.pi], strict=True):
        angle = start + (x + 1) / 2 * (stop - start)
        u = sqrt(a) * np.cos(angle)
        v = sqrt(b) * (rho * np.cos(angle) + sqrt(1 - rho * rho) * np.sin(angle))
        total += float(w @ (f(u) * g(v))) * (stop - start) / 2
    return total / (2 * np.pi) * (2 if degree == 1 else 1)


def kernel(pair: tuple[float, float, float]) -> np.ndarray:
    a, b, rho = pair
    return np.array([[a, rho * sqrt(a * b)], [rho * sqrt(a * b), b]])


ERF: Function = np.vectorize(erf)
PHI: Function = np.vectorize(lambda z: erfc(-z / sqrt(2)) / 2)
DENSITY: Function = lambda z: np.exp(-z * z / 2) / sqrt(2 * np.pi)  # noqa: E731


def sigmoid(z: np.ndarray) -> np.ndarray:
    return (1 + np.tanh(z / 2)) / 2


def gelu_tanh(z: np.ndarray) -> np.ndarray:
    return z * (1 + np.tanh(sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2


def gelu_tanh_slope(z: np.ndarray) -> np.ndarray:
    t = np.tanh(sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z * (1 - t * t) * sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z * z) / 2


SMOOTH: dict[str, tuple[Activation, Function, Function]] = {
    "erf": (Erf(), ERF, lambda z: 2 / sqrt(np.pi) * np.exp(-z * z)),
    "gelu": (GELU(), lambda z: z * PHI(z), lambda z: PHI(z) + z * DENSITY(z)),
    "identity": (Identity(), lambda z: z, np.ones_like),
}
SERIES: dict[str, tuple[Activation, Function, Function]] = {
    "tanh": (Tanh(), np.tanh, lambda z: 1 / np.cosh(np.clip(z, -300, 300)) ** 2),
    "silu": (
        SiLU(),
        lambda z: z * sigmoid(z),
        lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    ),
    "gelu_tanh": (GELUTanh(), gelu_tanh, gelu_tanh_slope),
}


def test_the_grid_integrates_what_is_known() -> None:
    for a, b, rho in PAIRS:
        c = rho * sqrt(a * b)
        fourth = expectation(np.square, np.square, (a, b, rho))
        assert fourth == pytest.approx(a * b + 2 * c * c, rel=1e-13)
        waves = expectation(np.cos, np.cos, (a, b, rho))
        assert waves == pytest.approx(
            (np.exp(-(a + b) / 2 - c) + np.exp(-(a + b) / 2 + c)) / 2, rel=1e-12
        )


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", SMOOTH)
def test_closed_forms(name: str, pair: tuple[float, float, float]) -> None:
    activation, value, slope = SMOOTH[name]
    computed = dual(activation, kernel(pair), 0.0)
    assert computed.value[0, 1] == pytest.approx(
        expectation(value, value, pair), rel=1e-10, abs=1e-13
    )
    assert computed.slope[0, 1] == pytest.approx(
        expectation(slope, slope, pair), rel=1e-10, abs=1e-13
    )
    for place, variance in enumerate(pair[:2]):
        same = (variance, variance, 1.0)
        assert computed.value[place, place] == pytest.approx(
            expectation(value, value, same), rel=1e-10
        )
        assert computed.slope[place, place] == pytest.approx(
            expectation(slope, slope, same), rel=1e-10
        )


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("leak", [0.0, 0.01, 0.3])
def test_closed_forms_with_a_kink(leak: float, pair: tuple[float, float, float]) -> None:
    activation = LeakyReLU(slope=leak) if leak else ReLU()

    def value(z: np.ndarray) -> np.ndarray:
        return np.where(z > 0, z, leak * z)

    def slope(z: np.ndarray) -> np.ndarray:
        return np.where(z > 0, 1.0, leak)

    computed = dual(activation, kernel(pair), 0.0)
    assert computed.value[0, 1] == pytest.approx(polar(value, value, pair, 1), rel=1e-10, abs=1e-12)
    assert computed.slope[0, 1] == pytest.approx(polar(slope, slope, pair, 0), rel=1e-10, abs=1e-12)
    assert np.allclose(
        np.diagonal(computed.value), np.array(pair[:2]) * (1 + leak**2) / 2, rtol=1e-14
    )
    along = coherence(activation, kernel(pair), 0.0)
    both = polar(lambda z: value(z) * slope(z), lambda z: value(z) * slope(z), pair, 1)
    assert along.pairs[0, 1] == pytest.approx(both, rel=1e-10, abs=1e-12)
    assert along.slope == pytest.approx((1 + leak**2) / 2)


@pytest.mark.parametrize("leak", [0.0, 0.01, 0.3, 1.0])
def test_at_a_kink_the_slope_is_that_of_zero(leak: float) -> None:
    activation = Identity() if leak == 1 else LeakyReLU(slope=leak) if leak else ReLU()
    u = np.random.default_rng(0).normal(size=100_000) * np.array([[0], [1]])
    slopes = activation.derivative(u).astype(np.float64)
    found = dual(activation, np.diag([0.0, 1.0]), 0.0)
    np.testing.assert_allclose(found.slope, slopes @ slopes.T / u.shape[1], atol=0.01)
    along = coherence(activation, np.diag([0.0, 1.0]), 0.0).slope
    np.testing.assert_allclose(along, (slopes**2).mean(axis=1), atol=0.01)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("name", [*SERIES, "gelu"])
def test_series(name: str, pair: tuple[float, float, float]) -> None:
    """A and D to 1e-3 of sqrt(E f(u_a)² E f(u_b)²), the scale that enters the recursion.

    M, which enters a correction only, to 2e-3.
    """
    activation, value, slope = {**SERIES, **SMOOTH}[name]
    unregistered = dual.dispatch(Activation), coherence.dispatch(Activation)
    computed = unregistered[0](activation, kernel(pair), 0.0)
    along = unregistered[1](activation, kernel(pair), 0.0)

    def product(z: np.ndarray) -> np.ndarray:
        return value(z) * slope(z)

    tables = (
        (computed.value, value, 1e-3),
        (computed.slope, slope, 1e-3),
        (along.pairs, product, 2e-3),
    )
    for table, function, error in tables:
        scale = sqrt(table[0, 0] * table[1, 1])
        wanted = expectation(function, function, pair)
        assert table[0, 1] == pytest.approx(wanted, abs=error * scale)
        expected = expectation(function, function, (pair[0], pair[0], 1.0))
        assert table[0, 0] == pytest.approx(expected, rel=1e-6)


def graded(deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes over N(0, deviation²), closer together where an activation bends, and dz."""
    t = np.linspace(-1, 1, 1201) * np.arcsinh(9 * deviation / 0.3)
    return 0.3 * np.sinh(t), 0.3 * np.cosh(t) * (t[1] - t[0])


def density(u: np.ndarray, mean: np.ndarray | float, deviation: float) -> np.ndarray:
    return np.exp(-(((u - mean) / deviation) ** 2) / 2) / sqrt(2 * np.pi) / deviation


def wide(f: Function, pair: tuple[float, float, float]) -> float:
    """E f(u_a) f(u_b) by the conditional density of u_b, whose width the nodes resolve too."""
    a, b, rho = pair
    u, du = graded(sqrt(a))
    outer = du * density(u, 0, sqrt(a)) * f(u)
    if rho == 1:
        return float(outer @ f(u * sqrt(b / a)))
    v, dv = graded(sqrt(b))
    mean = (rho * sqrt(b / a) * u)[:, None]
    return float(outer @ (density(v, mean, sqrt(b * (1 - rho * rho))) @ (f(v) * dv)))


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(
    "pair",
    [
        *((7.0, 7.0, 0.99), (30.0, 30.0, -0.99), (100.0, 100.0, 0.999), (1e3, 10.0, 0.5)),
        *((1e4, 1e4, 0.9), (1e4, 1e4, 0.999), (1e4, 1.0, -0.5), (1e4, 1e4, 1.0)),
    ],
)
def test_wide_fields(name: str, pair: tuple[float, float, float]) -> None:
    activation, value, slope = SERIES[name]
    computed = dual(activation, kernel(pair), 0.0)
    assert computed.slope[0, 1] == pytest.approx(wide(slope, pair), rel=6e-3)
    assert computed.value[0, 1] == pytest.approx(wide(value, pair), rel=6e-3)


def test_a_series_of_a_wide_field_has_its_diagonal() -> None:
    """Of any activation: the nodes lie close together where it bends."""
    _, value, slope = SERIES["tanh"]
    for size in (100.0, 1e4):
        computed = dual.dispatch(Activation)(Tanh(), kernel((size, size, 0.5)), 0.0)
        assert computed.slope[0, 0] == pytest.approx(wide(slope, (size, size, 1.0)), rel=1e-6)
        assert computed.value[0, 0] == pytest.approx(wide(value, (size, size, 1.0)), rel=1e-6)


def test_a_scale_apart_is_the_same_kernel() -> None:
    for activation in (ReLU(), GELU(), Erf(), Tanh(), SiLU()):
        whole = dual(activation, kernel((3.0, 0.5, 0.4)) * np.exp(2), 0.0)
        apart = dual(activation, kernel((3.0, 0.5, 0.4)), 2.0)
        assert np.allclose(apart.value * np.exp(2), whole.value, rtol=1e-9)
        assert np.allclose(apart.slope, whole.slope, rtol=1e-9)


@pytest.mark.parametrize("log", [-5000.0, -300.0, 300.0, 5000.0])
def test_far_scales_are_asymptotes(log: float) -> None:
    """Far out every rectifying unit is a ReLU; near zero every smooth one is linear."""
    k = kernel((1.0, 0.5, 0.4))
    relu = dual(ReLU(), k, log)
    for activation, rate in ((GELU(), 0.5), (SiLU(), 0.5), (GELUTanh(), 0.5), (Tanh(), 1.0)):
        computed = dual(activation, k, log)
        if log < 0:
            assert np.allclose(computed.value, rate**2 * k, rtol=1e-9)
            assert np.allclose(computed.slope, rate**2, rtol=1e-9)
        elif activation != Tanh():
            assert np.allclose(computed.value, relu.value, rtol=2e-3)


def test_a_new_activation_needs_its_value_and_derivative_alone() -> None:
    class Square(Activation):
        def value(self, z: np.ndarray) -> np.ndarray:
            return z * z

        def derivative(self, z: np.ndarray) -> np.ndarray:
            return 2 * z

    k = kernel((2.0, 0.5, 0.4))
    computed = dual(Square(), k, 0.0)
    assert computed.value[0, 1] == pytest.approx(1.0 + 2 * k[0, 1] ** 2)
    assert computed.slope[0, 1] == pytest.approx(4 * k[0, 1])


def test_responses() -> None:
    relu = response(ReLU(), 0.7)
    assert relu.value_power == pytest.approx(1)
    assert relu.slope_power == pytest.approx(0, abs=1e-12)
    assert relu.value_tail == pytest.approx(6)
    assert relu.slope_tail == pytest.approx(2)
    flat = response(Tanh(), 4.0)
    assert 0 < flat.value_power < 0.1
    assert flat.slope_power < -0.4  # E tanh'² falls as 1/σ


@pytest.mark.parametrize(
    "activation", [GELU(), SiLU(), Tanh(), Erf()], ids=lambda a: type(a).__name__
)
def test_fewer_nodes_are_as_exact_for_narrow_fields(activation: Activation) -> None:
    deviations = np.array([0.3, 3.0])
    correlation: Floats = np.array([[1.0, 0.6], [0.6, 1.0]])

    def expected(count: int) -> list[Floats]:
        pair = activation.pair(deviations[:, None] * hermite.grid(count)[0])
        values, slopes = (np.asarray(part, np.float64) for part in pair)
        return [hermite.pairs(values * slopes, correlation), hermite.pairs(slopes, correlation)]

    few = hermite.nodes_for(deviations)
    assert few < hermite.nodes_for(deviations * 1.1)
    for coarse, fine in zip(expected(few), expected(400), strict=True):
        np.testing.assert_allclose(coarse, fine, rtol=1e-9)


@pytest.mark.parametrize("count", [200, 400, 1200])
def test_polynomials_are_orthonormal(count: int) -> None:
    nodes, weights = hermite.grid(count)
    assert weights.sum() == pytest.approx(1)
    third = (nodes**3 - 3 * nodes) / sqrt(6)
    assert hermite.mean(third * third) == pytest.approx(1, rel=1e-12)
    rho = np.array([[1.0, 0.3], [0.3, 1.0]])
    computed = hermite.pairs(np.array([third, third]), rho)
    assert computed[0, 1] == pytest.approx(0.3**3)


@pytest.mark.parametrize("bend", [0.0, 1.0])
def test_an_interpolation_is_the_function(bend: float) -> None:
    evaluated = []

    def function(x: Floats) -> Floats:
        evaluated.append(x.size)
        return np.stack([np.tanh(x), np.maximum(x - bend, 0) * x], axis=-1)

    x = np.random.default_rng(0).uniform(0.3, 2, (8, 50))
    np.testing.assert_allclose(hermite.interpolated(function, x), function(x), rtol=1e-11)
    assert (x.size in evaluated[:-1]) == (bend > 0)
    for few in (x[0], np.zeros(100)):  # the latter have no logarithm
        with np.errstate(divide="ignore", invalid="ignore"):
            np.testing.assert_array_equal(hermite.interpolated(function, few), function(few))
