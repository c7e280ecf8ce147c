"""The framework's layers equal the textbook functions, and their pullbacks keep their promises."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from ffn_train import backprop_two_layer, backward_pass, forward_pass, residual_backward
from ffn_train.gradcheck import random_parameters
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.core import Array, Arrays, Layer, Layout
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm
from ffn_train.nn.segments import SignalGradients
from tests.support.choices import tiny

N, D, H = 6, 5, 9
CLOSE: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-14}


def passed(layer: Layer, width: int, seed: int = 0):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    params = random_parameters(layer, rng)
    x = rng.standard_normal((N, width))
    y, pullback = layer.forward(params, x)
    dy = rng.standard_normal(y.shape)
    grads = Layout(layer).zeros("float64")
    grads.vector[...] = np.nan
    dx = pullback(dy, grads)
    return params, x, y, dy, grads, dx


def test_linear_is_forward_and_backward_pass() -> None:
    params, x, y, dy, grads, dx = passed(Linear(D, H), D)
    W, b = params["weight"], params["bias"]
    np.testing.assert_allclose(y, forward_pass(x, W, b, lambda z: z), **CLOSE)
    expected = backward_pass(dy, x, W, b, lambda z: z, np.ones_like)
    for ours, theirs in zip((grads["weight"], grads["bias"], dx), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("act", [GELU(), Tanh()])
def test_feedforward_is_the_two_layer_block(act: GELU | Tanh) -> None:
    params, x, y, dy, grads, dx = passed(FeedForward(D, H, act), D)
    up, down = params.part("up"), params.part("down")
    weights = (up["weight"], up["bias"], down["weight"], down["bias"])
    h = forward_pass(x, up["weight"], up["bias"], act.value)
    np.testing.assert_allclose(
        y, forward_pass(h, down["weight"], down["bias"], lambda z: z), **CLOSE
    )
    expected = backprop_two_layer(x, *weights, act.value, act.derivative, dy)
    up, down = grads.part("up"), grads.part("down")
    ours = (up["weight"], up["bias"], down["weight"], down["bias"], dx)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, **CLOSE)


def test_residual_block_is_the_residual_sum() -> None:
    names = {"activation": "tanh", "block": "feedforward", "residual": "identity"}
    model = tiny({**names, "norm": "none"})
    params, x, _, dy, grads, dx = passed(model.block, D)
    up, down = params.part("up"), params.part("down")
    weights = (up["weight"], up["bias"], down["weight"], down["bias"])
    act = model.activation
    dx_input, dx_ffn = residual_backward(dy)
    expected = backprop_two_layer(x, *weights, act.value, act.derivative, dx_ffn)
    np.testing.assert_allclose(dx, dx_input + expected[-1], **CLOSE)
    np.testing.assert_allclose(grads.part("up")["weight"], expected[0], **CLOSE)


def keep(signals: list[Array], made: Arrays, _: Arrays) -> None:
    signals.extend(made)


def test_pullbacks_keep_their_promises(combination: dict[str, str]) -> None:
    model = tiny(combination)
    rng = np.random.default_rng(0)
    params = random_parameters(model, rng)
    x, other = rng.standard_normal((2, N, 3))
    kept = x.copy()
    y, pullback = model.forward(params, x)
    signals: list[Array] = []
    again, second = model.forward(params, x, observe=partial(keep, signals))
    model.forward(params, other)  # leaves no trace
    dy = rng.standard_normal(y.shape)
    cotangent = dy.copy()
    grads, flow_grads = (model.layout.zeros("float64") for _ in range(2))
    grads.vector[...] = np.nan  # overwritten, every one of them
    dx = pullback(dy, grads)
    assert np.isfinite(grads.vector).all()
    np.testing.assert_array_equal(dy, cotangent)
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(y, again)
    flow: list[SignalGradients] = []
    second(dy, flow_grads, observe=flow.append)
    np.testing.assert_array_equal(grads.vector, flow_grads.vector)
    (at,) = flow
    assert (at.first, len(at.dx), len(at.branch)) == (0, 4, 3)
    assert (at.skip is None) == (combination["residual"] == "none")
    if at.skip is not None:
        for parts in zip(at.skip, at.branch, at.dx[:-1], strict=True):
            np.testing.assert_array_equal(parts[0] + parts[1], parts[2])
    assert dx.shape == x.shape
    assert len(signals) == 4
    with pytest.raises(RuntimeError, match="one backward pass"):
        pullback(dy, grads)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_are_the_forward_pass_to_the_byte(
    combination: dict[str, str], dtype: str
) -> None:
    model = tiny(combination)
    rng = np.random.default_rng(0)
    params = model.layout.zeros(dtype)
    params.vector[...] = random_parameters(model, rng).vector
    x = rng.standard_normal((N, 3)).astype(dtype)
    kept = x.copy()
    y = model.forward(params, x)[0]
    predicted = model.predict(params, x)
    assert predicted.dtype == dtype
    np.testing.assert_array_equal(predicted, y)
    np.testing.assert_array_equal(x, kept)


def test_names_of_the_parameters() -> None:
    names = {"activation": "relu", "block": "swiglu", "residual": "rezero", "norm": "pre_layer"}
    model = tiny(names, depth=2)
    block = ["multiplier", "norm.gain", "norm.shift", "gate.weight", "gate.bias"]
    block += ["up.weight", "up.bias", "down.weight", "down.bias"]
    assert [tensor.name for tensor in model.layout.tensors] == [
        *("input.weight", "input.bias"),
        *(f"blocks.{index}.{name}" for index in range(2) for name in block),
        *("final_norm.gain", "final_norm.shift", "output.weight", "output.bias"),
    ]


def test_views_write_to_the_vector() -> None:
    layout = Layout(Linear(2, 3))
    flat = layout.zeros("float32")
    flat["bias"][...] = 7
    assert flat.vector.tolist() == [0] * 6 + [7] * 3
    with pytest.raises(ValueError, match="shape"):
        layout.views(np.zeros(4))


def test_layer_norm_gradient_has_no_constant_part() -> None:
    _, _, _, _, _, dx = passed(LayerNorm(D, 1e-5), D)
    np.testing.assert_allclose(dx.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("kind", [LayerNorm, RMSNorm])
def test_a_norm_of_entries_whose_squares_overflow(kind: type[LayerNorm] | type[RMSNorm]) -> None:
    norm = kind(4, 1e-5)
    params, grads = Layout(norm).zeros("float32"), Layout(norm).zeros("float32")
    params["gain"][...] = 1
    row = np.array([1.0, 2.0, 3.0, -4.0], np.float32)
    large = np.array([row, 1e20 * row, [np.inf, 1, 1, 1], [np.nan, 1, 1, 1]], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        y, pullback = norm.forward(params, large)
    np.testing.assert_allclose(y[1], y[0], rtol=1e-5)
    assert np.isnan(y[2]).any()
    assert np.isnan(y[3]).all()
    with np.errstate(invalid="ignore"):
        dx = pullback(np.ones_like(large), grads)
    assert np.isfinite(dx[:2]).all()
