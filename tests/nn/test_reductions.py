"""Both engines' reductions against NumPy's norms in float64, within and beyond a float's range."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ffn_train.nn.engine import ENGINES, engine
from ffn_train.nn.reductions import SMALL, Reductions, norm, rms
from ffn_train.running.experiment import build_experiment
from ffn_train.train.quantities.dead_share import DeadShare
from ffn_train.train.quantities.quantity import Batch
from tests.support.small_runs import config


@pytest.fixture(params=ENGINES)
def reductions(request: pytest.FixtureRequest) -> Reductions:
    if request.param == "compiled":
        pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
    return engine(request.param).reductions


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_norm_survives_squares_out_of_range(scale: float) -> None:
    values = np.array([3.0, -4.0, 0.0]) * scale
    assert norm(values.astype(np.float32)) == pytest.approx(5 * scale, rel=1e-6)
    assert rms(values) == pytest.approx(5 * scale / np.sqrt(3))


def test_norm_keeps_nonfinite_values() -> None:
    assert np.isnan(norm(np.array([1.0, np.nan])))
    assert np.isinf(norm(np.array([1.0, -np.inf])))
    assert norm(np.zeros(3)) == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.0, 1e-25, 1.0, 1e25])
@pytest.mark.parametrize("width", [8, 64])
def test_norms_of_tensors_are_those_of_each(
    reductions: Reductions, width: int, dtype: str, scale: float
) -> None:
    layout = build_experiment(config(model={"width": width})).model.layout
    assert (layout.size <= SMALL) == (width == 8)
    vector = np.random.default_rng(0).standard_normal(layout.size).astype(dtype)
    for name in ("blocks.0.down.bias", "output.bias"):  # out of range or zero, unlike the others
        layout.named(vector)[name][...] *= scale
    expected = [np.linalg.norm(x.astype("f8")) for x in layout.named(vector).values()]
    norms = np.empty(len(expected))
    with np.errstate(over="ignore"):
        reductions.tensor_norms(layout, vector, norms)
    np.testing.assert_allclose(norms, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [(np.float32, 1e-40), (np.float32, 1e36), (np.float64, 1e-200), (np.float64, 1e200)],
)
@pytest.mark.parametrize("arrays", [1, 3])
def test_norms_of_many_arrays(
    reductions: Reductions, arrays: int, dtype: type, scale: float
) -> None:
    wide = np.random.default_rng(0).standard_normal((arrays, 5, 7)).astype(np.longdouble)
    wide[-1] *= scale
    many: NDArray[Any] = wide.astype(dtype)
    expected = np.sqrt(np.sum(many.astype(np.longdouble) ** 2, axis=(1, 2)))
    norms = np.empty(arrays)
    with np.errstate(all="ignore"):
        reductions.norms(many, norms)
        np.testing.assert_allclose(norms, expected.astype(float), rtol=1e-5)
        np.testing.assert_allclose(reductions.norm(many[-1].reshape(-1)), norms[-1], rtol=1e-5)
        for value in (np.inf, np.nan):
            many[-1, 2, 3] = value
            reductions.norms(many, norms)
            np.testing.assert_equal(norms[-1], value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_units_that_are_never_positive_are_dead(reductions: Reductions, dtype: str) -> None:
    hidden = np.random.default_rng(0).standard_normal((3, 4, 16)).astype(dtype)
    hidden[hidden < -1] = 0  # a unit may be 0, below 0 for some samples, and below 0 for all
    hidden[0, :, :3] = [[-0.0, 0.0, 0.0]]
    hidden[1, :, 0] = [0, 0, np.finfo(dtype).smallest_subnormal, 0]
    hidden[2, 1, 5] = np.nan
    maxima = np.empty((3, 16), dtype)
    reductions.maxima(hidden, maxima)
    np.testing.assert_array_equal(maxima, hidden.max(axis=1))
    dead = np.mean(~(hidden > 0).any(axis=1), axis=1)
    assert dead[0] >= 3 / 16
    share = np.empty(3)
    DeadShare().value(maxima, Batch(4, 16), share)
    np.testing.assert_array_equal(share, [dead[0], dead[1], np.nan])
