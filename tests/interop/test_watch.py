"""What ``watch`` sees of PyTorch networks, compared with other ways there."""

from __future__ import annotations

import copy
import io
import pickle
import re
import runpy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffn_train
from ffn_train.compare import Options, collect
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError
from ffn_train.nn.blocks.residual import Residual
from ffn_train.plots import draw
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import load_run
from tests.support.choices import settings
from tests.support.small_runs import config, run_in

try:
    import torch
except ImportError:
    pytest.skip("PyTorch is not installed (extra 'torch')", allow_module_level=True)

import torch.nn.functional as F
from torch import Tensor, nn

from ffn_train.interop.torch.blocks import Unwatchable
from tests.interop import networks
from tests.interop.loops import loss_of, train, watched
from tests.interop.networks import SPLIT, WIDTH, Kept, Net, network

KINDS = ("mlp", "plain", "shared", "resnet", *SPLIT)
ROUNDED = {"skip_gradient_rms": 1e-3, "branch_gradient_rms": 1e-2}  # relative errors in bfloat16


# against this package's own backward pass


def normed(name: str, width: int) -> nn.Module:
    return nn.Identity() if name == "none" else nn.LayerNorm(width, settings("norm", name)["eps"])


class Block(nn.Module):
    """A block of this package's stack, written from its equation."""

    def __init__(self, width: int, hidden: int, norm: str, act: nn.Module, s: float, a: float):
        super().__init__()
        self.up, self.act, self.down = nn.Linear(width, hidden), act, nn.Linear(hidden, width)
        self.norm = normed(norm, width)
        self.pre, self.s, self.a = norm.startswith("pre"), s, a

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(self.act(self.up(self.norm(x) if self.pre else x)))
        z = self.s * x + self.a * y if self.s else y
        result: Tensor = z if self.pre else self.norm(z)
        return result


class Stack(nn.Module):
    """This package's stack, of the shapes of its tensors."""

    def __init__(self, shapes: dict[str, Any], residual: Residual, norm: str, act: nn.Module):
        super().__init__()
        depth = sum(name.endswith("up.weight") for name in shapes)
        (width, inputs), hidden = shapes["input.weight"], shapes["blocks.0.up.weight"][0]
        s, a = residual.skip(depth), residual.multiplier(depth)
        self.input = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(Block(width, hidden, norm, act, s, a) for _ in range(depth))
        self.final_norm = normed(norm if norm.startswith("pre") else "none", width)
        self.output = nn.Linear(width, shapes["output.weight"][0])

    def forward(self, x: Tensor) -> Tensor:
        x = self.input(x)
        for block in self.blocks:
            x = block(x)
        result: Tensor = self.output(self.final_norm(x))
        return result


@pytest.mark.parametrize(
    ("residual", "norm", "activation"),
    [
        ("identity", "pre_layer", "gelu"),
        ("scaled", "post_layer", "relu"),
        ("scaled", "none", "gelu"),
        ("none", "none", "relu"),
    ],
)
def test_a_whole_run_is_that_of_this_package(
    residual: str, norm: str, activation: str, tmp_path: Path
) -> None:
    choices = {"residual": residual, "norm": norm, "activation": activation}
    chosen: dict[str, Any] = {group: settings(group, name) for group, name in choices.items()}
    chosen |= {"dtype": "float64", "trainer": {"steps": 4, "clip": None}, "measure": {"every": 1}}
    chosen["optimizer"] = {**settings("optimizer", "sgd"), "lr": 0.1}
    chosen["schedule"] = settings("schedule", "constant")
    experiment = build_experiment(config(**chosen))
    ours = run_in(tmp_path / "ours", config(**chosen)).measures

    act = {"relu": nn.ReLU(), "gelu": nn.GELU()}[activation]  # one module in all blocks
    weights = experiment.model.layout.named(experiment.params.vector)
    shapes = {name: array.shape for name, array in weights.items()}
    model = Stack(shapes, build("residual", chosen["residual"]), norm, act).double()
    rename = {"gain": "weight", "shift": "bias"}

    def theirs(name: str) -> str:
        owner, _, role = name.rpartition(".")
        return f"{owner}.{rename.get(role, role)}"

    model.load_state_dict({theirs(k): torch.tensor(v) for k, v in weights.items()})
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=chosen["optimizer"]["momentum"]
    )
    with ffn_train.watch(model, "blocks.*", path=tmp_path / "theirs", every=1) as run:
        for step in range(4):
            x, y = map(torch.tensor, experiment.trainer.batches.at(step))
            loss = F.mse_loss(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss)
    measures = load_run(tmp_path / "theirs").measures
    names = [tensor.name for tensor in measures.tensors]
    order = [names.index(theirs(tensor.name)) for tensor in ours.tensors]
    for name, series in ours.series.items():
        assert bool(series.column.absent) == bool(measures.lacks(name)), name
        if not series.column.absent:
            values = measures[name].values
            values = values[:, order] if series.column.per == "tensor" else values
            np.testing.assert_allclose(values, series.values[:4], rtol=1e-9, err_msg=name)
    assert measures.layers == ours.layers or norm.startswith("pre")


