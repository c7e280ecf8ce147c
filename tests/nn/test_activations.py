"""Activations: value and derivative agree, and erf and GELU are exact."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffn_train.config.registry import build
from ffn_train.nn.activations.activation import CHUNK, Activation
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.special import erf, normal_density, normal_distribution
from tests.support.choices import files, settings


def activation(name: str) -> Activation:
    made = build("activation", settings("activation", name))
    assert isinstance(made, Activation)
    return made


@pytest.mark.parametrize("name", files("activation"))
def test_derivative_is_that_of_the_value(name: str) -> None:
    act = activation(name)
    z = np.concatenate([np.linspace(-8, 8, 1601) + 1e-3, [-20.0, 20.0]])
    h = 1e-5
    numeric = (act.value(z + h) - act.value(z - h)) / (2 * h)
    np.testing.assert_allclose(act.derivative(z), numeric, atol=2e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", files("activation"))
def test_in_place_is_value_and_derivative_for_any_size(name: str, dtype: str) -> None:
    act = activation(name)
    for shape in ((3,), (7, 5), (3, CHUNK - 1)):
        z = np.random.default_rng(0).standard_normal(shape).astype(dtype)
        before = z.copy()
        value, derivative = act.pair_in_place(z)  # overwrites z: its storage may hold the value
        assert value.dtype == (value * derivative).dtype == dtype  # act' may be a mask
        assert value.shape == derivative.shape == shape
        np.testing.assert_array_equal(value, act.value(before))
        np.testing.assert_array_equal(derivative, act.derivative(before))
        assert not np.shares_memory(value, derivative)
        overwritten = before.copy()
        np.testing.assert_array_equal(act.value_in_place(overwritten), value)


@pytest.mark.parametrize("name", files("activation"))
def test_rectifying_activations_are_positive_exactly_where_z_is(name: str) -> None:
    act = activation(name)
    z = np.linspace(-9, 9, 4001).astype("float32")
    assert act.rectifies == (name in {"relu", "leaky_relu", "gelu", "gelu_tanh", "silu"})
    if act.rectifies:
        np.testing.assert_array_equal(act.value(z) > 0, z > 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", files("activation"))
def test_the_limits_are_reached_whatever_the_size(name: str, dtype: str) -> None:
    """Up to the largest number the value tends to z, a constant or 0, and the derivative too."""
    act = activation(name)
    powers = np.arange(3, 38.5, 0.5) if dtype == "float32" else np.arange(3, 308.1, 2)
    z = np.concatenate([10.0**powers, [float(np.finfo(dtype).max)]]).astype(dtype)
    slope = {"identity": 1.0, "leaky_relu": getattr(act, "slope", 0)}.get(name, 0.0)
    above, slope_above = (1, 0) if name in ("tanh", "erf") else (z, 1)
    below = -1 if name in ("tanh", "erf") else -z * slope
    with np.errstate(over="ignore", under="ignore", invalid="raise"):
        for point, limit, slope_limit in ((z, above, slope_above), (-z, below, slope)):
            value, derivative = act.pair(point)
            np.testing.assert_allclose(value, np.broadcast_to(limit, z.shape), rtol=1e-6)
            np.testing.assert_allclose(derivative, np.full(z.shape, slope_limit), rtol=1e-6)


GRID = np.concatenate(
    [np.linspace(-37, 37, 20001), np.logspace(-300, 0, 400), -np.logspace(-300, 0, 400)]
)


def test_erf_to_float64_accuracy() -> None:
    exact = np.array([math.erf(x) for x in GRID])
    np.testing.assert_allclose(erf(GRID), exact, rtol=1e-15 * 4, atol=0)
    assert math.copysign(1, erf(np.array([-0.0]))[0]) == -1


def test_gelu_and_its_derivative_to_float64_accuracy() -> None:
    phi = np.array([math.erfc(-z / math.sqrt(2)) / 2 for z in GRID])
    normal = np.abs(GRID * phi) > 1e-300
    np.testing.assert_allclose(GELU().value(GRID)[normal], (GRID * phi)[normal], rtol=1e-12)
    distribution = normal_distribution(GRID, normal_density(GRID))
    np.testing.assert_allclose(distribution[normal], phi[normal], rtol=1e-12)
    density = np.exp(-(GRID**2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(GELU().derivative(GRID), phi + GRID * density, atol=1e-15)


def test_gelu_in_float32() -> None:
    z = np.linspace(-12, 12, 20001).astype("float32")
    exact = np.array([float(v) * math.erfc(-float(v) / math.sqrt(2)) / 2 for v in z])
    value = GELU().value(z)
    normal = np.abs(exact) > 1e-35
    np.testing.assert_allclose(value[normal], exact[normal], rtol=5e-6)
    np.testing.assert_allclose(value, exact, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("name", ["silu", "gelu", "gelu_tanh", "tanh", "erf"])
def test_large_inputs_neither_overflow_nor_warn(name: str) -> None:
    act = activation(name)
    z = np.array([-200.0, 200.0])
    value, derivative = act.pair_in_place(z)
    assert np.isfinite(value).all()
    assert np.isfinite(derivative).all()
