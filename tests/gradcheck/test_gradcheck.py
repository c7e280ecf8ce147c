"""The gradient check itself: its command, kinks, and what rounding hides in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffn_train.commands.gradcheck import check, main, table
from ffn_train.config.registry import build, choices
from ffn_train.gradcheck import check_layer, check_loss, check_loss_value, failures
from ffn_train.gradcheck.differences import DRAWS
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.core import Array, Layer, Pullback, Views
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.layers.norms import RMSNorm
from ffn_train.nn.losses.mse import MSE
from tests.support.choices import tiny
from tests.support.command import command

NAMES = {"block": "feedforward", "residual": "none", "norm": "none", "init": "lecun"}


def test_the_command_checks_every_part_and_says_so(tmp_path: Path) -> None:
    done = command("model.depth=3", "norm=pre_rms", cwd=tmp_path, module="ffn_train.gradcheck")
    assert done.returncode == 0, done.stderr
    for part in ("input projection", "branch", "block", "norm", "read-out", "stack of depth 3"):
        assert f"{part}\n" in done.stdout
    for tensor in ("x ", "blocks.0.up.weight", "blocks.2.norm.gain", "final_norm.gain"):
        assert tensor in done.stdout
    assert "derivatives and outputs agree" in done.stdout.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    done = command("model.depht=3", cwd=tmp_path, module="ffn_train.gradcheck")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "ffn_train.gradcheck: model.depht is not a setting; did you mean model.depth?"
    ]


def test_the_command_fails_on_a_wrong_backward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = GELU.pair
    monkeypatch.setattr(GELU, "pair", lambda self, z: (pair(self, z)[0], 1.01 * pair(self, z)[1]))
    done = command("model.depth=2", cwd=tmp_path, module="ffn_train.gradcheck")
    assert done.returncode == 1
    assert "FAILED" in done.stdout
    assert "disagree" in done.stdout.splitlines()[-1]
    assert "up.weight" in done.stdout.splitlines()[-1]
    assert "down.weight" not in done.stdout.splitlines()[-1].replace("blocks.0.down.weight", "")


class Kinked(Layer):
    """|x|, exactly on its kink at the first draw."""

    def __init__(self) -> None:
        self.draws = 0

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        if self.draws == 0:
            self.kink = x.copy()
        self.draws += 1
        on_kink = np.array_equal(np.round(x, 2), np.round(self.kink, 2))
        centre = self.kink if on_kink else np.zeros_like(x)
        sign = np.sign(x - centre)
        return np.abs(x - centre), lambda dy, grads: dy * sign


def test_a_pre_norm_may_overwrite_what_it_is_given(tmp_path: Path) -> None:
    """Of which the derivative was taken afterwards."""
    source = """
from ffn_train.nn.core import Layer
from ffn_train.parts import Norm, choice

class Halved(Layer):
    def forward(self, params, x):
        def pullback(dy, grads):
            dy /= 2
            return dy
        return x / 2, pullback

@choice("norm", "halved")
class HalvedNorm(Norm):
    placement = "pre"
    def layer(self, width):
        return Halved()
"""
    (tmp_path / "halved.py").write_text(source)
    chosen = ("parts=[halved.py]", "norm=halved", "model.depth=2")
    done = command(*chosen, cwd=tmp_path, module="ffn_train.gradcheck")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_point_on_a_kink_is_drawn_anew_and_counted() -> None:
    (result,) = check_layer(Kinked(), inputs=3, rng=np.random.default_rng(0))
    assert result.kinks >= 1
    assert not result.failed
    assert "avoided" in table({"kinked": [result]})


class NearKink(Layer):
    """|x - a| with a so near to the first x that both slopes there are the mean of its sides'."""

    def __init__(self) -> None:
        self.kink: Array | None = None

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        if self.kink is None:
            self.kink = x + 1e-13
        sign = np.sign(x - self.kink)
        return np.abs(x - self.kink), lambda dy, grads: dy * sign


def test_a_kink_nearer_than_all_points_of_the_differences_is_found() -> None:
    (result,) = check_layer(NearKink(), inputs=3, rng=np.random.default_rng(0))
    assert (result.kinks, result.failed, result.unjudged) == (1, False, "")


def test_relu_passes_whatever_its_kinks() -> None:
    model = tiny({**NAMES, "activation": "relu"}, depth=2)
    for seed in range(20):
        assert not list(failures(check_layer(model, inputs=3, rng=np.random.default_rng(seed))))


class Rough(Layer):
    """|sin(10⁹ x)|, whose kinks lie closer together than the shortest steps."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        return np.abs(np.sin(1e9 * x)), lambda dy, grads: dy


class Overflowing(Layer):
    """exp(x + 1000), which is infinite in float64."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        y = np.exp(x + 1000)
        return y, lambda dy, grads: dy * y


@pytest.mark.parametrize(
    ("layer", "why", "kinks"),
    [
        (Rough(), "a kink at every point tried", DRAWS),
        (Overflowing(), "values that are not finite", 0),
    ],
)
def test_what_cannot_be_judged_is_neither_right_nor_wrong(
    layer: Layer, why: str, kinks: int
) -> None:
    (result,) = check_layer(layer, inputs=3, rng=np.random.default_rng(0))
    assert (result.unjudged, result.kinks, result.failed) == (why, kinks, False)
    shown = table({"layer": [result]})
    assert why in shown
    assert "avoided" not in shown


