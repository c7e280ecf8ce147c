"""The textbook functions: gradients against centred differences, shapes, precision and aliasing."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ffn_train import functional
from ffn_train.functional import (
    backprop_two_layer,
    backward_pass,
    forward_pass,
    residual_backward,
)
from ffn_train.nn.activations.tanh import Tanh
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.core import Layout
from ffn_train.nn.layers.linear import Linear

Array = NDArray[Any]
Pair = tuple[Callable[[Array], Array], Callable[[Array], Array]]

D, H, M, N = 4, 6, 3, 5  # width, hidden units, outputs, samples
STEP = 1e-5
TOLERANCE = 1e-8  # of a gradient's largest entry

TANH: Pair = (np.tanh, lambda z: 1 - np.tanh(z) ** 2)
RELU: Pair = (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(z.dtype))
IDENTITY: Pair = (lambda z: z, lambda z: np.ones_like(z))
CUBE: Pair = (lambda z: z**3, lambda z: 3 * z**2)
ACTIVATIONS = {"tanh": TANH, "relu": RELU, "identity": IDENTITY, "cube": CUBE}

LAYER = ("W", "b", "x")  # the order in which each function returns its gradients
BLOCK = ("W1", "b1", "W2", "b2", "x")

each_activation = pytest.mark.parametrize("pair", ACTIVATIONS.values(), ids=ACTIVATIONS)
vector_and_batch = pytest.mark.parametrize("lead", [(), (1,), (N,)], ids=["vector", "one", "batch"])


def clear_of_the_kink(x: Array, W: Array, b: Array) -> bool:
    """Whether every pre-activation is far enough from zero for a difference across a ReLU."""
    return bool(np.abs(x @ W.T + b).min() > 100 * STEP)


def draw_layer(lead: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    while True:
        tensors = {
            "x": rng.standard_normal((*lead, D)),
            "W": rng.standard_normal((H, D)),
            "b": rng.standard_normal(H),
            "dy": rng.standard_normal((*lead, H)),
        }
        if clear_of_the_kink(tensors["x"], tensors["W"], tensors["b"]):
            return tensors


def draw_block(lead: tuple[int, ...], seed: int = 0) -> dict[str, Array]:
    """The tensors of a block whose output is not as wide as its input, so no axis can be mixed."""
    rng = np.random.default_rng(seed)
    while True:
        tensors = {
            "x": rng.standard_normal((*lead, D)),
            "W1": rng.standard_normal((H, D)),
            "b1": rng.standard_normal(H),
            "W2": rng.standard_normal((M, H)),
            "b2": rng.standard_normal(M),
            "dy": rng.standard_normal((*lead, M)),
        }
        if clear_of_the_kink(tensors["x"], tensors["W1"], tensors["b1"]):
            return tensors


def layer(pair: Pair, x: Array, W: Array, b: Array) -> Array:
    return forward_pass(x, W, b, pair[0])


def block(pair: Pair, x: Array, W1: Array, b1: Array, W2: Array, b2: Array) -> Array:
    """Written out, so that the block's gradients are not checked with its own code."""
    return pair[0](x @ W1.T + b1) @ W2.T + b2


def layer_gradients(pair: Pair, tensors: dict[str, Array]) -> dict[str, Array]:
    t = tensors
    return dict(zip(LAYER, backward_pass(t["dy"], t["x"], t["W"], t["b"], *pair), strict=True))


def block_gradients(pair: Pair, tensors: dict[str, Array]) -> dict[str, Array]:
    t = tensors
    weights = (t["W1"], t["b1"], t["W2"], t["b2"])
    return dict(zip(BLOCK, backprop_two_layer(t["x"], *weights, *pair, t["dy"]), strict=True))


def centred_differences(
    function: Callable[..., Array], pair: Pair, tensors: dict[str, Array], name: str
) -> Array:
    """d<dy, y>/d(tensor), entry by entry: (F(t + h) - F(t - h)) / 2h."""
    moved = {key: value.copy() for key, value in tensors.items() if key != "dy"}
    gradient = np.empty_like(moved[name])

    def value() -> float:
        return float(np.vdot(tensors["dy"], function(pair, **moved)))

    for index in np.ndindex(gradient.shape):
        start = moved[name][index]
        moved[name][index] = start + STEP
        above = value()
        moved[name][index] = start - STEP
        below = value()
        moved[name][index] = start
        gradient[index] = (above - below) / (2 * STEP)
    return gradient


