"""The whole stack against PyTorch's autograd, for every combination of choices that is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ffn_train.config.registry import build
from ffn_train.gradcheck import random_parameters
from ffn_train.nn.stack import Stack
from tests.support.choices import settings, tiny

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    pytest.skip("PyTorch is not installed (extra 'peers')", allow_module_level=True)

TOLERANCE = 1e-10  # of a tensor's largest entry

ACTIVATIONS = {
    "relu": F.relu,
    "leaky_relu": lambda z: F.leaky_relu(z, settings("activation", "leaky_relu")["slope"]),
    "gelu": F.gelu,
    "gelu_tanh": lambda z: F.gelu(z, approximate="tanh"),
    "silu": F.silu,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "identity": lambda z: z,
}


def linear(weights: dict[str, Any], name: str, x: Any) -> Any:
    return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def norm(weights: dict[str, Any], name: str, kind: str, x: Any) -> Any:
    gain, eps = weights[f"{name}.gain"], settings("norm", kind)["eps"]
    if kind.endswith("layer"):
        return F.layer_norm(x, gain.shape, gain, weights[f"{name}.shift"], eps)
    return F.rms_norm(x, gain.shape, gain, eps)


def stack(names: dict[str, str], depth: int, weights: dict[str, Any], x: Any) -> Any:
    """An independent stack, written from the papers' equations in PyTorch."""
    act, kind = ACTIVATIONS[names["activation"]], names["norm"]
    scaled = settings("residual", "scaled")
    x = linear(weights, "input", x)
    for index in range(depth):
        block = f"blocks.{index}"
        y = norm(weights, f"{block}.norm", kind, x) if kind.startswith("pre") else x
        if names["block"] == "feedforward":
            y = linear(weights, f"{block}.down", act(linear(weights, f"{block}.up", y)))
        else:
            gated: Any = {"swiglu": F.silu, "geglu": F.gelu}[names["block"]]
            gate = gated(linear(weights, f"{block}.gate", y))
            y = linear(weights, f"{block}.down", gate * linear(weights, f"{block}.up", y))
        x = {
            "none": lambda x, y, w: y,
            "identity": lambda x, y, w: x + y,
            "scaled": lambda x, y, w: x + scaled["scale"] / depth ** scaled["power"] * y,
            "rezero": lambda x, y, w: x + w * y,
            "deepnorm": lambda x, y, w: depth**0.25 * x + y,
        }[names["residual"]](x, y, weights.get(f"{block}.multiplier"))
        if kind.startswith("post"):
            x = norm(weights, f"{block}.norm", kind, x)
    if kind.startswith("pre"):
        x = norm(weights, "final_norm", kind, x)
    return linear(weights, "output", x)


def assert_equal(ours: np.ndarray, theirs: Any, what: str) -> None:
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    largest = np.abs(theirs).max()
    assert np.abs(ours - theirs).max() <= TOLERANCE * max(largest, 1e-300), what


def compare(model: Stack, names: dict[str, str], rng: np.random.Generator) -> None:
    params = random_parameters(model, rng)
    x = rng.standard_normal((4, 3))
    y, pullback = model.forward(params, x)
    cotangent = rng.standard_normal(y.shape)
    grads = model.layout.zeros("float64")
    dx = pullback(cotangent, grads)

    named = model.layout.named(params.vector)
    weights = {key: torch.tensor(value, requires_grad=True) for key, value in named.items()}
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = stack(names, model.depth, weights, x_torch)
    y_torch.backward(torch.tensor(cotangent))
    assert_equal(y, y_torch, "output")
    assert_equal(dx, x_torch.grad, "input gradient")
    for name, gradient in model.layout.named(grads.vector).items():
        assert_equal(gradient, weights[name].grad, name)


def test_the_whole_stack_agrees_with_autograd(combination: dict[str, str]) -> None:
    compare(tiny(combination), combination, np.random.default_rng(0))


def smoothed(y: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(y, targets, label_smoothing=0.1)


LOSSES: dict[str, tuple[dict[str, Any], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]] = {
    "mse": ({}, F.mse_loss),
    "huber": ({}, F.huber_loss),
    "cross_entropy": ({}, F.cross_entropy),
    "cross_entropy, smoothed": ({"smoothing": 0.1}, smoothed),
}


@pytest.mark.parametrize("case", LOSSES)
@pytest.mark.parametrize("size", [2, 1000])  # exp of 1000 overflows
def test_losses(case: str, size: float) -> None:
    (chosen, function), name = LOSSES[case], case.partition(",")[0]
    rng = np.random.default_rng(0)
    y, targets = size * rng.standard_normal((6, 3)), rng.standard_normal((6, 3))
    if name == "cross_entropy":
        targets = np.eye(3)[rng.integers(3, size=6)]
    value, gradient = build("loss", {"name": name, **chosen}).value_and_gradient(y, targets)
    y_torch = torch.tensor(y, requires_grad=True)
    loss = function(y_torch, torch.tensor(targets))
    loss.backward()
    assert value == pytest.approx(loss.item(), rel=1e-12)
    assert_equal(gradient, y_torch.grad, name)


OPTIMIZERS: dict[str, tuple[dict[str, Any], Any, dict[str, Any]]] = {
    "sgd": ({"momentum": 0.0, "nesterov": False}, torch.optim.SGD, {}),
    "momentum": ({"momentum": 0.9, "nesterov": False}, torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (
        {"momentum": 0.9, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True},
    ),
    "adam": (
        {"beta1": 0.8, "beta2": 0.95, "eps": 1e-6},
        torch.optim.AdamW,
        {"betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.0},
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    ours, theirs, options = OPTIMIZERS[name]
    group = "adam" if name == "adam" else "sgd"
    optimizer = build("optimizer", {"name": group, "lr": 0.1, "weight_decay": 0.0, **ours})
    rng = np.random.default_rng(0)
    params = rng.standard_normal(40_000)  # several chunks
    tensor = torch.tensor(params.copy(), requires_grad=True)
    peer = theirs([tensor], lr=0.1, **options)
    memory = {slot: np.zeros_like(params) for slot in optimizer.slots}
    for count in range(1, 11):
        gradient = rng.standard_normal(params.size)
        optimizer.step(params, gradient, memory, lr=0.1, count=count)
        tensor.grad = torch.tensor(gradient)
        peer.step()
        assert_equal(params, tensor, f"{name} after {count} steps")


def test_clipping() -> None:
    from ffn_train.running.experiment import build_experiment
    from tests.support.small_runs import config

    experiment = build_experiment(config(dtype="float64", trainer={"clip": 0.1, "steps": 1}))
    state = experiment.trainer.start(experiment.params)
    row = next(experiment.trainer.fit(state))
    # the first step's velocity
    gradient = (experiment.params.vector - state.params.vector) / row.lr
    tensor = torch.tensor(gradient, requires_grad=True)
    tensor.grad = torch.tensor(gradient * row.gradient_norm / row.clipped_norm)
    before = torch.nn.utils.clip_grad_norm_([tensor], 0.1)
    assert before.item() == pytest.approx(row.gradient_norm, rel=1e-4)
    assert math.isclose(row.clipped_norm, 0.1)
    np.testing.assert_allclose(tensor.grad.numpy(), gradient, rtol=1e-4, atol=1e-9)
