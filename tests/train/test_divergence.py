"""The first tensor that is not finite is named, wherever it is injected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from ffn_train.nn.blocks import residual as choices
from ffn_train.nn.core import Array, Views
from ffn_train.nn.losses.mse import MSE
from ffn_train.nn.stack import Stack
from ffn_train.train.diagnosis import Updates, likely_cause, settings
from ffn_train.train.divergence import locate
from tests.support.choices import tiny

BAD = [np.nan, np.inf, -np.inf]
NAMES = {"activation": "gelu", "block": "swiglu", "residual": "rezero", "norm": "pre_layer"}
POST = {"activation": "tanh", "block": "feedforward", "residual": "identity", "norm": "post_rms"}


def failing_tensor(model: Stack, loss: Any = None) -> tuple[str, str]:
    rng = np.random.default_rng(0)
    params = model.layout.zeros("float64")
    params.vector[...] = rng.standard_normal(params.vector.size) / 3
    x, targets = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    result = locate(model, params, x, targets, loss or MSE(), Updates(5, 0.1))
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
    assert failing_tensor(model) == expected


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("which", [0, 1])
def test_the_activation_is_named(value: float, which: int) -> None:
    model = tiny(POST)

    class Spoiled(type(model.activation)):  # type: ignore[misc]
        calls = 0

        def pair_in_place(self, z: Array) -> tuple[Array, Array]:
            pair = super().pair_in_place(z)
            Spoiled.calls += 1
            if Spoiled.calls == 2:
                pair[which].flat[3] = value
            return pair

    model.branch.activation = Spoiled()
    site = ("hidden units", "act'")[which]
    assert failing_tensor(model) == ("forward", f"{site} of blocks.1")


@pytest.mark.parametrize("value", BAD)
def test_the_loss_and_its_gradient_are_named(value: float) -> None:
    class Loss(MSE):
        spoil_value: ClassVar[bool]

        def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
            loss, dy = super().value_and_gradient(y, targets)
            return (value, dy) if self.spoil_value else (loss, dy * value)

    for spoil_value, expected in ((True, ("forward", "loss")), (False, ("backward", "dL/dy"))):
        Loss.spoil_value = spoil_value
        assert failing_tensor(tiny(POST), Loss()) == expected


@pytest.mark.parametrize("value", BAD)
def test_a_parameter_is_named_as_the_update_that_spoiled_it(value: float) -> None:
    model = tiny(NAMES)
    rng = np.random.default_rng(0)
    for tensor in model.layout.tensors:
        params = model.layout.zeros("float64")
        params.vector[...] = rng.standard_normal(params.vector.size)
        params.vector[tensor.start] = value
        x, targets = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
        result = locate(model, params, x, targets, MSE(), Updates(1, 0.1))
        assert (result.phase, result.site) == ("update", tensor.name)
        assert "the updates with optimizer.lr=0.1 led to it" in result.reason


Doubling = tuple[Stack, Views, Array, Array]


def doubling(depth: int = 120, **names: str) -> Doubling:
    """A ReLU stack whose signal grows in every block, with a batch for it."""
    chosen = {"activation": "relu", "block": "feedforward", "residual": "identity", "norm": "none"}
    model = tiny({**chosen, **names}, depth=depth)
    params = model.layout.zeros("float32")
    for name, array in model.layout.named(params.vector).items():
        if array.ndim == 2:
            scale = np.sqrt(2 / array.shape[1]) * (1 if "blocks" in name else 0.1)
            array[...] = np.random.default_rng(0).standard_normal(array.shape) * scale
    return model, params, np.ones((4, 3), dtype="float32"), np.ones((4, 2), dtype="float32")


def test_what_grows_from_the_start_is_laid_to_the_initialisation_with_what_to_change() -> None:
    result = locate(*doubling(), MSE(), Updates(0, 50.0))
    assert result.phase == "forward"
    assert "at initialisation the signal grows " in result.reason
    assert result.reason.endswith("try residual=scaled, norm=pre_layer or init=gpt2")
    assert "optimizer.lr" not in result.reason
    assert len(result.before) == 3
    assert all(np.isfinite(size) for size in result.before.values())


def test_what_was_finite_before_the_updates_came_with_them_for_a_reason_left_to_the_verdict() -> (
    None
):
    reason = locate(*doubling(), MSE(), Updates(3, 50.0)).reason
    assert reason.endswith("; step 0 was finite, so the updates with optimizer.lr=50 led to it")


def test_a_rate_of_zero_is_not_to_blame() -> None:
    assert "optimizer.lr" not in locate(*doubling(), MSE(), Updates(3, 0.0)).reason


@pytest.mark.parametrize(
    ("residual", "norm", "wanted"),
    [
        (choices.IdentityResidual(), "none", "residual=scaled norm=pre_layer init=gpt2"),
        (choices.IdentityResidual(), "post_rms", "residual=scaled init=gpt2"),
        (choices.NoResidual(), "none", "residual=scaled"),
        (choices.ScaledResidual(scale=9, power=0.5), "none", "a smaller residual.scale norm=pre"),
        (choices.ScaledResidual(scale=9, power=0.5), "pre_rms", "a smaller residual.scale"),
        (choices.ScaledResidual(scale=9, power=0.2), "pre_rms", "residual.power=0.5"),
        (choices.ReZero(start=9), "none", "a smaller residual.start"),
    ],
)
def test_no_remedy_is_in_force_already(residual: choices.Residual, norm: str, wanted: str) -> None:
    remedies = settings(residual, 8, norm=norm, block="feedforward")
    assert " ".join(remedies).startswith(wanted)
    assert f"residual={residual.name}" not in remedies
    assert norm == "none" or "norm=pre_layer" not in remedies


def test_a_gated_branch_needs_a_norm() -> None:
    """It is of second degree, so that it outgrows each residual scale."""
    identity = choices.IdentityResidual()
    assert settings(identity, 8, norm="none", block="swiglu") == ["norm=pre_layer"]
    assert settings(identity, 8, norm="pre_rms", block="swiglu")[0] == "residual=scaled"
    plain = settings(choices.NoResidual(), 8, norm="none", block="swiglu")
    assert plain == ["residual=scaled"]  # a norm alone would not do


@pytest.mark.parametrize(
    ("scale", "names", "weights"),
    [
        (1.0, {}, False),  # twice the variance in each branch
        (3.0, {}, True),  # 3^4 of that
        (3.0, {"residual": "none"}, True),
        (3.0, {"block": "swiglu"}, False),  # whose square of the signal does it with any weights
    ],
)
def test_a_growth_beyond_that_of_usual_weights_is_laid_to_the_weights(
    scale: float, names: dict[str, Any], weights: bool
) -> None:
    model, params, x, targets = doubling(**names)
    params.vector[...] *= np.float32(scale)
    reason = locate(model, params, x, targets, MSE(), Updates(0, 0.1)).reason
    assert ("per block: the initial weights or biases are too large" in reason) is weights
    assert reason.endswith("; try init=lecun init.bias_std=0") is weights


def test_a_loss_that_is_one_number_is_not_counted() -> None:
    model, params, x, targets = doubling(depth=1)
    result = locate(model, params, x * 0, targets * 1e30, MSE(), Updates(0, 0.1))
    assert str(result).startswith("diverged at step 0, forward pass, loss: infinite; no update")


def test_watching_leaves_the_model_as_it_was() -> None:
    model = tiny(NAMES)
    before = (model.input, model.block, model.block.branch, model.branch.activation)
    assert failing_tensor(model) == ("backward", "gradient")  # nothing is wrong here
    assert (model.input, model.block, model.block.branch, model.branch.activation) == before


@pytest.mark.parametrize("row", [0, 3])
def test_rows_in_turns_are_repeated_in_turns(row: int) -> None:
    model, params, x, targets = doubling(depth=1)
    x[row] = np.inf
    result = locate(model, params, x, targets, MSE(), Updates(0, 0.1), 2)
    assert (result.phase, result.site) == ("forward", "output of input")
    assert f" of {2 * model.width} entries" in result.reason


def test_a_growth_whose_square_is_out_of_range_is_laid_to_the_weights() -> None:
    reason = likely_cause(doubling(depth=1)[0], "forward", 1e200, Updates(0, 0.1))
    assert "1e+200x per block: the initial weights or biases are too large" in reason