def agrees(analytic: Array, numeric: Array) -> bool:
    if analytic.shape != numeric.shape:
        return False
    return bool(np.abs(analytic - numeric).max() <= TOLERANCE * np.abs(numeric).max())


def disagreeing(
    function: Callable[..., Array],
    pair: Pair,
    tensors: dict[str, Array],
    gradients: dict[str, Array],
) -> set[str]:
    """The tensors whose gradient is not that of the function."""
    return {
        name
        for name, gradient in gradients.items()
        if not agrees(gradient, centred_differences(function, pair, tensors, name))
    }


@each_activation
@vector_and_batch
def test_forward_pass_is_the_equation(pair: Pair, lead: tuple[int, ...]) -> None:
    t = draw_layer(lead)
    rows = np.atleast_2d(t["x"])
    expected = pair[0](np.einsum("hd,nd->nh", t["W"], rows) + t["b"])
    y = forward_pass(t["x"], t["W"], t["b"], pair[0])
    np.testing.assert_allclose(y, expected.reshape(*lead, H), rtol=1e-13)


@each_activation
@vector_and_batch
@pytest.mark.parametrize("seed", range(3))
def test_layer_gradients_agree_with_differences(
    pair: Pair, lead: tuple[int, ...], seed: int
) -> None:
    t = draw_layer(lead, seed)
    assert not disagreeing(layer, pair, t, layer_gradients(pair, t))


@each_activation
@vector_and_batch
@pytest.mark.parametrize("seed", range(3))
def test_block_gradients_agree_with_differences(
    pair: Pair, lead: tuple[int, ...], seed: int
) -> None:
    t = draw_block(lead, seed)
    assert not disagreeing(block, pair, t, block_gradients(pair, t))


def test_residual_gradient_agrees_with_differences() -> None:
    t = draw_block((N,))
    t["W2"], t["b2"], t["dy"] = t["W2"][[0, 1, 2, 0]], t["b2"][[0, 1, 2, 0]], t["x"] + 1

    def residual(pair: Pair, x: Array, **weights: Array) -> Array:
        return x + block(pair, x, **weights)

    dx_input, dx_ffn = residual_backward(t["dy"])
    branch = block_gradients(TANH, {**t, "dy": dx_ffn})
    whole = {**branch, "x": branch["x"] + dx_input}
    assert not disagreeing(residual, TANH, t, whole)
    assert disagreeing(residual, TANH, t, branch) == {"x"}  # the skip path forgotten


@each_activation
def test_a_batch_is_the_sum_of_its_samples(pair: Pair) -> None:
    for draw, gradients in ((draw_layer, layer_gradients), (draw_block, block_gradients)):
        t = draw((N,))
        whole = gradients(pair, t)
        single = [gradients(pair, {**t, "x": t["x"][n], "dy": t["dy"][n]}) for n in range(N)]
        for name, gradient in whole.items():
            parts = np.array([sample[name] for sample in single])
            expected = parts if name == "x" else parts.sum(axis=0)
            np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-12)


def test_an_empty_batch_has_zero_gradients() -> None:
    t = draw_layer((N,))
    t["x"], t["dy"] = t["x"][:0], t["dy"][:0]
    gradients = layer_gradients(TANH, t)
    assert {name: gradient.shape for name, gradient in gradients.items()} == {
        "W": (H, D),
        "b": (H,),
        "x": (0, D),
    }
    assert not gradients["W"].any()
    assert not gradients["b"].any()


@vector_and_batch
def test_a_gradient_has_the_shape_of_its_tensor(lead: tuple[int, ...]) -> None:
    for draw, gradients in ((draw_layer, layer_gradients), (draw_block, block_gradients)):
        t = draw(lead)
        for name, gradient in gradients(RELU, t).items():
            assert gradient.shape == t[name].shape, name


