"""The measures against independent recomputation, from the weights that a run saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.nn.core import Array, Views
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import load_run
from tests.support.made_measures import with_values
from tests.support.small_runs import config, run_in


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"residual": {"name": "none"}},
        {"residual": {"name": "identity"}, "norm": {"name": "pre_rms", "eps": 1e-5}},
        {"residual": {"name": "rezero", "start": 0.3}, "activation": {"name": "relu"}},
        {"norm": {"name": "post_layer", "eps": 1e-5}, "activation": {"name": "tanh"}},
        {"block": {"name": "swiglu"}},
    ],
    ids=["scaled", "none", "pre_rms", "rezero", "post_layer", "swiglu"],
)
def test_last_row_follows_from_the_saved_weights(tmp_path: Path, choices: dict[str, Any]) -> None:
    settings = config(dtype="float64", **choices)
    run = run_in(tmp_path / "run", settings)
    experiment = build_experiment(settings)
    model, trainer = experiment.model, experiment.trainer
    params = model.layout.zeros("float64")
    for name, array in run.weights().items():
        model.layout.named(params.vector)[name][...] = array
    x, targets = trainer.batches.at(trainer.steps)

    # forward, block by block, by the layers' own forward passes
    signals = [model.input.forward(params.part("input"), x)[0]]
    hidden, pullbacks = [], []
    blocks = [params.part(f"blocks.{index}") for index in range(model.depth)]
    for views in blocks:
        y, pullback = model.block.forward(views, signals[-1])
        pullbacks.append(pullback)
        hidden.append(pullback.branch.hidden)
        signals.append(y)
    measures = run.measures
    np.testing.assert_allclose(
        measures["signal_rms"].values[-1], [np.sqrt(np.mean(s**2)) for s in signals], rtol=1e-12
    )
    if model.branch.activation.rectifies:
        dead = [np.mean(~(h > 0).any(axis=0)) for h in hidden]
        np.testing.assert_allclose(measures["dead_share"].values[-1], dead, atol=1e-12)
    else:
        name = model.branch.activation.name
        assert measures.lacks("dead_share") == f"does not apply: {name} does not rectify"

    # gradients by one whole backward pass, signal gradients by centred differences
    grads = model.layout.zeros("float64")
    y, whole = model.forward(params, x)
    loss, dy = trainer.loss.value_and_gradient(y, targets)
    whole(dy, grads)
    expected = [np.linalg.norm(g) for g in model.layout.named(grads.vector).values()]
    np.testing.assert_allclose(measures["gradient_norm"].values[-1], expected, rtol=1e-10)
    expected = [np.linalg.norm(w) for w in model.layout.named(params.vector).values()]
    np.testing.assert_allclose(measures["weight_norm"].values[-1], expected, rtol=1e-12)
    assert run.scalars["gradient_norm"][-1] == pytest.approx(np.linalg.norm(grads.vector))
    assert run.scalars["loss"][-1] == pytest.approx(loss)
    assert measures["update_norm"].step.tolist() == measures["weight_norm"].step.tolist()[:-1]

    rng = np.random.default_rng(1)
    for index in range(model.depth + 1):
        direction = rng.standard_normal(signals[index].shape)

        def value(t: float, index: int = index, direction: Array = direction) -> float:
            z: Array = signals[index] + t * direction
            for views in blocks[index:]:
                z = model.block.forward(views, z)[0]
            if model.final_norm is not None:
                z = model.final_norm.forward(params.part("final_norm"), z)[0]
            out = model.output.forward(params.part("output"), z)[0]
            return trainer.loss.value(out, targets)

        flow = _flow(model, params, x, dy)
        numeric = (value(1e-5) - value(-1e-5)) / 2e-5
        assert np.vdot(flow.dx[index], direction) == pytest.approx(numeric, rel=1e-5, abs=1e-9)
        assert measures["signal_gradient_rms"].values[-1, index] == pytest.approx(
            np.sqrt(np.mean(flow.dx[index] ** 2))
        )
        if index < model.depth and model.block.skip:
            assert flow.skip is not None
            skip, branch = flow.skip[index], flow.branch[index]
            np.testing.assert_allclose(skip + branch, flow.dx[index], rtol=1e-12)
            assert measures["skip_gradient_rms"].values[-1, index] == pytest.approx(
                np.sqrt(np.mean(skip**2))
            )
            assert measures["branch_gradient_rms"].values[-1, index] == pytest.approx(
                np.sqrt(np.mean(branch**2))
            )
    if not model.block.skip:
        assert measures.lacks("skip_gradient_rms") == "does not apply: the blocks have no skip path"


def _flow(model: Stack, params: Views, x: Array, dy: Array) -> SignalGradients:
    grads = model.layout.zeros("float64")
    flow: list[SignalGradients] = []
    model.forward(params, x)[1](dy, grads, observe=flow.append)
    return flow[0]


def test_update_norm_is_that_of_the_step_taken(tmp_path: Path) -> None:
    settings = config(dtype="float64", trainer={"steps": 1})
    run = run_in(tmp_path / "run", settings)
    before = build_experiment(settings)
    start = before.model.layout.named(before.params.vector)
    steps = [np.linalg.norm(w - start[name]) for name, w in run.weights().items()]
    np.testing.assert_allclose(run.measures["update_norm"].values[0], steps, rtol=1e-12)
    layer = run.measures.layers.index("blocks.1")
    change = np.sqrt(
        sum(
            np.sum((w - start[n]) ** 2)
            for n, w in run.weights().items()
            if n.startswith("blocks.1.")
        )
    )
    size = np.sqrt(sum(np.sum(w**2) for n, w in start.items() if n.startswith("blocks.1.")))
    assert run.measures.update_ratio[0, layer] == pytest.approx(change / size)


def test_weights_do_not_depend_on_what_is_measured(tmp_path: Path) -> None:
    often = run_in(tmp_path / "often", config(measure={"every": 1}))
    rarely = run_in(tmp_path / "rarely", config(measure={"every": 1000}))
    assert len(often.measures.step) > len(rarely.measures.step) == 2
    for name, weight in often.weights().items():
        assert weight.tobytes() == rarely.weights()[name].tobytes()


def test_gradient_ratio_and_growth_of_a_geometric_series(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config())
    depth = run.measures.depth
    geometric = np.array([2.0 ** (depth - np.arange(depth + 1))])
    measures = with_values(run.measures, signal_gradient_rms=geometric)
    assert measures.gradient_ratio == pytest.approx([2.0**depth])
    assert measures.growth_per_block == pytest.approx([2.0])
    lost = geometric[:, ::-1].copy()
    lost[0, 0] = 0  # below the range of the numbers
    flow = np.vstack([lost, lost * 0, lost + np.inf])
    measures = with_values(run.measures, signal_gradient_rms=flow)
    np.testing.assert_array_equal(measures.gradient_ratio, [0, np.nan, np.nan])
    np.testing.assert_allclose(measures.growth_per_block, [0.5, np.nan, np.nan])


def test_measures_of_a_float32_run_are_read_back(tmp_path: Path) -> None:
    run_in(tmp_path / "run", config())
    run = load_run(tmp_path / "run")
    assert run.measures.layers == ("input", "blocks.0", "blocks.1", "blocks.2", "output")
    assert run.measures.step.tolist() == [0, 5, 8]