def test_what_is_not_judged_is_counted_and_does_not_agree(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = [*check_layer(Linear(3, 2), inputs=3, rng=rng), *check_layer(Rough(), inputs=3, rng=rng)]
    monkeypatch.setattr("ffn_train.commands.gradcheck.check", lambda overrides: {"layers": rows})
    monkeypatch.setattr("sys.argv", ["gradcheck"])
    main()
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "all 3 derivatives and outputs agree; 1 not judged: a kink at every point tried"


class Sawtooth(Layer):
    """The distance from the nearest multiple of 1e-4, with a kink each 5e-5."""

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        apart = x - 1e-4 * np.round(x / 1e-4)
        return np.abs(apart), lambda dy, grads: dy * np.sign(apart)


@pytest.mark.parametrize("seed", range(3))
def test_kinks_that_lie_close_together_are_avoided_by_shorter_steps(seed: int) -> None:
    (result,) = check_layer(Sawtooth(), inputs=3, rng=np.random.default_rng(seed))
    assert 0 < result.kinks < DRAWS
    assert (result.unjudged, result.failed) == ("", False)


def test_gradients_whose_squares_are_infinite_are_compared() -> None:
    large = ("residual.scale=1e20", "residual.power=0", "model.depth=9", "model.width=8")
    checks = check(["residual=scaled", *large])
    compared = [c for part in checks.values() for c in part if abs(c.analytic) > 1e155]
    assert len(compared) > 5
    assert all(0 < c.error < 1e-7 or c.tensor == "predict" for c in compared)
    assert not [c for part in checks.values() for c in part if c.failed]


def test_what_rounding_hides_is_neither_passed_nor_failed() -> None:
    checks = check(["model.depth=80", "model.width=8", "residual=none", "activation=tanh"])
    whole = {c.tensor: c for c in checks["stack of depth 80"]}
    assert whole["blocks.0.up.weight"].unjudged == "lost in rounding"
    assert not whole["blocks.0.up.weight"].failed
    assert not whole["output.weight"].unjudged
    assert "lost in rounding" in table(checks)
    assert not [c for part in checks.values() for c in part if c.failed]


@pytest.mark.parametrize("name", choices("loss"))
def test_a_losss_gradient_is_checked_and_a_wrong_one_fails(name: str) -> None:
    loss, rng = build("loss", {"name": name}), np.random.default_rng(0)
    targets = np.eye(2)[[0, 1, 1, 0, 1]] if "classes" in loss.kinds else rng.normal(size=(5, 2))
    assert not check_loss(loss, targets, rng).failed

    class Doubled(type(loss)):  # type: ignore[misc]
        def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
            value, gradient = super().value_and_gradient(y, targets)
            return value, 2 * gradient

    assert check_loss(Doubled(), targets, rng).failed


@pytest.mark.parametrize(
    ("value", "gradient", "unjudged", "failed"),
    [
        (np.nan, 1.0, "values that are not finite", False),
        (np.inf, 1.0, "values that are not finite", False),
        (1.0, np.nan, "", True),
        (1.0, np.inf, "", True),
    ],
)
def test_a_loss_that_is_not_finite_does_not_agree(
    value: float, gradient: float, unjudged: str, failed: bool
) -> None:
    class Broken(MSE):
        def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
            right, slope = super().value_and_gradient(y, targets)
            return right * value, slope * gradient

    rng = np.random.default_rng(0)
    result = check_loss(Broken(), rng.normal(size=(5, 2)), rng)
    assert (result.unjudged, result.failed) == (unjudged, failed)


class Predicting(Linear):
    """A layer with a ``predict`` of its own: the output that it gets, changed."""

    def __init__(self, change: Callable[[Array], Array]) -> None:
        super().__init__(3, 2)
        self.change = change

    def predict(self, params: Views, x: Array) -> Array:
        return self.change(super().predict(params, x))


@pytest.mark.parametrize(
    ("change", "failed"),
    [
        (np.copy, False),
        (lambda y: 3 * y, True),
        (lambda y: y + 1e-6, True),
        (lambda y: y[:, :1], True),
        (lambda y: y * np.nan, True),
    ],
)
def test_a_layers_predict_is_compared_with_its_forward_pass(
    change: Callable[[Array], Array], failed: bool
) -> None:
    *others, predict = check_layer(Predicting(change), inputs=3, rng=np.random.default_rng(0))
    assert (predict.tensor, predict.failed, predict.unjudged) == ("predict", failed, "")
    assert not list(failures(others))


class PredictingOverflow(Overflowing):
    def predict(self, params: Views, x: Array) -> Array:
        return x


def test_a_forward_pass_that_is_not_finite_leaves_predict_unjudged() -> None:
    _, predict = check_layer(PredictingOverflow(), inputs=3, rng=np.random.default_rng(0))
    assert (predict.unjudged, predict.failed) == ("values that are not finite", False)


def test_the_command_compares_the_outputs_of_all_parts_that_have_a_wrong_predict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = lambda self, params, x: 3 * x * params["gain"]  # noqa: E731
    monkeypatch.setattr(RMSNorm, "predict", wrong, raising=False)
    checks = check(["model.depth=2", "model.width=4", "norm=pre_rms"])
    failed = {part: [c.tensor for c in failures(rows)] for part, rows in checks.items()}
    assert {part for part, names in failed.items() if names == ["predict"]} == {
        *("norm", "block", "stack of depth 2")
    }
    assert sum(map(len, failed.values())) == 3


@pytest.mark.parametrize(("more", "failed"), [(0.0, False), (5.0, True)])
def test_a_losss_value_alone_is_compared_with_the_one_beside_its_gradient(
    more: float, failed: bool
) -> None:
    class Shifted(MSE):
        def value(self, y: Array, targets: Array) -> float:
            return super().value(y, targets) + more

    rng = np.random.default_rng(0)
    targets = rng.normal(size=(5, 2))
    assert not check_loss(Shifted(), targets, rng).failed  # a constant has no derivative
    assert check_loss_value(Shifted(), targets, rng).failed == failed