# Wrong backward passes of one layer; the differences have to find each, and name its tensor.

WRONG_LAYER: dict[str, tuple[str, Callable[[dict[str, Array], Array, Array], Array]]] = {
    "dW without act'": ("W", lambda t, z, dz: t["dy"].T @ t["x"]),
    "dW with act instead of act'": ("W", lambda t, z, dz: (t["dy"] * np.tanh(z)).T @ t["x"]),
    "dW with act' of the output": (
        "W",
        lambda t, z, dz: (t["dy"] * TANH[1](np.tanh(z))).T @ t["x"],
    ),
    "dW as a mean over the batch": ("W", lambda t, z, dz: dz.T @ t["x"] / N),
    "dW of the first sample": ("W", lambda t, z, dz: dz[:1].T @ t["x"][:1]),
    "dW with the opposite sign": ("W", lambda t, z, dz: -dz.T @ t["x"]),
    "dW transposed": ("W", lambda t, z, dz: (dz.T @ t["x"]).T),
    "db without act'": ("b", lambda t, z, dz: t["dy"].sum(axis=0)),
    "db not summed": ("b", lambda t, z, dz: dz[0]),
    "db as a mean": ("b", lambda t, z, dz: dz.mean(axis=0)),
    "dx without act'": ("x", lambda t, z, dz: t["dy"] @ t["W"]),
    "dx with a transposed W": ("x", lambda t, z, dz: dz @ t["W"].T),
    "dx of another sample": ("x", lambda t, z, dz: np.roll(dz, 1, axis=0) @ t["W"]),
}


@pytest.mark.parametrize("name", WRONG_LAYER)
def test_differences_find_a_wrong_layer_gradient(name: str) -> None:
    tensor, wrong = WRONG_LAYER[name]
    t = draw_layer((N,))
    t["W"], t["b"], t["dy"] = t["W"][:D], t["b"][:D], t["dy"][:, :D]  # square: W.T fits too
    z = t["x"] @ t["W"].T + t["b"]
    gradients = layer_gradients(TANH, t)
    gradients[tensor] = wrong(t, z, t["dy"] * TANH[1](z))
    assert disagreeing(layer, TANH, t, gradients) == {tensor}


WRONG_BLOCK: dict[str, tuple[set[str], Callable[[dict[str, Array]], dict[str, Array]]]] = {
    "act' forgotten": (
        {"W1", "b1", "x"},
        lambda t: block_gradients((np.tanh, np.ones_like), t),
    ),
    "act' scaled": (
        {"W1", "b1", "x"},
        lambda t: block_gradients((np.tanh, lambda z: 0.999 * TANH[1](z)), t),
    ),
    "W2 transposed on the way back": (
        {"W1", "b1", "x"},
        lambda t: {**block_gradients(TANH, {**t, "W2": t["W2"].T}), "W2": right(t)["W2"]},
    ),
    "dW2 from the pre-activation": (
        {"W2"},
        lambda t: {**right(t), "W2": t["dy"].T @ (t["x"] @ t["W1"].T + t["b1"])},
    ),
    "dW1 and dW2 exchanged": (
        {"W1", "W2"},
        lambda t: {**right(t), "W1": right(t)["W2"], "W2": right(t)["W1"]},
    ),
    "db1 and db2 exchanged": (
        {"b1", "b2"},
        lambda t: {**right(t), "b1": right(t)["b2"], "b2": right(t)["b1"]},
    ),
    "dx with a residual sum that is not there": (
        {"x"},
        lambda t: {**right(t), "x": right(t)["x"] + t["dy"]},
    ),
}


def right(t: dict[str, Array]) -> dict[str, Array]:
    return block_gradients(TANH, t)


@pytest.mark.parametrize("name", WRONG_BLOCK)
def test_differences_find_a_wrong_block_gradient(name: str) -> None:
    tensors, wrong = WRONG_BLOCK[name]
    rng = np.random.default_rng(1)
    t = {key: rng.standard_normal((D, D)) for key in ("x", "W1", "W2", "dy")}
    t |= {key: rng.standard_normal(D) for key in ("b1", "b2")}  # all square: only values tell
    assert not disagreeing(block, TANH, t, right(t))
    assert disagreeing(block, TANH, t, wrong(t)) == tensors


