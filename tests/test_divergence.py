"""The first tensor that is not finite is named, wherever it is injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from choices import tiny

from ffn_train.core import Array, Views
from ffn_train.divergence import locate
from ffn_train.losses import MSE
from ffn_train.model import Stack

BAD = [np.nan, np.inf, -np.inf]
NAMES = {"activation": "gelu", "block": "swiglu", "residual": "rezero", "norm": "pre_layer"}
POST = {"activation": "tanh", "block": "feedforward", "residual": "identity", "norm": "post_rms"}


def found(model: Stack, loss: Any = None) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    params = model.layout.zeros("float64")
    params.vector[...] = rng.standard_normal(params.vector.size) / 3
    x, targets = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    result = locate(model, params, x, targets, loss or MSE(), step=5)
    assert result.step == 5
    assert "\n" not in str(result)
    return result.phase, result.site


def spoiled(layer: Any, value: float, where: str, call: int = 0) -> Any:
    """The layer with one entry of its output, of a gradient or of its dx replaced, at one call."""
    original = layer.forward
    calls = -1

    def forward(params: Views, x: Array, **options: Any) -> tuple[Array, Any]:
        nonlocal calls
        calls += 1
        now = calls == call
        y, pullback = original(params, x, **options)
        if now and where == "output":
            y.flat[1] = value

        def broken(dy: Array, grads: Views) -> Array:
            dx: Array = pullback(dy, grads)
            if now and where == "dx":
                dx.flat[1] = value
            elif now and where != "output":
                grads[where].flat[1 % grads[where].size] = value
            return dx

        return y, broken

    layer.forward = forward
    return layer


Case = tuple[dict[str, str], Callable[[Stack], Any], int, str, tuple[str, str]]
CASES: list[Case] = []
for index in range(3):
    # the blocks share their layers: the call tells the block
    for part in ("gate", "up", "down"):
        get = lambda m, part=part: getattr(m.branch, part)  # noqa: E731
        name = f"blocks.{index}.{part}"
        CASES += [
            (NAMES, get, index, "output", ("forward", f"output of {name}")),
            (NAMES, get, index, "weight", ("backward", f"gradient of {name}.weight")),
            (NAMES, get, index, "bias", ("backward", f"gradient of {name}.bias")),
            (NAMES, get, index, "dx", ("backward", f"dL/d(input of {name})")),
        ]
    for names, side in ((NAMES, "pre"), (POST, "post")):
        get = lambda m, side=side: getattr(m.block, side)  # noqa: E731
        name = f"blocks.{index}.norm"
        CASES += [
            (names, get, index, "output", ("forward", f"output of {name}")),
            (names, get, index, "gain", ("backward", f"gradient of {name}.gain")),
            (names, get, index, "dx", ("backward", f"dL/d(input of {name})")),
        ]
    block = lambda m: m.block  # noqa: E731
    CASES += [
        (NAMES, block, index, "output", ("forward", f"x_{index + 1} (output of block {index})")),
        (NAMES, block, index, "multiplier", ("backward", f"gradient of blocks.{index}.multiplier")),
        (NAMES, block, index, "dx", ("backward", f"dL/dx_{index}")),
    ]
for end in ("input", "final_norm", "output"):
    get = lambda m, end=end: getattr(m, end)  # noqa: E731
    tensor = "gain" if end == "final_norm" else "weight"
    CASES += [
        (NAMES, get, 0, "output", ("forward", f"output of {end}")),
        (NAMES, get, 0, tensor, ("backward", f"gradient of {end}.{tensor}")),
        (NAMES, get, 0, "dx", ("backward", f"dL/d(input of {end})")),
    ]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[2]}-{case[3]}-{case[4][1]}")
def test_the_site_of_the_injection_is_named(case: Case, value: float) -> None:
    names, get, call, where, expected = case
    model = tiny(names)
    spoiled(get(model), value, where, call)
    assert found(model) == expected


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("which", [0, 1])
def test_the_activation_is_named(value: float, which: int) -> None:
    model = tiny(POST)

    class Spoiled(type(model.activation)):  # type: ignore[misc]
        calls = 0

        def both(self, z: Array) -> tuple[Array, Array]:
            pair = super().both(z)
            Spoiled.calls += 1
            if Spoiled.calls == 2:
                pair[which].flat[3] = value
            return pair

    model.branch.activation = Spoiled()
    site = ("hidden units", "act'")[which]
    assert found(model) == ("forward", f"{site} of blocks.1")


@pytest.mark.parametrize("value", BAD)
def test_the_loss_and_its_gradient_are_named(value: float) -> None:
    class Loss(MSE):
        def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
            loss, dy = super().value_and_gradient(y, targets)
            return (value, dy) if self.spoil_value else (loss, dy * value)

    for spoil_value, expected in ((True, ("forward", "loss")), (False, ("backward", "dL/dy"))):
        Loss.spoil_value = spoil_value  # type: ignore[attr-defined]
        assert found(tiny(POST), Loss()) == expected


@pytest.mark.parametrize("value", BAD)
def test_a_parameter_is_named_as_the_update_that_spoiled_it(value: float) -> None:
    model = tiny(NAMES)
    rng = np.random.default_rng(0)
    for tensor in model.layout.tensors:
        params = model.layout.zeros("float64")
        params.vector[...] = rng.standard_normal(params.vector.size)
        params.vector[tensor.start] = value
        x, targets = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
        result = locate(model, params, x, targets, MSE(), step=1)
        assert (result.phase, result.site) == ("update", tensor.name)
        assert "smaller optimizer.lr" in result.reason


def test_growth_is_given_as_the_reason_with_what_to_change() -> None:
    names = {"activation": "relu", "block": "feedforward", "residual": "identity", "norm": "none"}
    model = tiny(names, depth=120)
    params = model.layout.zeros("float32")
    for name, array in model.layout.named(params.vector).items():
        if array.ndim == 2:
            scale = np.sqrt(2 / array.shape[1]) * (1 if "blocks" in name else 0.1)
            array[...] = np.random.default_rng(0).standard_normal(array.shape) * scale
    x = np.ones((4, 3), dtype="float32")
    result = locate(model, params, x, np.ones((4, 2), dtype="float32"), MSE(), step=0)
    assert result.phase == "forward"
    assert "the signal grows x" in result.reason
    assert "try residual=scaled, norm=pre_layer or init=gpt2" in result.reason
    assert len(result.before) == 3
    assert all(np.isfinite(size) for size in result.before.values())
    near = int(result.reason.split("expected near block ")[1].split(";")[0])
    block = int(
        result.site.split("blocks.")[1].split(".")[0]
        if "blocks." in result.site
        else result.site.split("block ")[1].rstrip(")")
    )
    assert abs(near - block) <= 12


def test_watching_leaves_the_model_as_it_was() -> None:
    model = tiny(NAMES)
    before = (model.input, model.block, model.block.branch, model.branch.activation)
    assert found(model) == ("backward", "gradient")  # nothing is wrong here
    assert (model.input, model.block, model.block.branch, model.branch.activation) == before
