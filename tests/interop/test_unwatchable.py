"""What ``watch`` refuses, since a row would be wrong or incomplete."""

from __future__ import annotations

import copy
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffn_train
from ffn_train.config.settings import SettingError
from ffn_train.runs import load_run
from ffn_train.runs.lock import in_use
from ffn_train.runs.status import Status, status

try:
    import torch
except ImportError:
    pytest.skip("PyTorch is not installed (extra 'torch')", allow_module_level=True)

import torch.nn.functional as F
from torch import Tensor, nn

from ffn_train.interop.torch.blocks import Unwatchable, find
from ffn_train.interop.torch.watcher import Watch
from tests.interop.loops import loss_of, train, watched
from tests.interop.networks import WIDTH, Net, network

# which blocks


def test_how_blocks_are_named() -> None:
    model, _ = network("resnet")
    usual = ["layers.0", "layers.1", "layers.2"]
    assert list(find(model, None)) == usual
    assert list(find(model, "layers.*")) == usual
    assert list(find(model, "layers.*.conv1")) == [f"{name}.conv1" for name in usual]
    assert list(find(model, ["layers.2", model.layers[0]])) == ["layers.2", "layers.0"]
    assert list(find(model, (layer for layer in model.layers))) == usual


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("layer.*", r"no module has such a name; containers: layers \(3 Residual\)"),
        (["layers.0", "layers.9"], "'layers.9' is not a module inside the model"),
        (nn.ReLU, r"<class .*ReLU'>: a class is not a module inside the model; containers: layers"),
        ([nn.ReLU], r"\[<class .*ReLU'>\]: a class is not a module inside the model"),
        ([nn.ReLU()], "'ReLU' is not a module inside the model"),
        (["layers.0", "layers.0.up"], r"layers\.0\.up lies within layers\.0"),
        (["layers.0", "layers.0"], "are the same module"),
        (3, "blocks must be a list, got 3"),
    ],
)
def test_blocks_that_are_not_there(blocks: Any, message: str, tmp_path: Path) -> None:
    model, _ = network("mlp")
    with pytest.raises(SettingError, match=message):
        ffn_train.watch(model, blocks, path=tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scalars": "validation_loss"}, "scalars must be a list"),
        ({"config": {"lr": np.nan}}, "config must hold numbers"),
        ({"baseline_loss": "0.5"}, "baseline_loss must be one number"),
        ({"logger": "csv"}, "logger must be a Logger"),
        ({"first": -1}, "first must be an integer >= 0"),
        ({"split": "yes"}, "split must be True, False or None, got 'yes'"),
        ({"scaler": "x"}, "scaler must be a torch.amp.GradScaler, got 'x'"),
        ({"model": "x"}, "model must be a torch.nn.Module, got 'x'"),
    ],
)
def test_what_is_declared_is_checked_at_once(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model, _ = network("mlp")
    with pytest.raises(SettingError, match=message):
        ffn_train.watch(
            **{"model": model, "blocks": "layers.*", "path": tmp_path / "run", **options}
        )


# what cannot be watched


class Obstacle(Net):
    """A network that does something that no boundary would be seen right of."""

    def __init__(self, kind: str) -> None:
        model, _ = network("mlp")
        super().__init__(list(model.layers), model.inputs, model.outputs)
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        from torch.utils.checkpoint import checkpoint

        x = start = self.inputs(x)
        for index, block in enumerate(self.layers):
            if self.kind in ("reentrant", "checkpoint"):
                x = checkpoint(block, x, use_reentrant=self.kind == "reentrant")
            elif self.kind == "skipped" and index == 1:
                continue
            elif self.kind == "detached" and index == 2:
                x = block(x.detach())
            elif self.kind == "heads":
                x = x + block(start)
            elif self.kind == "towers" and index == 2:
                x = x * block(2 * start)
            else:
                x = block(x)
            if self.kind == "twice" and index == 1:
                x = block(x)
        if self.kind == "order":
            x = self.layers[0](x)
        result: Tensor = self.outputs(x)
        return result


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("reentrant", r"layers\.0 is checkpointed|layers\.2 is checkpointed"),
        ("checkpoint", r"layers\.2 is checkpointed"),
        ("twice", r"layers\.1 is called twice within one forward pass"),
        ("order", r"layers\.0 is called twice"),
        ("skipped", r"calls layers\.2 where layers\.1 is expected"),
        ("heads", r"layers\.1 is not given what layers\.0 returned"),
        ("towers", r"layers\.2 is not given what layers\.1 returned"),
        ("detached", r"gave no gradient to the input of up in layers\.0"),
    ],
)
def test_a_pass_with_a_hole_is_refused(kind: str, message: str, tmp_path: Path) -> None:
    _, x = network("mlp")
    with pytest.raises(Unwatchable, match=message):
        watched(Obstacle(kind), x, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("default")  # those of the compiler
def test_compiled_code_is_refused(tmp_path: Path) -> None:
    model, x = network("mlp")
    compiled: Any = torch.compile(model, backend="eager")
    with pytest.raises(Unwatchable, match=r"the model \(OptimizedModule\) is compiled"):
        ffn_train.watch(compiled, path=tmp_path / "run")
    compiled(x)
    run = ffn_train.watch(model, "layers.*", path=tmp_path / "run")
    with pytest.raises(Unwatchable, match="the model is compiled, or called by compiled code"):
        train(compiled, x, run)
    run.close()
    model.layers[1].compile(backend="eager")
    with pytest.raises(Unwatchable, match=r"layers\.1 \(Residual\) is compiled"):
        ffn_train.watch(model, "layers.*", path=tmp_path / "run")


@pytest.mark.filterwarnings("default")  # those of the compiler
@pytest.mark.parametrize("name", ["", "layers.1", "layers.1.up"])
def test_what_is_compiled_later_is_refused(name: str, tmp_path: Path) -> None:
    model, x = network("mlp")
    run = ffn_train.watch(model, "layers.*", path=tmp_path / "run")
    model.get_submodule(name).compile(backend="eager")
    message = f"{name or 'the model'} is compiled, or called by compiled code"
    with pytest.raises(Unwatchable, match=message):
        train(model, x, run)
    run.close()


@pytest.mark.filterwarnings("default")  # those of the compiler
def test_a_compiled_model_may_evaluate(tmp_path: Path) -> None:
    model, x = network("mlp")
    compiled: Any = torch.compile(model, backend="eager")
    with ffn_train.watch(model, "layers.*", path=tmp_path / "run") as run, torch.no_grad():
        compiled(x)
        with torch.enable_grad():
            train(model, x, run)


class FullyShardedDataParallel(nn.Module):
    """Stands in for PyTorch's, which needs several processes."""


class DTensor(nn.Parameter):
    """Stands in for PyTorch's."""


def test_without_blocks_or_shapes_the_reason_is_told(tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    message = r"blocks=None: a block has submodules, and no nn\.ModuleList or nn\.Sequential holds"
    with pytest.raises(SettingError, match=message):
        ffn_train.watch(plain, path=tmp_path / "run")
    model, _ = network("mlp")
    model.layers[1].up = nn.LazyLinear(16)
    with pytest.raises(Unwatchable, match=r"^layers\.1\.up\.weight has no shape yet"):
        ffn_train.watch(model, "layers.*", path=tmp_path / "run")


def test_shards_and_scripts_are_refused(tmp_path: Path) -> None:
    for name, module, message in (
        ("wrapper", FullyShardedDataParallel(), "wrapper .* trains on shards"),
        ("copies", nn.DataParallel(nn.Linear(2, 2)), "copies .* trains on shards"),
    ):
        model, _ = network("mlp")
        model.add_module(name, module)
        with pytest.raises(Unwatchable, match=message):
            ffn_train.watch(model, "layers.*", path=tmp_path / "run")
    model, _ = network("mlp")
    model.layers[2].up.bias = DTensor(torch.zeros(16))
    with pytest.raises(Unwatchable, match=r"layers\.2\.up\.bias is a shard"):
        ffn_train.watch(model, "layers.*", path=tmp_path / "run")


def a_row_for_ten_steps(model: Net, x: Tensor, run: Watch) -> None:
    train(model, x, None, steps=10)
    run.log(0.0)


def two_backward_passes(model: Net, x: Tensor, run: Watch) -> None:
    loss = loss_of(model, x)
    loss.backward(retain_graph=True)
    loss.backward()


def several_gradients_within_a_step(model: Net, x: Tensor, run: Watch) -> None:
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, x)
        loss.backward()
        return loss

    optimizer.step(closure)


def optimizers_in_turn(model: Net, x: Tensor, run: Watch) -> None:
    for part in (model.inputs, model.outputs):
        loss_of(model, x).backward()
        torch.optim.SGD(part.parameters(), lr=0.1).step()


def gradients_of_some_discarded(model: Net, x: Tensor, run: Watch) -> None:
    loss_of(model, x).backward()
    model.inputs.zero_grad()
    loss_of(model, x).backward()


def gradients_discarded_before_the_step(model: Net, x: Tensor, run: Watch) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss_of(model, x).backward()
    optimizer.zero_grad()
    optimizer.step()
    run.log(0.0)


def no_training_mode(model: Net, x: Tensor, run: Watch) -> None:
    model.eval()
    loss_of(model, x).backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    run.log(0.0)


def a_block_in_eval_mode(model: Net, x: Tensor, run: Watch) -> None:
    model.layers[1].eval()
    train(model, x, run)


def no_backward_pass(model: Net, x: Tensor, run: Watch) -> None:
    model(x)
    run.log(0.0)


def no_step(model: Net, x: Tensor, run: Watch) -> None:
    loss_of(model, x).backward()
    run.log(0.0)


def two_rows_for_a_step(model: Net, x: Tensor, run: Watch) -> None:
    train(model, x, run, steps=2)
    run.log(0.0)


def a_copy(model: Net, x: Tensor, run: Watch) -> None:
    train(copy.deepcopy(model), x, run)


def an_untold_scaler(model: Net, x: Tensor, run: Watch) -> None:
    scaler, optimizer = torch.amp.GradScaler("cpu"), torch.optim.SGD(model.parameters(), lr=0.1)
    scaler.scale(loss_of(model, x)).backward()
    scaler.step(optimizer)


def no_parameter_gradients(model: Net, x: Tensor, run: Watch) -> None:
    torch.autograd.grad(loss_of(model, x), list(model.parameters()))
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    run.log(0.0)


def other_parameters(model: Net, x: Tensor, run: Watch) -> None:
    loss_of(model, x).backward()
    model.inputs.requires_grad_(requires_grad=False)
    torch.optim.SGD(model.layers.parameters(), lr=0.1).step()
    run.log(0.0)


def a_closed_watch(model: Net, x: Tensor, run: Watch) -> None:
    run.close()
    train(model, x, run)


@pytest.mark.parametrize(
    ("loop", "message"),
    [
        (a_row_for_ten_steps, "has taken 2 steps since the last row; call run.log after each"),
        (two_backward_passes, "two backward passes go through one forward pass"),
        (several_gradients_within_a_step, "evaluates several gradients within a step"),
        (optimizers_in_turn, "step 0: a backward pass lies between the steps of two optimizers"),
        (gradients_of_some_discarded, r"the gradient of inputs\.\w+ was discarded, and that"),
        (gradients_discarded_before_the_step, "discarded before the step"),
        (no_training_mode, r"step 0 is due, but layers\.2 ran in eval mode"),
        (a_block_in_eval_mode, r"step 0 is due, but layers\.1 ran in eval mode"),
        (no_backward_pass, "step 0 is due, but no backward pass reached the blocks"),
        (no_step, "step 0 is due, but no optimizer has taken it"),
        (two_rows_for_a_step, "step 2: no optimizer has taken a step since the last row; call"),
        (a_copy, "nor does a copy of the model"),
        (an_untold_scaler, "a gradient scaler multiplies the loss: pass it as scaler="),
        (no_parameter_gradients, "gave no parameter a gradient"),
        (other_parameters, r"step 0: inputs\.weight was replaced, frozen or unfrozen before"),
        (a_closed_watch, "the watch is closed"),
    ],
)
def test_a_loop_that_is_not_seen_whole_is_refused(
    loop: Callable[[Net, Tensor, Watch], None], message: str, tmp_path: Path
) -> None:
    model, x = network("mlp")
    run = ffn_train.watch(model, "layers.*", path=tmp_path / "run")
    with pytest.raises(Unwatchable, match=message):
        loop(model, x, run)
    run.close()


@pytest.mark.parametrize("every", [1, 50])  # with hooks on the model after the row, and without
def test_a_block_has_one_open_watch(every: int, tmp_path: Path) -> None:
    model, x = network("mlp")
    run = ffn_train.watch(model, "layers.*", path=tmp_path / "one", every=every)
    train(model, x, run)
    message = r"^block layers\.1 is watched already \(path=.*one\): close that watch first"
    with pytest.raises(Unwatchable, match=message):
        ffn_train.watch(model, ["layers.1"], path=tmp_path / "two", every=every)
    with pytest.raises(SettingError, match="one is in use by another run of this process"):
        watched(network("mlp")[0], x, tmp_path / "one")
    train(model, x, run)  # which goes on
    assert run.close() is not None
    expected = watched(copy.deepcopy(model), x, tmp_path / "three", every=every)
    np.testing.assert_array_equal(
        watched(model, x, tmp_path / "two", every=every)["signal_rms"].values,
        expected["signal_rms"].values,
    )
    assert len(load_run(tmp_path / "one").scalars["step"]) == 6


def test_other_blocks_of_a_model_may_have_a_watch_of_their_own(tmp_path: Path) -> None:
    model, x = network("mlp")
    whole = watched(copy.deepcopy(model), x, tmp_path / "whole")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        ffn_train.watch(model, ["layers.0"], path=tmp_path / "first", every=1) as first,
        ffn_train.watch(model, ["layers.1"], path=tmp_path / "second", every=1) as second,
    ):
        for _ in range(3):
            loss = loss_of(model, x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first.log(loss)
            second.log(loss)
    measures = load_run(tmp_path / "second").measures
    np.testing.assert_array_equal(measures["signal_rms"].values, whole["signal_rms"].values[:, 1:3])


@pytest.mark.parametrize("every", [1, 50])
def test_a_watch_that_nothing_refers_to_is_gone(every: int, tmp_path: Path) -> None:
    model, x = network("mlp")

    def cell() -> None:
        run = ffn_train.watch(model, "layers.*", path=tmp_path / "lost", every=every)
        train(model, x, run)

    cell()
    gc.collect()
    assert not any(module._forward_pre_hooks for module in model.modules())
    assert not in_use(tmp_path / "lost")
    assert status(tmp_path / "lost") == Status("interrupted", "killed")
    assert len(load_run(tmp_path / "lost").scalars["step"]) == 3
    watched(model, x, tmp_path / "next")
    assert load_run(tmp_path / "next").state == "finished"


class Odd(nn.Module):
    """A block of a kind that cannot be taken apart."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.act, self.tanh = kind, nn.ReLU(inplace=True), nn.Tanh()
        self.layer, self.weight = nn.Linear(WIDTH, WIDTH), nn.Parameter(torch.eye(WIDTH))

    def forward(self, x: Tensor) -> Any:
        if self.kind == "no submodule":
            return x + F.linear(x, self.weight)
        if self.kind == "in place":
            return x + self.layer(self.act(x))
        if self.kind == "in place by itself":
            y = self.layer(self.tanh(x))
            x += y
            return x
        if self.kind == "in place at first":
            x *= 2
            return x + self.layer(x)
        if self.kind == "no tensor":
            return {"hidden": x + self.layer(x)}
        y = self.layer(x)
        return (x + y).detach()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("no submodule", "layers.0: none of its submodules reads its input"),
        ("in place", "layers.0: act changes the block's input in place"),
        ("in place by itself", "layers.0 changes its input in place"),
        ("in place at first", "layers.0 changes its input in place"),
        ("no tensor", "layers.0 returns no tensor that has a gradient"),
        ("detached", "layers.0 returns no tensor that has a gradient"),
        ("two branches", r"layers.0 has 2 branches: ln_1 reads its input and ln_2 a later sum"),
        ("numbers", "layers.0 is called with no tensor of floating-point numbers"),
    ],
)
def test_a_block_that_cannot_be_taken_apart_is_refused(
    kind: str, message: str, tmp_path: Path
) -> None:
    model, x = network("pre_norm" if kind == "two branches" else "mlp")
    if kind == "numbers":
        model.inputs = nn.Flatten(0)
        model.layers[0] = nn.Embedding(5, WIDTH)
        x = torch.arange(5)
    elif kind != "two branches":
        model.layers[0] = Odd(kind)
    with pytest.raises(Unwatchable, match=message):
        watched(model, x, tmp_path / "run")


def test_a_change_of_an_input_without_a_gradient_is_refused(tmp_path: Path) -> None:
    model, x = network("mlp")
    model.layers[0] = Odd("in place by itself")
    model.inputs.requires_grad_(requires_grad=False)
    loss_of(model, x)
    with pytest.raises(Unwatchable, match=r"layers\.0 changes its input in place"):
        watched(model, x, tmp_path / "run")


def test_pytorch_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        SettingError, match=r"watch needs PyTorch: pip install 'ffn_train\[torch\]'"
    ):
        ffn_train.watch(nn.Linear(2, 2), path=tmp_path / "run")