# Shapes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": (3,)}, r"x has shape \(3,\), W of shape \(6, 4\) needs \(4,\) or \(N, 4\)"),
        ({"x": (5, 6)}, r"x has shape \(5, 6\), W of shape \(6, 4\) needs \(4,\) or \(N, 4\)"),
        ({"x": (2, 5, 4)}, r"x has shape \(2, 5, 4\), W of shape \(6, 4\) needs"),
        ({"x": ()}, r"x has shape \(\), W of shape \(6, 4\) needs"),
        ({"W": (4,)}, r"W has shape \(4,\), it needs \(fan_out, fan_in\)"),
        ({"W": (4, 6)}, r"x has shape \(5, 4\), W of shape \(4, 6\) needs \(6,\) or \(N, 6\)"),
        ({"b": (3,)}, r"b has shape \(3,\), W of shape \(6, 4\) needs \(6,\)"),
        ({"b": ()}, r"b has shape \(\), W of shape \(6, 4\) needs \(6,\)"),
        ({"b": (1,)}, r"b has shape \(1,\), W of shape \(6, 4\) needs \(6,\)"),
        ({"b": (5, 6)}, r"b has shape \(5, 6\), W of shape \(6, 4\) needs \(6,\)"),
    ],
)
def test_a_layer_names_the_argument_of_a_wrong_shape(
    change: dict[str, tuple[int, ...]], message: str
) -> None:
    t = draw_layer((N,)) | {key: np.ones(shape) for key, shape in change.items()}
    with pytest.raises(ValueError, match=f"^{message}"):
        layer(TANH, t["x"], t["W"], t["b"])
    with pytest.raises(ValueError, match=f"^{message}"):
        layer_gradients(TANH, t)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": (5, 6)}, r"x has shape \(5, 6\), W1 of shape \(6, 4\) needs \(4,\) or \(N, 4\)"),
        ({"W1": (6,)}, r"W1 has shape \(6,\), it needs \(fan_out, fan_in\)"),
        ({"b1": (4,)}, r"b1 has shape \(4,\), W1 of shape \(6, 4\) needs \(6,\)"),
        ({"W2": (3, 4)}, r"W2 has shape \(3, 4\), W1 of shape \(6, 4\) needs \(3, 6\)"),
        ({"W2": (6, 3)}, r"W2 has shape \(6, 3\), W1 of shape \(6, 4\) needs \(6, 6\)"),
        ({"W2": (3,)}, r"W2 has shape \(3,\), W1 of shape \(6, 4\) needs \(3, 6\)"),
        ({"b2": (6,)}, r"b2 has shape \(6,\), W2 of shape \(3, 6\) needs \(3,\)"),
        ({"b2": ()}, r"b2 has shape \(\), W2 of shape \(3, 6\) needs \(3,\)"),
        ({"dy": (5, 4)}, r"dy has shape \(5, 4\), y needs \(5, 3\)"),
        ({"dy": (3,)}, r"dy has shape \(3,\), y needs \(5, 3\)"),
    ],
)
def test_a_block_names_the_argument_of_a_wrong_shape(
    change: dict[str, tuple[int, ...]], message: str
) -> None:
    t = draw_block((N,)) | {key: np.ones(shape) for key, shape in change.items()}
    with pytest.raises(ValueError, match=f"^{message}"):
        block_gradients(TANH, t)


@pytest.mark.parametrize("shape", [(), (H,), (1, H), (N, D), (H, N), (N, H, 1)])
def test_dy_of_a_layer_is_never_broadcast(shape: tuple[int, ...]) -> None:
    t = draw_layer((N,)) | {"dy": np.ones(shape)}
    with pytest.raises(ValueError, match=r"^dy has shape \(.*\), y needs \(5, 6\)"):
        layer_gradients(TANH, t)