# against retain_grad


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def rms(tensor: Tensor) -> float:
    return float(tensor.detach().double().square().mean().sqrt())


def reference(model: Net, x: Tensor) -> dict[str, list[float]]:
    """The values of a step from gradients that are kept; every skip path here is the identity."""
    kept: dict[str, list[Tensor]] = {"signal": [], "sum": []}
    for module in model.modules():
        if isinstance(module, Kept):
            module.keep = lambda kind, tensor: kept[kind].append(tensor)
    loss_of(model, x).backward()
    for module in model.modules():
        if isinstance(module, Kept):
            module.keep = None
    signals, sums = kept["signal"], [gradient(each) for each in kept["sum"]]
    branches = [gradient(each) - skip for each, skip in zip(signals, sums, strict=False)]
    return {
        "signal_rms": list(map(rms, signals)),
        "signal_gradient_rms": [rms(gradient(each)) for each in signals],
        "skip_gradient_rms": list(map(rms, sums)),
        "branch_gradient_rms": list(map(rms, branches)),
        "gradient_norm": [
            float(p.grad.double().norm())
            for _, p in model.named_parameters(remove_duplicate=False)
            if p.grad is not None
        ],
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_kept_gradients(kind: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model, x = network(kind)
    model, x = model.to(dtype), x.to(dtype)
    expected = reference(copy.deepcopy(model), x)
    measures = watched(model, x, tmp_path / "run", split=kind in SPLIT or None)
    if kind == "plain":
        assert measures.lacks("skip_gradient_rms").startswith("does not apply: no block adds")
        del expected["skip_gradient_rms"], expected["branch_gradient_rms"]
    for name, values in expected.items():
        # where T = S + B is rounded to 8 bits, so are the parts that are told from it
        rounding = ROUNDED.get(name, 1e-6) if dtype == torch.bfloat16 else 1e-6
        np.testing.assert_allclose(measures[name].values[0], values, rtol=rounding, err_msg=name)


class Beside(networks.Residual):
    """A block that is given another tensor before its signal, or returns one before it."""

    def forward(self, *given: Tensor) -> Any:
        x = given[-1]
        y = self.down(self.act(self.up(x) + sum(self.up(other) for other in given[:-1])))
        z = self.mark("sum", x + y)
        return z if given[:-1] else (y, z)


class Between(Net):
    """A network whose blocks have more than the signal between them."""

    def __init__(self, kind: str, depth: int = 3) -> None:
        torch.manual_seed(0)
        linear = nn.Linear(5, WIDTH), nn.Linear(WIDTH, 2)
        super().__init__([Beside() for _ in range(depth)], *linear)
        self.kind = kind
        self.first = nn.Parameter(torch.ones(6, WIDTH), requires_grad="parameter" in kind)

    def forward(self, x: Tensor) -> Tensor:
        first, total = self.inputs(2 * x), torch.zeros(())
        if "parameter" in self.kind:
            first = self.first
        x = self.inputs(x)
        for block in self.layers:
            x = self.mark("signal", x.clone() if "computed" in self.kind else x)
            if "given" in self.kind:
                x = block(first, x)
            else:
                y, x = block(x)
                total = total + y.square().mean()
        result: Tensor = self.outputs(self.mark("signal", x)) + total
        return result


@pytest.mark.parametrize("kind", ["given", "given, computed", "given, parameter", "returned"])
def test_the_signal_is_what_goes_from_block_to_block(kind: str, tmp_path: Path) -> None:
    model, x = Between(kind), network("mlp")[1]
    expected = reference(copy.deepcopy(model), x)
    measures = watched(model, x, tmp_path / "run")
    for name, values in expected.items():
        np.testing.assert_allclose(measures[name].values[0], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize(
    ("kind", "depth", "message"),
    [
        ("given", 1, r"layers\.0 is given 2 tensors and returns 1, and which of them are its"),
        (
            "returned",
            1,
            r"layers\.0 is given 1 tensor and returns 2, .* put the others into a tuple",
        ),
        ("returned, computed", 2, r"layers\.0 is given 1 tensor and returns 2"),
    ],
)
def test_what_may_be_the_signal_is_not_guessed(
    kind: str, depth: int, message: str, tmp_path: Path
) -> None:
    model, x = Between(kind, depth), network("mlp")[1]
    with pytest.raises(Unwatchable, match=message):
        watched(model, x, tmp_path / "run")


@pytest.mark.parametrize("factor", [2.0**-664, 2.0**664])  # whose square no float64 can hold
def test_gradients_far_from_1_keep_their_size(factor: float, tmp_path: Path) -> None:
    seen = []
    for times in (1.0, factor):
        model, x = network("mlp")
        model, x = model.double(), x.double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        with ffn_train.watch(model, "layers.*", path=tmp_path / str(times)) as run:
            (times * model(x).square().mean()).backward()
            optimizer.step()
            run.log(1.0)
        seen.append(load_run(tmp_path / str(times)).measures)
    parts = [f"{part}_gradient_rms" for part in ("signal", "skip", "branch")]
    for name in ("gradient_norm", *parts):
        usual, far = (measures[name].values[0] for measures in seen)
        assert (usual > 0).all()
        np.testing.assert_allclose(far, factor * usual, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_training_goes_on_as_if_nobody_watched(kind: str, tmp_path: Path) -> None:
    model, x = network(kind)
    alone = copy.deepcopy(model)
    watched(model, x, tmp_path / "run", split=kind in SPLIT or None)
    train(alone, x, None)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_bypasses_a_block_changes_its_skip_part_alone(tmp_path: Path) -> None:
    """The skip path of one block is weighted by 3 in the backward pass alone."""
    parts = []
    for factor in (1.0, 3.0):
        model, x = network("mlp")

        def forward(self: networks.Residual, x: Tensor, factor: float = factor) -> Tensor:
            skip = factor * x - (factor - 1) * x.detach()
            return skip + self.down(self.act(self.up(x)))

        model.layers[1].forward = forward.__get__(model.layers[1])
        measures = watched(model, x, tmp_path / str(factor))
        parts.append([measures[f"{p}_gradient_rms"].values[0, 1:] for p in ("skip", "branch")])
    (skip, branch), (changed, same) = parts
    np.testing.assert_allclose(changed, [3 * skip[0], skip[1]], rtol=1e-6)
    np.testing.assert_allclose(same, branch, rtol=1e-6)


def test_dead_units_are_counted(tmp_path: Path) -> None:
    model, x = network("mlp")
    with torch.no_grad():
        model.layers[1].up.weight[:4] = 0
        model.layers[1].up.bias[:4] = -1.0
    hidden: list[Tensor] = []
    for block in model.layers:
        block.act.register_forward_hook(lambda m, a, output: hidden.append(output))
    model(x)
    dead = [float((h <= 0).all(0).double().mean()) for h in hidden[::1]]
    measures = watched(model, x, tmp_path / "run")
    assert dead[1] >= 0.25
    np.testing.assert_allclose(measures["dead_share"].values[0], dead)


# ordinary loops


def test_several_passes_before_a_step_are_one_step(tmp_path: Path) -> None:
    model, x = network("mlp")
    whole = watched(copy.deepcopy(model), x, tmp_path / "whole")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        for step in range(3):
            optimizer.zero_grad()
            if step == 1:  # two forward passes, and one backward pass through both
                (loss_of(model, x[:2]) / 3 + loss_of(model, x[2:]) * 2 / 3).backward()
            for part in x.split(2) if step != 1 else ():
                (loss_of(model, part) / 3).backward()
            optimizer.step()
            run.log(0.0)
    accumulated = load_run(tmp_path / "run").measures
    for name, series in whole.series.items():
        np.testing.assert_allclose(
            accumulated[name].values, series.values, rtol=2e-5, atol=1e-8, err_msg=name
        )


def test_evaluation_is_not_watched_and_raises_nothing(tmp_path: Path) -> None:
    model, x = network("mlp")
    alone = watched(copy.deepcopy(model), x, tmp_path / "alone")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options: Any = {"path": tmp_path / "run", "every": 1, "scalars": ["validation_loss"]}
    with ffn_train.watch(model, "layers.*", **options) as run:
        for _ in range(3):
            with torch.no_grad():
                model(2 * x)
            loss = loss_of(model, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            model.eval()
            validation = loss_of(model, 3 * x)
            with torch.inference_mode():
                model(x)
            model.train()
            run.log(loss, validation_loss=validation)
    seen = load_run(tmp_path / "run")
    for name, series in alone.series.items():
        np.testing.assert_array_equal(seen.measures[name].values, series.values, err_msg=name)
    assert not np.isnan(seen.scalars["validation_loss"]).any()


def discarded(model: Net, x: Tensor, *, to_none: bool) -> None:
    x = x.clone().requires_grad_()
    (3 * loss_of(model, x)).backward()
    assert x.grad is not None
    model.zero_grad(set_to_none=to_none)


def of_the_input_alone(model: Net, x: Tensor) -> None:
    x = x.clone().requires_grad_()
    torch.autograd.grad(3 * loss_of(model, x), x)


def in_eval_mode(model: Net, x: Tensor) -> None:
    model.eval()
    discarded(model, x, to_none=True)
    model.train()


@pytest.mark.parametrize(
    "other",
    [
        partial(discarded, to_none=True),
        partial(discarded, to_none=False),
        of_the_input_alone,
        in_eval_mode,
    ],
)
def test_backward_passes_that_the_update_does_not_use_are_left_out(
    other: Callable[[Net, Tensor], None], tmp_path: Path
) -> None:
    model, x = network("mlp")
    alone = watched(copy.deepcopy(model), x, tmp_path / "alone")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        for place in ("before", "between", "after"):
            if place == "before":
                other(model, 2 * x)
            loss = loss_of(model, x)
            if place == "between":
                other(model, 2 * x)
            optimizer.zero_grad(set_to_none=False)
            loss.backward()
            optimizer.step()
            if place == "after":
                other(model, 2 * x)
            run.log(loss)
    measures = load_run(tmp_path / "run").measures
    for name, series in alone.series.items():
        np.testing.assert_array_equal(measures[name].values, series.values, err_msg=name)


def test_the_gradient_is_the_one_that_the_update_uses(tmp_path: Path) -> None:
    """The weights are moved before the second pass and back after it, as SAM does."""
    model, x = network("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected: dict[str, list[float]] = {}

    def second_pass() -> Tensor:
        with torch.no_grad():
            for parameter, step in zip(model.parameters(), steps, strict=True):
                parameter.add_(step)
        expected.update(reference(copy.deepcopy(model), x))
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        with torch.no_grad():
            for parameter, step in zip(model.parameters(), steps, strict=True):
                parameter.sub_(step)
        return loss

    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        for closure in (False, True):  # within the optimizer's step
            optimizer.zero_grad()
            loss_of(model, x).backward()
            steps = [0.1 * gradient(parameter) for parameter in model.parameters()]
            if closure:
                optimizer.step(second_pass)
            else:
                second_pass()
                optimizer.step()
            run.log(0.0)
            measures = load_run(tmp_path / "run").measures
            for name, values in expected.items():
                seen = measures[name].values[-1]
                np.testing.assert_allclose(seen, values, rtol=1e-6, err_msg=name)


def test_steps_that_are_not_due_have_no_hooks(tmp_path: Path) -> None:
    model, x = network("mlp")
    every = watched(copy.deepcopy(model), x, tmp_path / "every")
    third = watched(model, x, tmp_path / "third", every=2)
    assert third["signal_rms"].step.tolist() == [0, 2]
    np.testing.assert_array_equal(third["signal_rms"].values, every["signal_rms"].values[::2])
    again, x = network("mlp")
    with ffn_train.watch(again, "layers.*", path=tmp_path / "hooks", every=2) as run:
        hooks = []
        for _ in range(3):
            hooks.append(sum(len(module._forward_pre_hooks) for module in again.modules()))
            train(again, x, run, steps=1)
    assert hooks[0] == hooks[2] > 0 == hooks[1]


def test_numbers_are_kept_as_they_are(tmp_path: Path) -> None:
    model, x = network("mlp")
    options: Any = {"path": tmp_path / "run", "scalars": ["validation_loss"]}
    with ffn_train.watch(model, "layers.*", **options) as run:
        train(model, x, None, steps=1)
        run.log(0.1, validation_loss=1e39)
        train(model, x, None, steps=1)
        wrong: list[tuple[Any, str]] = [(None, "None"), (x[0], r"an array of the shape \(5,\)")]
        for value, got in wrong:
            with pytest.raises(SettingError, match=f"loss of step 1 must be one number, got {got}"):
                run.log(value)
        run.log(torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True))
    scalars = (tmp_path / "run" / "scalars.csv").read_text()
    assert scalars.splitlines()[1:3] == ["0,0.1,0.1,1e+39", "1,0.5,0.1,"]
    assert load_run(tmp_path / "run").state == "finished"


class Calling(torch.optim.SGD):
    """An optimizer whose step calls its parent class's: PyTorch calls hooks for both."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


def test_rows_are_numbered_by_the_steps_of_the_optimizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, x = network("mlp")
    parts = [model.inputs, model.layers, model.outputs]
    torch.optim.SGD(model.parameters())  # the first of a class has PyTorch call hooks for its step
    optimizers = [Calling(part.parameters(), lr=0.1) for part in parts]
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=2) as run:
        for _ in range(5):
            loss = loss_of(model, x)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            run.log(loss)
    assert load_run(tmp_path / "run").scalars["step"].tolist() == [0, 1, 2, 3, 4]
    assert not capsys.readouterr().err
    with ffn_train.watch(model, "layers.*", path=tmp_path / "none"):
        train(model, x, None, steps=1)
    assert "no step was logged (run.log), so that nothing was" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_an_optimizer_may_be_given_the_model_later(tmp_path: Path) -> None:
    model, x = network("mlp")
    other = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([other], lr=0.25)
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        other.grad = torch.ones(1)
        optimizer.step()
        optimizer.add_param_group({"params": list(model.parameters()), "lr": 0.125})
        for _ in range(2):
            loss = loss_of(model, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss)
    scalars = load_run(tmp_path / "run").scalars
    assert scalars["step"].tolist() == [0, 1]
    assert np.isfinite(scalars["lr"]).all()


@pytest.mark.parametrize("fused", [False, True])  # which skips the scaler's steps itself
def test_a_gradient_scaler_is_divided_out_and_its_left_out_steps_have_no_row(
    fused: bool, tmp_path: Path
) -> None:
    model, x = network("mlp")
    alone = watched(copy.deepcopy(model), x, tmp_path / "alone")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1000)
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1, scaler=scaler) as run:
        for step in range(5):
            optimizer.zero_grad()
            loss = loss_of(model, x) * (float("inf") if step in (0, 2) else 1.0)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            run.log(loss)
    seen = load_run(tmp_path / "run").measures
    assert seen["signal_rms"].step.tolist() == [0, 1, 2]
    for name, series in alone.series.items():
        np.testing.assert_allclose(seen[name].values, series.values, rtol=1e-5, err_msg=name)


def test_copies_of_the_model_are_not_watched(tmp_path: Path) -> None:
    model, x = network("mlp")
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        twin = copy.deepcopy(model)
        stored = io.BytesIO()
        torch.save(model, stored)
        stored.seek(0)
        for other in (twin, torch.load(stored, weights_only=False)):
            loss_of(other, x).backward()
        train(model, x, run)
        assert pickle.loads(pickle.dumps(twin))(x).shape == (6, 2)
    assert load_run(tmp_path / "run").state == "finished"


def test_the_run_is_drawn_compared_and_judged(tmp_path: Path) -> None:
    for kind in ("plain", "mlp"):
        model, x = network(kind)
        watched(model, x, tmp_path / kind, config={"skip": kind == "mlp", "seed": 0})
    notes: list[str] = []
    run = load_run(tmp_path / "mlp")
    drawn = {path.stem for path in draw(run, formats=["svg"], notify=notes.append)}
    assert drawn >= {"gradient_flow", "heatmap", "layers", "loss", "signal", "updates"}
    assert notes == []
    comparison = collect([tmp_path], Options(), notes.append)
    assert comparison.varied == ["skip"]
    assert run.summary is not None
    assert [finding.question for finding in run.summary.verdict] == ["gradient flow"]
    assert run.provenance.dtype == "float32"


def test_shared_and_frozen_parameters(tmp_path: Path) -> None:
    model, x = network("shared")
    model.inputs.requires_grad_(requires_grad=False)  # then x_0 has no gradient of its own
    measures = watched(model, x, tmp_path / "run")
    names = [tensor.name for tensor in measures.tensors]
    assert "inputs.weight" not in names
    places = [names.index(f"layers.{block}.down.weight") for block in range(3)]
    for name in ("gradient_norm", "weight_norm", "update_norm"):
        values = measures[name].values[:, places]
        assert (values == values[:, :1]).all()
    trained = [p.numel() for p in model.parameters() if p.requires_grad]
    assert load_run(tmp_path / "run").provenance.parameters == sum(trained)
    assert (measures["signal_gradient_rms"].values > 0).all()


class Complex(networks.Residual):
    """A block with a complex parameter, as filters of frequencies are."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.full((WIDTH,), 3 + 4j))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.fft.fft(self.down(self.up(x))) * self.filter
        return super().forward(torch.fft.ifft(y).real)


def test_complex_parameters_have_the_norm_of_their_parts(tmp_path: Path) -> None:
    model, x = network("mlp")
    model.layers[1] = Complex()
    first = copy.deepcopy(model)
    loss_of(first, x).backward()
    measures = watched(model, x, tmp_path / "run")
    place = [tensor.name for tensor in measures.tensors].index("layers.1.filter")
    whole = {name: measures[f"{name}_norm"].values[0, place] for name in ("weight", "gradient")}
    np.testing.assert_allclose(whole["weight"], 5 * WIDTH**0.5, rtol=1e-6)
    np.testing.assert_allclose(whole["gradient"], gradient(first.layers[1].filter).norm().item())
    assert measures["update_norm"].values[0, place] > 0


def test_frozen_blocks_are_refused_at_once(tmp_path: Path) -> None:
    model, x = network("pre_norm")
    model.layers[0].requires_grad_(requires_grad=False)
    message = r"blocks='layers.*': layers.0 has no trained parameter; name the others in blocks="
    with pytest.raises(SettingError, match=message):
        ffn_train.watch(model, "layers.*", path=tmp_path / "run")
    others = watched(model, x, tmp_path / "run", blocks=["layers.1", "layers.2"], split=True)
    assert "layers.0.attn.in_proj_weight" not in [tensor.name for tensor in others.tensors]
    for part in ("ln_2", "mlp"):
        model.layers[1].get_submodule(part).requires_grad_(requires_grad=False)
    with pytest.raises(Unwatchable, match=r"layers.1.ln_2 has no trained parameter: split=False"):
        watched(model, x, tmp_path / "parts", blocks=["layers.1", "layers.2"], split=True)


def test_the_parts_of_split_blocks(tmp_path: Path) -> None:
    for kind, readers in (("pre_norm", ("ln_1", "ln_2")), ("post_norm", ("qkv", "linear1"))):
        model, x = network(kind, depth=2)
        measures = watched(model, x, tmp_path / kind, split=True)
        parts = [f"layers.{block}.{reader}" for block in range(2) for reader in readers]
        assert measures.layers == ("inputs", *parts, "outputs")
        block = {tensor.name: tensor.block for tensor in measures.tensors}
        if kind == "post_norm":
            assert [block[f"layers.1.{n}.bias"] for n in ("qkv", "out", "norm1")] == [2, 2, 2]
            assert [block[f"layers.1.{n}.bias"] for n in ("linear1", "norm2")] == [3, 3]
        else:
            assert block["layers.0.attn.out_proj.bias"] == 0
            assert block["layers.0.mlp.0.bias"] == 1
        whole = watched(network(kind, depth=2)[0], x, tmp_path / f"{kind}2", split=False)
        for name in ("signal_rms", "signal_gradient_rms"):
            np.testing.assert_allclose(
                whole[name].values[0], measures[name].values[0, ::2], rtol=1e-6
            )


def test_a_transformer_of_pytorch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(4, 6, WIDTH)
    measures = watched(model, x, tmp_path / "run", blocks=None, split=True)
    assert measures.layers == tuple(
        f"layers.{block}.{reader}" for block in range(2) for reader in ("self_attn", "linear1")
    )
    assert measures.has("skip_gradient_rms", "branch_gradient_rms")


def test_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(ffn_train.__file__).parent / "interop" / "README.md").read_text("utf-8")
    (code,) = re.findall(r"# my_torch_loop\.py\n.*?(?=```)", text, re.S)
    (tmp_path / "my_torch_loop.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    runpy.run_path("my_torch_loop.py")
    run = load_run("outputs/torch")
    assert run.state == "finished"
    assert run.measures["branch_gradient_rms"].values.shape == (11, 6)
    assert run.measures.layers == ("0", *map(str, range(1, 7)), "7")


# parameters that are frozen, unfrozen or replaced


def unfrozen(model: Net) -> None:
    model.inputs.requires_grad_(requires_grad=True)


def another_frozen(model: Net) -> None:
    model.inputs.requires_grad_(requires_grad=True)
    model.outputs.requires_grad_(requires_grad=False)


def of_another_shape(model: Net) -> None:
    model.outputs = nn.Linear(WIDTH, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unfrozen, r"step 1: inputs\.weight is trained with the shape \(8, 5\); .* not trained"),
        (another_frozen, r"step 1: outputs\.weight is not trained; .* it was trained"),
        (of_another_shape, r"outputs\.weight is trained with the shape \(3, 8\); .* \(2, 8\)"),
    ],
)
def test_the_trained_parameters_stay_those_of_the_first_row(
    change: Callable[[Net], None], message: str, tmp_path: Path
) -> None:
    model, x = network("mlp")
    model.inputs.requires_grad_(requires_grad=False)
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        train(model, x, run, steps=1)
        change(model)
        with pytest.raises(Unwatchable, match=message):
            train(model, x, run, steps=1)
    assert load_run(tmp_path / "run").scalars["step"].tolist() == [0]


@pytest.mark.parametrize("later", [False, True])  # than the first row
def test_what_is_replaced_between_two_steps_is_watched(later: bool, tmp_path: Path) -> None:
    model, x = network("mlp")
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run", every=1) as run:
        if later:
            train(model, x, run, steps=1)
        model.outputs, model.layers[1].up = nn.Linear(WIDTH, 2), nn.Linear(WIDTH, 16)
        expected = reference(copy.deepcopy(model), x)
        train(model, x, run, steps=1)
    measures = load_run(tmp_path / "run").measures
    for name, values in expected.items():
        np.testing.assert_allclose(measures[name].values[-1], values, rtol=1e-6, err_msg=name)