@pytest.mark.parametrize("change", [lambda z: z.sum(), lambda z: z[..., :2], lambda z: z[None]])
def test_an_activation_keeps_shapes(change: Callable[[Array], Array]) -> None:
    t, u = draw_layer((N,)), draw_block((N,))
    wrong = r"^the result of activation_fn has shape \(.*\), z needs \(5, 6\)"
    with pytest.raises(ValueError, match=wrong):
        layer((change, TANH[1]), t["x"], t["W"], t["b"])
    for gradients, tensors in ((layer_gradients, t), (block_gradients, u)):
        with pytest.raises(ValueError, match=wrong):
            gradients((change, TANH[1]), tensors)
        with pytest.raises(ValueError, match=wrong.replace("activation_fn", "activation_grad_fn")):
            gradients((np.tanh, change), tensors)


# Precision and memory

LOOSE: Pair = (  # float64, whatever z is
    lambda z: np.where(z > 0, z, 0.0).astype(np.float64),
    lambda z: np.where(z > 0, 1.0, 0.0),
)
BOOLEAN: Pair = (RELU[0], lambda z: z > 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", [*ACTIVATIONS.values(), LOOSE, BOOLEAN])
@vector_and_batch
def test_precision_is_kept(pair: Pair, dtype: type, lead: tuple[int, ...]) -> None:
    t: dict[str, Array] = {key: value.astype(dtype) for key, value in draw_layer(lead).items()}
    u: dict[str, Array] = {key: value.astype(dtype) for key, value in draw_block(lead).items()}
    assert layer(pair, t["x"], t["W"], t["b"]).dtype == dtype
    for gradient in (*layer_gradients(pair, t).values(), *block_gradients(pair, u).values()):
        assert gradient.dtype == dtype
    for part in residual_backward(u["dy"]):
        assert part.dtype == dtype


def test_integers_are_not_rounded() -> None:
    x, W, b = np.array([1, 2]), np.array([[1, -1]]), np.array([0])
    np.testing.assert_allclose(forward_pass(x, W, b, np.tanh), np.tanh([-1.0]))
    dW, db, dx = backward_pass(np.array([1.0]), x, W, b, *TANH)
    slope = 1 - np.tanh(1.0) ** 2
    np.testing.assert_allclose(dW, [[slope, 2 * slope]])
    np.testing.assert_allclose(db, [slope])
    np.testing.assert_allclose(dx, [slope, -slope])


@each_activation
@vector_and_batch
def test_arguments_are_left_alone_and_results_are_new(pair: Pair, lead: tuple[int, ...]) -> None:
    for draw, gradients in ((draw_layer, layer_gradients), (draw_block, block_gradients)):
        t = draw(lead)
        before = {key: value.copy() for key, value in t.items()}
        results = [*gradients(pair, t).values()]
        if draw is draw_layer:
            results.append(layer(pair, t["x"], t["W"], t["b"]))
        for key, value in t.items():
            np.testing.assert_array_equal(value, before[key])
            assert not any(np.shares_memory(value, result) for result in results)
        assert not any(np.shares_memory(a, b) for a, b in combinations(results, 2))


@vector_and_batch
def test_an_activation_may_overwrite_what_it_is_given(lead: tuple[int, ...]) -> None:
    in_place: Pair = (lambda z: np.tanh(z, out=z), lambda z: np.subtract(1, np.tanh(z) ** 2, out=z))
    for draw, gradients in ((draw_layer, layer_gradients), (draw_block, block_gradients)):
        t = draw(lead)
        expected = gradients(TANH, t)
        for name, gradient in gradients(in_place, t).items():
            np.testing.assert_array_equal(gradient, expected[name])


@pytest.mark.parametrize("shape", [(D,), (N, D)])
def test_residual_backward_copies_to_both_paths(shape: tuple[int, ...]) -> None:
    dout = np.random.default_rng(0).standard_normal(shape)
    expected = dout.copy()
    dx_input, dx_ffn = residual_backward(dout)
    np.testing.assert_array_equal(dx_input, expected)
    np.testing.assert_array_equal(dx_ffn, expected)
    dx_input += 1
    np.testing.assert_array_equal(dx_ffn, expected)
    np.testing.assert_array_equal(dout, expected)
    dx_ffn += 1
    np.testing.assert_array_equal(dout, expected)


# The rest of the package


def test_the_linear_layer_is_the_textbook_layer() -> None:
    t = draw_layer((N,))
    linear = Linear(D, H)
    layout = Layout(linear)
    params, grads = layout.zeros("float64"), layout.zeros("float64")
    params["weight"][...], params["bias"][...] = t["W"], t["b"]
    y, pullback = linear.forward(params, t["x"])
    dx = pullback(t["dy"], grads)
    np.testing.assert_allclose(y, layer(IDENTITY, t["x"], t["W"], t["b"]), rtol=1e-12)
    expected = layer_gradients(IDENTITY, t)
    for name, ours in {"W": grads["weight"], "b": grads["bias"], "x": dx}.items():
        np.testing.assert_allclose(ours, expected[name], rtol=1e-12)


def test_the_feed_forward_block_is_the_textbook_block() -> None:
    t = draw_block((N,))
    t["W2"], t["b2"], t["dy"] = t["W2"][[0, 1, 2, 0]], t["b2"][[0, 1, 2, 0]], t["x"] + 1
    activation = Tanh()
    feedforward = FeedForward(D, H, activation)
    layout = Layout(feedforward)
    params, grads = layout.zeros("float64"), layout.zeros("float64")
    for part, names in {"up": ("W1", "b1"), "down": ("W2", "b2")}.items():
        views = params.part(part)
        views["weight"][...], views["bias"][...] = (t[name] for name in names)
    y, pullback = feedforward.forward(params, t["x"])
    dx = pullback(t["dy"], grads)
    pair = (activation.value, activation.derivative)
    weights = {name: t[name] for name in ("x", "W1", "b1", "W2", "b2")}
    np.testing.assert_allclose(y, block(pair, **weights), rtol=1e-12)
    ours = dict(zip(BLOCK, (*layout.named(grads.vector).values(), dx), strict=True))
    for name, expected in block_gradients(pair, t).items():
        np.testing.assert_allclose(ours[name], expected, rtol=1e-12, atol=1e-12)


def test_the_module_needs_only_numpy() -> None:
    tree = ast.parse(Path(functional.__file__).read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(str(node.module).split(".")[0])
    assert modules <= {"__future__", "collections", "typing", "numpy"}


def test_lists_serve_as_well_as_arrays() -> None:
    rng = np.random.default_rng(3)
    x, dy, b1, b2 = (rng.standard_normal(size) for size in ((4, 3), (4, 3), 5, 3))
    W1, W2 = rng.standard_normal((5, 3)), rng.standard_normal((3, 5))
    act: tuple[Any, Any] = (np.tanh, lambda z: 1 - np.tanh(z) ** 2)
    calls: list[tuple[Callable[..., Any], tuple[Array, ...]]] = [
        (lambda x, W, b: [forward_pass(x, W, b, np.tanh)], (x, W1, b1)),
        (lambda dy, x, W, b: backward_pass(dy, x, W, b, *act), (x @ W1.T, x, W1, b1)),
        (
            lambda dy, x, W1, b1, W2, b2: backprop_two_layer(x, W1, b1, W2, b2, *act, dy),
            (dy, x, W1, b1, W2, b2),
        ),
        (residual_backward, (dy,)),
    ]
    for function, arrays in calls:
        lists = [array.tolist() for array in arrays]
        for left, other in zip(function(*arrays), function(*lists), strict=True):
            np.testing.assert_array_equal(left, other)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["a", "b", "c"], "x must be an array of real numbers, got dtype <U1"),
        ([1j, 2, 3], "x must be an array of real numbers, got dtype complex128"),
        (None, "x must be an array of real numbers, got dtype object"),
        ([[1, 2, 3], [1, 2]], "x must be an array of numbers, got rows of unequal lengths"),
        ([1, 2], r"x has shape (2,), W of shape (2, 3) needs (3,) or (N, 3)"),
        (3, r"x has shape (), W of shape (2, 3) needs (3,) or (N, 3)"),
    ],
)
def test_what_is_no_array_of_numbers_is_named(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        forward_pass(wrong, [[1, 2, 3], [4, 5, 6]], [0, 0], np.tanh)
