"""The verdict on real, tiny runs, one for each thing that it can say."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.report import text as report
from ffn_train.report.verdict import verdict as words
from ffn_train.report.verdict.evidence import Evidence
from ffn_train.running import expectation
from ffn_train.runs import Run, load_run
from ffn_train.runs.finding import FLOW, HELD_BACK, LEARNED, Finding
from ffn_train.train.divergence import Divergence
from tests.support.choices import settings
from tests.support.made_measures import with_values
from tests.support.small_runs import config, run_in


def verdict(
    path: Path, *, depth: int, width: int = 24, section: dict[str, Any] | None = None, **names: str
) -> Run:
    chosen = {group: settings(group, name) for group, name in names.items()}
    sizes = {"depth": depth, "width": width, "expansion": 4}
    return run_in(path / "run", config(**{**chosen, "model": sizes, **(section or {})}))


def answers(run: Run) -> dict[str, Finding]:
    assert run.summary is not None
    findings = run.summary.verdict
    assert findings == words(run)
    printed = report.report(run)
    assert all(f"{finding.text}" in printed for finding in findings)
    order = [LEARNED, HELD_BACK, FLOW]
    assert [finding.question for finding in findings] == sorted(
        (finding.question for finding in findings), key=order.index
    )
    again = load_run(run.path).summary
    assert again is not None
    assert again.verdict == findings
    return {finding.question: finding for finding in findings}


def test_exploding_with_its_cause(tmp_path: Path) -> None:
    names: dict[str, Any] = {"residual": "identity", "init": "he", "activation": "relu"}
    run = verdict(tmp_path, depth=24, width=96, **names)
    findings = answers(run)
    text = findings[FLOW].text
    assert text.startswith("exploding: dL/dx_l changes by 1.")
    assert "theory says 1.7" in text  # the root of 3
    assert "multiplies the variance by 2 in each branch" in text
    assert "the variance grows 3x per block, the gradient by the square root of it" in text
    assert run.summary is not None
    assert f"changes by {run.summary.growth_per_block_start:.3g}x per block" in text  # as printed
    assert text.endswith("try residual=scaled, norm=pre_layer or init=gpt2")
    assert findings[HELD_BACK].kind == "depth"
    assert findings[HELD_BACK].change == findings[FLOW].change == ("residual=scaled",)


def test_vanishing(tmp_path: Path) -> None:
    findings = answers(verdict(tmp_path, depth=24, residual="none", init="lecun"))
    assert findings[FLOW].kind == "vanishing"
    assert "init=lecun with gelu multiplies the variance by 0.2" in findings[FLOW].text


def test_the_advice_holds(tmp_path: Path) -> None:
    """What each of the two verdicts recommends makes the next run healthy."""
    run = verdict(tmp_path, depth=24, residual="scaled", init="he", activation="relu")
    assert answers(run)[FLOW].kind == "healthy"


def test_lost_in_the_range_of_the_numbers(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=300, residual="identity", init="he", activation="relu")
    findings = answers(run)
    assert findings[LEARNED].text == "no: the run diverged"
    assert findings[FLOW].text.startswith("exploding")
    assert "nothing finite was measured" in findings[FLOW].text
    assert "3x per block" in findings[FLOW].text
    assert findings[HELD_BACK].kind == "depth"


def test_dead_units(tmp_path: Path) -> None:
    steep = {"optimizer": {"lr": 3.0}, "trainer": {"steps": 30, "clip": 1.0}}
    names: dict[str, Any] = {"activation": "relu", "residual": "none", "schedule": "constant"}
    findings = answers(verdict(tmp_path, depth=4, section=steep, **names))
    assert findings[FLOW].kind == "dead units"
    assert findings[FLOW].text.startswith("dead units: up to 9")
    assert " of 96 hidden units of " in findings[FLOW].text
    assert findings[FLOW].change == ("optimizer.lr=0.15",)  # the updates killed them


def test_dead_at_the_start_is_the_initialisations_doing(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=4, section=TRAINED, activation="relu", residual="none")
    share = run.measures["dead_share"].values.copy()
    share[:] = 0.9
    run = replace(run, measures=with_values(run.measures, dead_share=share))
    findings = {finding.question: finding for finding in words(run)}
    assert findings[HELD_BACK].kind == "dead units at initialisation"
    assert "up to 86 of 96 hidden units of a block are dead at step 0" in findings[HELD_BACK].text
    assert findings[HELD_BACK].change == findings[FLOW].change
    share[0] = 0
    run = replace(run, scalars={**run.scalars, "validation_loss": run.scalars["loss"]})
    run = replace(run, measures=with_values(run.measures, dead_share=share))
    findings = {finding.question: finding for finding in words(run)}
    assert findings[HELD_BACK].kind == "dead units"
    assert findings[HELD_BACK].change == findings[FLOW].change == ("optimizer.lr=0.015",)


@pytest.mark.parametrize(
    ("name", "bias_std", "width", "change"),
    [
        ("he", 3.0, 24, ("init=lecun", "init.bias_std=0")),
        ("he", 0.0, 24, ("init=lecun",)),
        ("lecun", 3.0, 24, ("init.bias_std=0",)),
        ("lecun", 0.0, 24, ("model.width=32",)),
        ("lecun", 0.0, 32, ("residual=scaled",)),
    ],
)
def test_no_setting_of_the_run_is_advised_against_dead_units(
    name: str, bias_std: float, width: int, change: tuple[str, ...], tmp_path: Path
) -> None:
    section = {**TRAINED, "init": settings("init", name) | {"bias_std": bias_std}}
    names = {"activation": "relu", "residual": "none"}
    run = verdict(tmp_path, depth=4, width=width, section=section, **names)
    shares = np.full_like(run.measures["dead_share"].values, 0.9)
    run = replace(run, measures=with_values(run.measures, dead_share=shares))
    findings = {finding.question: finding for finding in words(run)}
    assert findings[HELD_BACK].change == findings[FLOW].change == change
    assert ("weights and biases" in findings[HELD_BACK].text) is (bias_std > 0)
    for question in (HELD_BACK, FLOW):
        assert findings[question].text.endswith(f"; try {' '.join(change)}")


@pytest.mark.parametrize("norm", ["pre_layer", "post_layer"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("residual", ["scaled", "none"])
def test_a_layer_norm_over_one_feature_is_the_cause(
    norm: str, activation: str, residual: str, tmp_path: Path
) -> None:
    names = {"norm": norm, "activation": activation, "residual": residual}
    findings = answers(verdict(tmp_path, depth=2, width=1, section=TRAINED, **names))
    assert findings[HELD_BACK].kind == "model too small"
    assert findings[FLOW].kind == "vanishing"
    for question in (HELD_BACK, FLOW):
        assert "a LayerNorm over one feature returns its shift" in findings[question].text
        assert findings[question].text.endswith("; try model.width=32")
        assert findings[question].change == ("model.width=32",)


@pytest.mark.parametrize(
    ("norm", "width", "residual"),
    [("post_rms", 1, "scaled"), ("post_layer", 2, "scaled"), ("pre_layer", 2, "none")],
)
def test_a_norm_that_leaves_signs_is_the_cause(
    norm: str, width: int, residual: str, tmp_path: Path
) -> None:
    names = {"norm": norm, "residual": residual}
    section = {**TRAINED, "trainer": {"steps": 10}}
    findings = answers(verdict(tmp_path, depth=2, width=width, section=section, **names))
    assert findings[HELD_BACK].kind == "model too small"
    assert "returns a sign times its gain" in findings[HELD_BACK].text
    assert findings[FLOW].kind == "vanishing"
    for question in (HELD_BACK, FLOW):
        assert findings[question].change == ("model.width=32",)
        assert findings[question].text.endswith("; try model.width=32")


def test_an_rms_norm_over_two_features_hides_nothing(tmp_path: Path) -> None:
    findings = answers(verdict(tmp_path, depth=2, width=2, section=TRAINED, norm="pre_rms"))
    assert not any("Norm" in finding.text for finding in findings.values())


def test_a_block_of_dead_units_has_no_factor_of_infinity(tmp_path: Path) -> None:
    """Where nothing reaches the blocks below, nothing says how their weights change it."""
    names = {"activation": "relu", "residual": "none"}
    run = verdict(tmp_path, depth=2, width=1, section=TRAINED, **names)
    flow = np.zeros_like(run.measures["signal_gradient_rms"].values)
    flow[:, -1] = 1
    shares = np.ones_like(run.measures["dead_share"].values)
    measures = with_values(run.measures, signal_gradient_rms=flow, dead_share=shares)
    run = replace(run, measures=measures, theory=None)
    assert math.isnan(Evidence(run).branch_variance)
    finding = next(finding for finding in words(run) if finding.question == HELD_BACK)
    assert finding.kind == "dead units at initialisation"
    assert finding.change == ("model.width=32",)


@pytest.mark.parametrize("decay", [0.1, 1.0, 20.0])
def test_weights_that_decay_away(decay: float, tmp_path: Path) -> None:
    """Up to exploding ones: a step that takes 300 % off turns the weights round, three as large."""

    def finding(weight_decay: float) -> Finding:
        optimizer = settings("optimizer", "sgd") | {"weight_decay": weight_decay}
        section = {**TRAINED, "optimizer": optimizer}
        where = tmp_path / str(weight_decay)
        where.mkdir()
        return answers(verdict(where, depth=4, width=16, section=section))[HELD_BACK]

    lost = finding(decay)
    assert lost.kind == "weight decay too large"
    (change,) = lost.change
    less = float(change.removeprefix("optimizer.weight_decay="))
    assert 0 < less < 0.01
    assert finding(less).kind != lost.kind


@pytest.mark.parametrize("lr", [5e-4, 2e-3])
def test_the_weight_decay_of_few_rows_is_not_too_large(lr: float, tmp_path: Path) -> None:
    optimizer = settings("optimizer", "adam") | {"lr": lr, "weight_decay": None}
    task = settings("task", "linear") | {"rows": 90, "noise": 9.0}
    section = {**TRAINED, "optimizer": optimizer, "task": task}
    lost = answers(verdict(tmp_path, depth=2, width=8, section=section))[HELD_BACK]
    assert lost.kind != "weight decay too large"


@pytest.mark.parametrize(("rows", "many"), [(1, False), (2, True)])
def test_a_unit_is_dead_in_half_of_the_batches_of_one_row(
    rows: int, many: bool, tmp_path: Path
) -> None:
    section = {"trainer": {"steps": 2, "batch_size": rows}}
    run = verdict(tmp_path, depth=2, width=24, section=section, residual="identity")
    shares = np.full_like(run.measures["dead_share"].values, 0.5)
    run = replace(run, measures=with_values(run.measures, dead_share=shares))
    assert Evidence(run).many_dead(shares[0]) == many


@pytest.mark.parametrize(
    ("width", "share", "many"), [(24, 0.6, False), (24, 0.7, True), (1, 0.8, False), (1, 1.0, True)]
)
def test_what_chance_kills_is_not_called_dead(
    width: int, share: float, many: bool, tmp_path: Path
) -> None:
    """Without skip paths half of 96 units are dead, ± 5; of 4 three are nothing unusual."""
    section = {"trainer": {"steps": 2}}
    names = {"activation": "relu", "residual": "none"}
    run = verdict(tmp_path, depth=2, width=width, section=section, **names)
    shares = np.full_like(run.measures["dead_share"].values, share)
    run = replace(run, measures=with_values(run.measures, dead_share=shares))
    assert Evidence(run).many_dead(shares[0]) == many


def test_a_share_that_falls_with_the_depth_is_not_a_fault(tmp_path: Path) -> None:
    """A block of 300 carries a sixth of one of 8; together they carry as much."""
    run = verdict(tmp_path, depth=300, width=8, section={"trainer": {"steps": 2}})
    shares = run.measures.common("skip_gradient_rms", "branch_gradient_rms")[1]
    assert np.median(shares[1][-1] / shares[0][-1]) < 0.05
    assert answers(run)[FLOW].kind == "healthy"


def test_branches_scaled_to_nothing_are_what_held_it_back(tmp_path: Path) -> None:
    section = {**TRAINED, "residual": settings("residual", "scaled") | {"power": 2.0}}
    findings = answers(verdict(tmp_path, depth=16, width=16, section=section))
    assert findings[LEARNED].kind == "as linear regression"
    for question in (HELD_BACK, FLOW):
        assert findings[question].kind == "skip path"
        assert findings[question].change == ("residual.power=0.5",)
    assert "residual.scale=1 and residual.power=2 leave all branches" in findings[HELD_BACK].text


@pytest.mark.parametrize(
    ("residual", "init", "change"),
    [
        ({"power": 3.0}, {}, ("residual.power=0.5", "residual.scale=4.4")),  # 0.02 * 2^2.5
        ({"power": 6.0}, {}, ("residual.power=0.5",)),
        ({"power": 0.2, "scale": 0.04}, {}, ("residual.scale=1",)),
        ({"scale": 0.04}, {"name": "normal"}, ("residual.scale=1",)),
        ({}, {"name": "normal"}, ("init=lecun",)),
        ({}, {}, ("residual.scale=25",)),  # from 0.02 at the usual scale to 0.5
    ],
)
def test_a_skip_path_that_carries_all_has_a_remedy_that_does_it_in_one_step(
    residual: dict[str, Any], init: dict[str, Any], change: tuple[str, ...], trained: Run
) -> None:
    run = replace(
        trained,
        config={
            **trained.config,
            "residual": settings("residual", "scaled") | residual,
            "init": settings("init", init.get("name", "lecun")),
        },
        measures=with_values(
            trained.measures,
            signal_gradient_rms=np.ones((2, 3)),
            skip_gradient_rms=np.ones((2, 2)),
            branch_gradient_rms=np.full((2, 2), 0.02 / np.sqrt(2)),
        ),
    )
    run = with_scores(run, [0.0])
    assert words(run)[-1].kind == "skip path"
    assert words(run)[-1].change == change
    named = held_back(run)
    assert (named.kind == "skip path") is bool(residual)
    assert named.change == change or not residual
    assert held_back(with_scores(run, [0.7])).kind != "skip path"  # far more than linear
    assert run.summary is not None
    assert run.summary.score is not None
    score = replace(run.summary.score, baseline=None)
    unknown = replace(run, summary=replace(run.summary, score=score))
    assert (held_back(unknown).kind == "skip path") is bool(residual)
    narrow = {"model": run.config["model"] | {"width": 1}, "norm": settings("norm", "pre_rms")}
    run = replace(run, config={**run.config, **narrow})
    assert words(run)[-1].change == ("model.width=32",)
    assert "RMSNorm over one feature returns a sign" in words(run)[-1].text


def test_branches_that_carry_nothing(tmp_path: Path) -> None:
    slow = {"optimizer": {"lr": 1e-3}}
    findings = answers(verdict(tmp_path, depth=8, section=slow, residual="rezero"))
    assert findings[FLOW].kind == "skip path"
    assert "the learnable multipliers" in findings[FLOW].text


TRAINED: dict[str, Any] = {
    "trainer": {"steps": 150, "batch_size": 64},
    "task": {"rows": 400},
}


def test_healthy_and_what_it_learned(tmp_path: Path) -> None:
    section = {**TRAINED, "trainer": {"steps": 300, "batch_size": 64}}
    findings = answers(verdict(tmp_path, depth=4, section=section | {"task": {"rows": 2000}}))
    assert findings[LEARNED].kind == "yes"
    assert "predicting the mean has 0, linear regression 0." in findings[LEARNED].text
    text = findings[FLOW].text
    assert text.startswith("healthy: the first block gets 1.")
    assert " times the last block's gradient at step 0, " in text
    assert text.endswith("times at step 300; no dead units")
    assert findings[HELD_BACK].kind == "nothing"


def test_where_dead_units_do_not_apply_none_are_spoken_of(tmp_path: Path) -> None:
    findings = answers(verdict(tmp_path, depth=4, section=TRAINED, activation="tanh"))
    assert findings[FLOW].kind == "healthy"
    assert "dead" not in findings[FLOW].text


def test_as_good_as_linear_regression(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=1, section={"task": {"rows": 2000, "name": "linear"}})
    run = run_in(
        tmp_path / "linear",
        config(
            task=settings("task", "linear") | {"rows": 2000},
            trainer={"steps": 300, "batch_size": 64},
        ),
    )
    findings = answers(run)
    assert findings[LEARNED].kind == "as linear regression"
    assert findings[LEARNED].text.startswith("as much as linear regression: R² 0.9")
    assert findings[HELD_BACK].kind == "nothing"


CLIPPED: dict[str, Any] = {"steps": 150, "clip": 1e-3}
ADAM = settings("optimizer", "adam")


@pytest.mark.parametrize(
    ("kind", "section", "change"),
    [
        ("rate too small", {"optimizer": {"lr": 0.0}}, "optimizer.lr=0.05"),
        ("rate too small", {"optimizer": {"lr": 1e-5}}, None),
        ("rate too small", {"schedule": {"warmup": 100_000}}, "schedule.warmup=0"),
        ("rate too small", {"optimizer": ADAM | {"lr": 1e-5}, "trainer": CLIPPED}, None),
        ("too few steps", {"trainer": {"steps": 5, "batch_size": 64}}, "trainer.steps=200"),
        (
            "clipping",
            {"trainer": CLIPPED, "optimizer": {"lr": 1.0}},
            None,
        ),
    ],
)
def test_what_held_it_back(
    kind: str, section: dict[str, Any], change: str | None, tmp_path: Path
) -> None:
    finding = answers(verdict(tmp_path, depth=4, section={**TRAINED, **section}))[HELD_BACK]
    assert finding.kind == kind
    assert change is None or finding.change == (change,)
    assert all(each in finding.text for each in finding.change)


def test_a_rate_that_clipping_holds_up(tmp_path: Path) -> None:
    section = {**TRAINED, "optimizer": {"lr": 4.0}}
    names: dict[str, Any] = {"activation": "tanh", "schedule": "constant"}
    finding = answers(verdict(tmp_path, depth=4, section=section, **names))[HELD_BACK]
    assert finding.kind == "rate too large"
    assert "of the steps holds it up" in finding.text
    assert finding.change == ("optimizer.lr=0.15",)  # the default


def test_a_rate_that_drove_the_run_apart(tmp_path: Path) -> None:
    steep = {"optimizer": {"lr": 50.0}, "trainer": {"steps": 30, "clip": None}}
    run = verdict(tmp_path, depth=4, section=steep)
    assert run.state == "diverged"
    findings = answers(run)
    assert findings[LEARNED].text == "no: the run diverged"
    assert findings[HELD_BACK].kind == "rate too large"
    assert findings[HELD_BACK].change == ("optimizer.lr=0.15", "trainer.clip=1")
    assert findings[FLOW].text.startswith("healthy at step 0: the first block got ")


def test_a_run_driven_apart_by_its_depth_is_not_laid_to_its_rate_elsewhere(tmp_path: Path) -> None:
    hot = {"trainer": {"steps": 30, "clip": None}, "optimizer": {"lr": 0.1}}
    run = verdict(tmp_path, depth=64, section=hot, residual="identity", init="he")
    assert run.state == "diverged"
    assert run.summary is not None
    assert run.summary.divergence is not None
    assert answers(run)[HELD_BACK].kind == "depth"
    assert "too large" not in run.summary.divergence.reason


def test_a_loss_that_did_not_grow_before_the_run_diverged(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=2, section={"optimizer": {"lr": 1e30}})
    assert run.state == "diverged"
    finding = answers(run)[HELD_BACK]
    assert finding.kind == "rate too large"
    assert " and with optimizer.lr=1e+30 not all numbers were finite at step 1; " in finding.text
    grown = np.array([*run.scalars["loss"][:-1] * 7, np.inf])
    losses = np.array([run.scalars["loss"][0], *grown])
    scalars = {name: np.append(column[:1], column) for name, column in run.scalars.items()}
    finding = held_back(replace(run, scalars={**scalars, "loss": losses}))
    assert f" it grew to {7 * Evidence(run).losses[0]:.3g} times; " in finding.text


@pytest.mark.parametrize(("variance", "size"), [(1e4, "large"), (1e-4, "small")])
def test_initial_weights_out_of_all_proportion(variance: float, size: str, tmp_path: Path) -> None:
    init = settings("init", "normal") | {"inner": variance, "outer": variance}
    run = run_in(tmp_path / "run", config(**TRAINED, init=init))
    finding = answers(run)[HELD_BACK]
    assert finding.kind == "initialisation"
    assert f"the initial weights are too {size}" in finding.text


@pytest.mark.parametrize(
    ("init", "names", "change"),
    [
        ({"name": "orthogonal", "gain": 1e2}, {}, "init=lecun"),  # the backward pass overflows
        ({"name": "orthogonal", "gain": 1e4}, {}, "init=lecun"),  # the forward pass does
        ({"name": "orthogonal", "gain": 1e30}, {}, "init=lecun"),  # in the first block
        ({"name": "normal", "inner": 1e40, "outer": 1e40}, {"norm": "pre_rms"}, "init=lecun"),
        ({"name": "normal", "inner": 1e60, "outer": 1e60}, {"norm": "post_rms"}, "init=lecun"),
        ({"name": "normal", "inner": 1e40, "outer": 1.0}, {"residual": "none"}, "init=lecun"),
        ({"name": "lecun", "bias_std": 1e20}, {}, "init.bias_std=0"),
        ({"name": "lecun", "bias_std": 1e38}, {}, "init.bias_std=0"),
    ],
)
def test_weights_that_overflow_at_once_are_not_laid_to_the_depth(
    init: dict[str, Any], names: dict[str, str], change: str, tmp_path: Path
) -> None:
    section = {"init": settings("init", init["name"]) | init}
    run = verdict(tmp_path, depth=8, width=16, section=section, **names)
    findings = answers(run)
    assert run.state == "diverged"
    assert findings[HELD_BACK].kind == "initialisation"
    assert findings[HELD_BACK].change == (change,)
    assert not re.search(r"\b(nan|inf)(x|\b)", findings[HELD_BACK].text + findings[FLOW].text)
    if findings[FLOW].kind == "exploding":
        assert findings[FLOW].change == (change,)
        assert f"; try {change}" in findings[FLOW].text


def test_data_that_overflow_at_once_are_not_laid_to_the_weights(trained: Run) -> None:
    assert trained.summary is not None
    stop = Divergence(0, "forward", "output of input", "infinite in 4 of 4 entries; no update ...")
    nothing = np.full_like(trained.measures["signal_gradient_rms"].values, math.nan)
    run = replace(
        trained,
        summary=replace(trained.summary, divergence=stop),
        scalars={name: column[:1] for name, column in trained.scalars.items()},
        measures=with_values(trained.measures, signal_gradient_rms=nothing),
        theory=None,
    )
    finding = held_back(run)
    assert finding.text == f"initialisation: output of input: {stop.reason}"
    assert finding.change == ()


@pytest.mark.parametrize(("scale", "advised"), [(1e8, "1"), (4.0, "0.4")])
def test_a_scale_that_overflows_is_brought_back_at_once(
    scale: float, advised: str, trained: Run
) -> None:
    flow = np.ones_like(trained.measures["signal_gradient_rms"].values)
    flow[:, 0] = 1e6
    run = replace(
        trained,
        config={**trained.config, "residual": settings("residual", "scaled") | {"scale": scale}},
        measures=with_values(trained.measures, signal_gradient_rms=flow),
    )
    assert words(run)[-1].change == (f"residual.scale={advised}",)


def test_too_small_a_model(tmp_path: Path) -> None:
    section = {"trainer": {"steps": 400, "batch_size": 64}, "task": {"rows": 1000}}
    findings = answers(verdict(tmp_path, depth=1, width=2, section=section))
    assert findings[HELD_BACK].kind == "model too small"
    assert findings[HELD_BACK].change == ("model.width=32",)


def test_overfitting_with_its_losses_and_the_best_step(tmp_path: Path) -> None:
    """The best weights help where later ones are worse, and not where they are as good."""
    run = verdict(tmp_path, depth=4, section=TRAINED)
    validation = run.scalars["validation_loss"].copy()
    known = np.flatnonzero(~np.isnan(validation))
    assert run.provenance.trivial_loss is not None
    validation[known] = 0.5 * run.provenance.trivial_loss
    scalars = {**run.scalars, "loss": 0.01 * validation[known[0]] + 0 * run.scalars["loss"]}
    for last, change in ((0.8, ("trainer.keep=best",)), (0.5, ())):
        validation[known[2:]] = last * run.provenance.trivial_loss
        scores = 1 - validation / run.provenance.trivial_loss
        scalars |= {"validation_loss": validation, "validation_score": scores}
        findings = {finding.question: finding for finding in words(replace(run, scalars=scalars))}
        assert findings[HELD_BACK].kind == "overfitting"
        assert findings[HELD_BACK].change == change
        step = run.scalars["step"][known[0]]
        assert f"at best 0.5 at step {step:.0f}" in findings[HELD_BACK].text
        assert run.summary is not None
        kept = replace(run, scalars=scalars, summary=replace(run.summary, kept_step=int(step)))
        finding = next(finding for finding in words(kept) if finding.question == HELD_BACK)
        assert (finding.kind, finding.change) == ("overfitting", ())
        assert "trainer.keep=best holds it in check" in finding.text


def overfitted(run: Run, every: int) -> Run:
    """Its loss has fallen to a hundredth of the validation loss; it has a row each so many steps.

    The rows of the steps in between are of a loss that has not fallen.
    """
    trivial, steps = run.provenance.trivial_loss, run.scalars["step"]
    assert trivial is not None
    fallen = np.where(steps > run.scalars["step"][-1] - 20, 0.01, 1.0) * trivial
    score = np.where(steps % 10 == 0, 0.1, np.nan)
    changed = {"loss": fallen, "validation_score": score, "validation_loss": (1 - score) * trivial}
    kept = steps % every == 0
    scalars = {name: values[kept] for name, values in {**run.scalars, **changed}.items()}
    return replace(run, scalars=scalars)


def test_how_far_apart_the_rows_are_changes_no_loss_of_the_verdict(tmp_path: Path) -> None:
    """Also where most of the last 20 rows are of long before; a single batch is no judge."""
    run = verdict(tmp_path, depth=4, section=TRAINED)
    for every, kind in ((1, "overfitting"), (5, "overfitting"), (150, "nothing")):
        finding = next(f for f in words(overfitted(run, every)) if f.question == HELD_BACK)
        assert finding.kind == kind
        if kind == "overfitting":
            assert "the loss is 0.01 times that of predicting the mean on the" in finding.text
        else:
            assert "are not judged by so few rows of the log: try log.every=1" in finding.text


def test_noise_is_not_read_from_a_single_batch(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=4, section=TRAINED)
    assert run.summary is not None
    assert run.summary.score is not None
    score = replace(run.summary.score, baseline=0.0)
    run = replace(run, summary=replace(run.summary, score=score))
    for every, noise in ((1, True), (150, False)):
        text = next(f for f in words(overfitted(run, every)) if f.question == HELD_BACK).text
        assert ("the stack learns the noise" in text) is noise


def test_parts_of_a_run_are_parts_of_its_steps_not_of_its_rows(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=2)
    for steps, means in (
        (range(100), (37, 62)),
        ((*range(0, 50, 20), *range(50, 100)), (math.nan, 62)),  # of 25 to 50 row 40: too few
        ((*range(50), *range(50, 99, 5), 99), (37, 60)),
    ):
        step = np.array(steps)
        evidence = Evidence(replace(run, scalars={"step": step, "loss": step.astype(float)}))
        trivial = run.provenance.trivial_loss
        assert trivial is not None
        parts = [evidence.mean_loss(start, start + 0.25) * trivial for start in (0.25, 0.5)]
        assert parts == pytest.approx(means, nan_ok=True)


def test_inputs_that_say_nothing(tmp_path: Path) -> None:
    """The weights move far, and neither training nor validation rows are predicted."""
    section = {"trainer": {"steps": 200, "batch_size": 64}, "task": {"rows": 1000, "noise": 20.0}}
    finding = answers(verdict(tmp_path, depth=2, section=section))[HELD_BACK]
    assert finding.kind == "noise"
    assert "neither the stack nor linear regression predicts the target" in finding.text


def test_a_row_that_has_all_the_variance(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    y = x.sum(axis=1)
    y[36] = 100
    rows = "\n".join(f"{a},{b},{c}" for (a, b), c in zip(x, y, strict=True))
    (tmp_path / "t.csv").write_text(f"a,b,y\n{rows}\n")
    task = settings("task", "table") | {"path": str(tmp_path / "t.csv"), "target": "y"}
    finding = answers(run_in(tmp_path / "run", config(task=task)))[HELD_BACK]
    assert finding.kind == "outlier"
    assert "row 37 of 200 has 96% of the variance of y" in finding.text


def test_uneven(tmp_path: Path) -> None:
    """A growth between tenfold and a hundredfold is neither healthy nor exploding."""
    names: dict[str, Any] = {"residual": "identity", "init": "he", "activation": "relu"}
    finding = answers(verdict(tmp_path, depth=6, section=TRAINED, **names))[FLOW]
    assert finding.kind == "uneven"
    ratio = re.match(r"somewhat exploding: the first block gets ([\d.]+) times", finding.text)
    assert ratio is not None
    assert 10 < float(ratio[1]) < 100
    assert "(from 100x on we call it exploding); init=he with relu multiplies" in finding.text
    assert finding.text.endswith("; try residual=scaled, norm=pre_layer or init=gpt2")


@pytest.mark.parametrize(("slope", "kind"), [(-0.4, "vanishing"), (0.4, "exploding")])
def test_a_flow_that_training_makes_worse_is_named_after_its_end(
    tmp_path: Path, slope: float, kind: str
) -> None:
    """Beyond tenfold at step 0 and a hundredfold at the end, in the same direction."""
    run = verdict(tmp_path, depth=8, section=TRAINED)
    flow = run.measures["signal_gradient_rms"].values
    flow[0] = np.exp(-slope * np.arange(9))
    flow[-1] = flow[0] ** 2
    finding = words(run)[-1]
    assert finding.kind == kind
    assert finding.text.startswith(f"{kind}: the first block gets ")
    assert "so training made it worse" in finding.text
    assert finding.change


@pytest.mark.parametrize(("depth", "kind"), [(12, "uneven"), (16, "vanishing")])
def test_a_flow_that_the_updates_spoil(depth: int, kind: str, tmp_path: Path) -> None:
    steep = {**TRAINED, "optimizer": {"lr": 0.1}}
    names: dict[str, Any] = {"residual": "none", "init": "lecun", "activation": "tanh"}
    finding = answers(verdict(tmp_path, depth=depth, section=steep, **names))[FLOW]
    assert finding.kind == kind
    assert "came with training, not with the initialisation; try residual=scaled" in finding.text
    names["residual"] = "scaled"
    advised = answers(verdict(tmp_path / "advised", depth=depth, section=steep, **names))
    assert advised[FLOW].kind == "healthy"


@pytest.mark.parametrize("residual", ["scaled", "none"])
@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [
        (-1, -10, "vanishing"),
        (2, -10, "vanishing"),
        (4, -10, "vanishing"),
        (-1, 10, "exploding"),
        (-4, 10, "exploding"),
        (-1, -4, "uneven"),
        (-1, 4, "uneven"),
        (-1, -900, "vanishing"),  # extrapolated, and out of the range of numbers
    ],
)
def test_a_flow_that_training_spoils_is_named_after_its_end_with_a_remedy(
    tmp_path: Path, start: float, end: float, kind: str, residual: str
) -> None:
    """The logarithms of the change at step 0 and at the last step."""
    run = verdict(tmp_path, depth=16, section={"trainer": {"steps": 2}}, residual=residual)
    flow, part = run.measures["signal_gradient_rms"].values, 1 - np.arange(17) / 16
    flow[0], flow[-1] = np.exp(start * part), np.exp(end * part)
    finding = words(run)[-1]
    change = "residual=scaled" if residual == "none" else "optimizer.lr=0.05"
    assert finding.kind == kind
    assert finding.text.startswith(f"{kind}: the first block gets {math.exp(start):.3g} times ")
    assert finding.text.endswith(
        f"; this came with training, not with the initialisation; try {change}"
    )
    assert finding.change == (change,)


def test_underflow_is_told_apart_and_not_carried_on_in_silence(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=300, width=8, residual="none", init="lecun")
    assert run.state == "finished"
    assert run.summary is not None
    lost = run.vanished(0)
    flow = run.measures["signal_gradient_rms"].values[0]
    assert lost is not None
    assert flow[lost] < np.finfo("float32").tiny <= flow[lost + 1]
    assert run.summary.gradient_ratio_start == 0
    assert run.summary.growth_per_block_start is not None
    assert 0.3 < run.summary.growth_per_block_start < 0.7
    text = answers(run)[FLOW].text
    assert text.startswith("vanishing: dL/dx_l changes by 0.")
    assert f"out of float32's range from block {lost} down (10^-" in text
    assert "in all, if it went on so)" in text
    shown = report.report(run)
    assert f"0 at step 8   (below float32's range from block {lost} down)" in shown
    assert "not finite" not in shown
    assert run.worst_ratio is not None
    assert run.worst_ratio.ratio > 0


def test_what_stays_in_range_is_not_called_lost(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=24, residual="none", init="lecun")
    assert run.vanished(0) is None
    assert "'s range" not in report.report(run)


def test_without_theory_the_measures_speak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"reason": "not today"}
    monkeypatch.setattr(expectation, "_mode", lambda *_: none)
    names: dict[str, Any] = {"residual": "identity", "init": "he", "activation": "relu"}
    text = answers(verdict(tmp_path, depth=24, **names))[FLOW].text
    assert text.startswith("exploding")
    assert "theory" not in text
    assert text.endswith(" in all; try residual=scaled, norm=pre_layer or init=gpt2")


RATIOS = ("gradient_ratio", "growth_per_block")


def without(run: Run, *names: str) -> Run:
    """The run as if these quantities had not been measured."""
    series = {name: one for name, one in run.measures.series.items() if name not in names}
    return replace(run, measures=replace(run.measures, series=series))


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (["signal_gradient_rms"], "gradient_norm not measured"),
        (["signal_rms"], "signal_gradient_rms not measured, gradient_norm not measured"),
    ],
)
def test_what_was_not_measured_is_not_called_infinite(
    measured: list[str], said: str, tmp_path: Path
) -> None:
    run = run_in(tmp_path / "run", config(measure={"quantities": measured}))
    shown = report.report(run)
    assert re.search(rf"^theory +not compared with the run: {said}$", shown, re.MULTILINE)


def test_what_was_measured_and_is_infinite_is_called_so(trained: Run) -> None:
    lost = np.full_like(trained.measures["signal_gradient_rms"].values, math.nan)
    none = np.full_like(trained.measures["gradient_norm"].values, math.nan)
    measures = with_values(trained.measures, signal_gradient_rms=lost, gradient_norm=none)
    shown = report.report(replace(trained, measures=measures))
    assert "nothing finite to compare with at step 0" in shown


UPDATES = ("update_norm", "weight_norm")


@pytest.mark.parametrize("unmeasured", [(), UPDATES])
@pytest.mark.parametrize(("end", "falling"), [(0.5, True), (0.9, False)])
def test_what_was_not_measured_hides_no_falling_loss(
    end: float, falling: bool, unmeasured: tuple[str, ...], trained: Run
) -> None:
    assert trained.provenance.trivial_loss is not None
    losses = np.linspace(1, end, len(trained.scalars["loss"])) * trained.provenance.trivial_loss
    run = with_scores(without(trained, *unmeasured), [0.3], [0.7])
    finding = held_back(replace(run, scalars={**run.scalars, "loss": losses}))
    assert finding.kind == ("too few steps" if falling else "nothing")
    named = "; not all causes are judged without weight_norm, update_norm"
    assert finding.text.endswith(named) is (bool(unmeasured) and not falling)


def test_a_good_run_needs_no_further_measurement(trained: Run) -> None:
    run = with_scores(without(trained, *UPDATES), [0.95], [0.05])
    assert held_back(run).text == "nothing that the run shows"


@pytest.mark.parametrize("measured", [True, False])
def test_weights_that_may_not_have_moved_do_not_make_a_target_noise(
    measured: bool, trained: Run
) -> None:
    """Far fewer parameters than rows, and no skill of the stack or of linear regression."""
    assert trained.summary is not None
    assert trained.summary.score is not None
    score = replace(trained.summary.score, baseline=0.0)
    norms = trained.measures["weight_norm"].values
    far = with_values(trained.measures, weight_norm=norms, update_norm=0.02 * norms)
    run = replace(
        with_scores(trained, [0.0]),
        measures=far,
        summary=replace(trained.summary, score=score),
        provenance=replace(trained.provenance, parameters=None),
        scalars={
            **with_scores(trained, [0.0]).scalars,
            "loss": np.full_like(trained.scalars["loss"], trained.provenance.trivial_loss),
        },
    )
    finding = held_back(run if measured else without(run, *UPDATES))
    assert finding.kind == ("noise" if measured else "nothing")


def test_nothing_divided_by_nothing_is_written_so(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=4, section=TRAINED)
    flow = np.zeros_like(run.measures["signal_gradient_rms"].values)
    nothing = with_values(run.measures, signal_gradient_rms=flow)
    assert run.summary is not None
    numbers = [f"{name}_{end}" for name in RATIOS for end in ("start", "end")]
    not_finite: dict[str, Any] = dict.fromkeys(numbers, math.nan)
    run = replace(run, measures=nothing, summary=replace(run.summary, **not_finite))
    shown = report.report(run)
    assert "0/0 at step 0   0/0 at step 30   (zero everywhere)" in shown
    assert "not finite" not in shown
    assert words(run)[-1].text == (
        "no gradient: less than float32 can hold reaches the blocks at step 0"
    )


def test_a_gradient_that_ends_at_the_last_block_is_called_zero(tmp_path: Path) -> None:
    init = {**settings("init", "normal"), "inner": 0.0, "outer": 0.0}
    run = verdict(tmp_path, depth=4, section={"init": init}, residual="none")
    shown = report.report(run)
    assert "0 at step 0   0 at step 8   (zero from block 3 down)" in shown
    assert run.measures.growth_per_block.tolist() == [0] * len(run.measures.step)
    assert "not finite" not in shown


@pytest.mark.parametrize("lost", [math.nan, math.inf])
@pytest.mark.parametrize(("row", "when"), [(0, "step 0"), (-1, "step 30")])
def test_a_flow_that_is_not_finite_does_not_vanish(
    lost: float, row: int, when: str, tmp_path: Path
) -> None:
    run = verdict(tmp_path, depth=4, section=TRAINED)
    flow = run.measures["signal_gradient_rms"].values.copy()
    flow[row] = [0, 0, lost, lost, 1]
    run = replace(run, measures=with_values(run.measures, signal_gradient_rms=flow))
    assert words(run)[-1] == Finding(
        FLOW, "not finite", f"not measured: dL/dx_l is not finite at {when}"
    )


def test_a_network_that_overflows_at_once_does_not_vanish(tmp_path: Path) -> None:
    init = {"name": "normal", "inner": 1e38, "outer": 1e38}
    run = run_in(tmp_path / "run", config(init={**settings("init", "normal"), **init}))
    flow = answers(run)[FLOW]
    assert flow.kind == "exploding"
    assert "in theory: nothing finite was measured" in flow.text


CHANCES = [  # rows, share of the commonest class, accuracy, whether the best of many, answer
    (25, 0.5, 0.65, False, "no"),  # 16 of 25 may be right by chance, and 20 at the best of many
    (25, 0.5, 0.75, False, "yes"),
    (25, 0.5, 0.75, True, "no"),
    (2500, 0.5, 0.65, False, "yes"),
    (2500, 0.5, 0.75, True, "yes"),
    (60, 55 / 60, 59 / 60, True, "yes"),  # chance finds 4 of 5 rows among 60 once in 100,000 times
    (60, 55 / 60, 57 / 60, True, "no"),  # and 2 once in 170
    (60, 55 / 60, 57 / 60, False, "yes"),
    (60, 55 / 60, 54 / 60, True, "no"),
    (120, 108 / 120, 111 / 120, True, "yes"),
    (12, 7 / 12, 1.0, True, "yes"),  # once in 792
    (12, 8 / 12, 1.0, True, "cannot tell"),  # once in 495
    (10, 0.5, 1.0, True, "cannot tell"),
    (10, 0.5, 0.5, True, "no"),
    (3, 1 / 3, 1.0, False, "cannot tell"),
    (12, 1.0, 1.0, True, "cannot tell"),  # all rows are of one class
    (12, 1.0, 0.75, True, "no"),
    (100, 0.25, 0.3, False, "no"),
    (100, 0.25, 0.4, False, "yes"),
]


@pytest.mark.parametrize(("rows", "share", "value", "kept", "kind"), CHANCES)
def test_classes_that_are_right_by_chance(
    rows: int, share: float, value: float, kept: bool, kind: str, trained: Run
) -> None:
    run = of_classes(trained, rows=rows, share=share, values=[value], kept=0 if kept else None)
    finding = words(run)[0]
    assert (finding.question, finding.kind) == (LEARNED, kind)
    assert finding.text.startswith(kind)
    if kind == "cannot tell":
        chance = f"guesses may be that good by chance with only {rows} rows"
        why = f"all {rows} rows are of one class" if share == 1 else chance
        assert finding.text.endswith(f", but {why}")
    if kind == "no":
        than = "hardly better than" if value > share else "worse" if value < share else "no better"
        assert than in finding.text


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2.1, "no"), (1.5, "partly"), (1.01, "as linear regression"), (0.5, "yes")],
)
def test_a_baseline_is_compared_with_where_no_score_is_perfect(
    value: float, kind: str, trained: Run
) -> None:
    assert trained.summary is not None
    assert trained.summary.score is not None
    score = replace(trained.summary.score, better="lower", perfect=None, no_skill=2.0)
    score = replace(score, baseline=1.0, value=value)
    run = replace(trained, summary=replace(trained.summary, score=score))
    assert words(run)[0].kind == kind


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return verdict(tmp_path_factory.mktemp("trained"), depth=2, section=TRAINED)


def of_classes(
    run: Run, *, rows: int, share: float, values: list[float], kept: int | None = None
) -> Run:
    """The run as if of classes, with these accuracies; the last one is its score, and its best."""
    assert run.summary is not None
    assert run.summary.score is not None
    score = replace(
        run.summary.score,
        perfect=1.0,
        no_skill=share,
        baseline=share,
        value=values[-1],
        best=values[-1],
    )
    return replace(
        with_scores(run, values),
        provenance=replace(run.provenance, kind="classes", validation_rows=rows, test_rows=None),
        summary=replace(run.summary, score=score, kept_step=kept),
    )


def with_scores(run: Run, scores: list[float], losses: list[float] | None = None) -> Run:
    """The run with these validation scores and losses at its first evaluations, and no others."""
    trivial = run.provenance.trivial_loss
    assert trivial is not None
    columns = {name: np.full_like(run.scalars["loss"], np.nan) for name in ("score", "loss")}
    columns["score"][: len(scores)] = scores
    columns["loss"][: len(scores)] = trivial * np.array(losses or [1.0] * len(scores))
    new = {f"validation_{name}": column for name, column in columns.items()}
    return replace(run, scalars={**run.scalars, **new})


def memorised(run: Run) -> Run:
    """The run with a training loss of a tenth of the trivial one, by weights that moved far."""
    assert run.provenance.trivial_loss is not None
    assert Evidence(run).moved > 0.05
    loss = np.full_like(run.scalars["loss"], 0.1 * run.provenance.trivial_loss)
    return replace(run, scalars={**run.scalars, "loss": loss})


def held_back(run: Run) -> Finding:
    (finding,) = (finding for finding in words(run) if finding.question == HELD_BACK)
    return finding


@pytest.mark.parametrize(
    ("rows", "share", "values", "noise"),
    [
        (60, 55 / 60, [55 / 60, 56 / 60], True),
        (60, 55 / 60, [55 / 60, 59 / 60], False),  # four of the five were found
        (12, 8 / 12, [8 / 12, 8 / 12], False),  # so few rows would not show it
        (300, 0.5, [0.5, 0.52], True),
    ],
)
def test_noise_is_what_enough_rows_show(
    rows: int, share: float, values: list[float], noise: bool, trained: Run
) -> None:
    run = memorised(of_classes(trained, rows=rows, share=share, values=values))
    assert (held_back(run).kind == "noise") is noise


def test_noise_is_told_with_both_losses(trained: Run) -> None:
    run = memorised(with_scores(trained, [0.05, -0.3], [0.95, 1.3]))
    assert run.summary is not None
    assert run.summary.score is not None
    score = replace(run.summary.score, baseline=0.0)
    run = replace(run, summary=replace(run.summary, score=score))
    finding = held_back(run)
    assert finding.kind == "noise"
    assert "the loss fell to 0.1 times that of predicting the mean on the training" in finding.text
    assert "and on the validation rows to 0.95 times at best" in finding.text


def test_an_undefined_score_shows_nothing(tmp_path: Path) -> None:
    """R² needs two rows with different targets."""
    section = {**TRAINED, "task": {"rows": 400, "validation": 0.0025}}
    run = verdict(tmp_path, depth=2, section=section)
    assert run.provenance.validation_rows == 1
    findings = answers(run)
    assert findings[LEARNED].kind == "cannot tell"
    assert findings[LEARNED].text == "cannot tell: R² is undefined on the validation rows (1 row)"
    assert held_back(memorised(with_scores(run, [math.nan], [1.5]))).kind == "nothing"


def test_passes_over_the_rows_are_of_the_batches_that_there_were(trained: Run) -> None:
    """A batch that is larger than the rows is reduced to them."""
    assert Evidence(trained).passes == pytest.approx(150 * 64 / 320)
    trainer = {**trained.config["trainer"], "batch_size": 1000}
    assert Evidence(replace(trained, config={**trained.config, "trainer": trainer})).passes == 150


def test_early_stopping_that_ended_a_run_at_once(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=2, section={"trainer": {"steps": 5, "batch_size": 16}})
    assert run.summary is not None
    assert answers(run)[HELD_BACK].change == ("trainer.steps=200",)
    trainer = {**run.config["trainer"], "early_stopping": 1}
    stopped = replace(
        run,
        config={**run.config, "trainer": trainer},
        summary=replace(run.summary, stopped="early stopping"),
    )
    (finding,) = (finding for finding in words(stopped) if finding.question == HELD_BACK)
    assert (finding.kind, finding.change) == ("too few steps", ("trainer.early_stopping=20",))
    assert "early stopping ended the run after 5 steps" in finding.text


@pytest.mark.parametrize(
    ("perfect", "no_skill", "baseline", "value", "kind"),
    [
        (1.0, 0.5, 0.9, 0.88, "as linear regression"),  # a row of 60 less
        (1.0, 0.5, 0.9, 0.75, "partly"),
        (0.0, 0.5, 0.1, 0.4, "partly"),  # an error rate
        (100.0, 50.0, 90.0, 60.0, "partly"),  # an accuracy in percent
    ],
)
def test_only_of_an_accuracy_two_rows_make_no_difference(
    perfect: float, no_skill: float, baseline: float, value: float, kind: str, trained: Run
) -> None:
    run = of_classes(trained, rows=60, share=no_skill, values=[value])
    assert run.summary is not None
    assert run.summary.score is not None
    better: Any = "higher" if perfect else "lower"
    score = replace(run.summary.score, perfect=perfect, baseline=baseline, better=better)
    run = replace(run, summary=replace(run.summary, score=score))
    assert words(run)[0].kind == kind


@pytest.mark.parametrize("kept", [None, 0])
@pytest.mark.parametrize("parameters", [None, 10])
def test_a_skill_that_is_unknown_is_not_taken_for_a_bad_one(
    kept: int | None, parameters: int | None, trained: Run
) -> None:
    """Of a score without ``no_skill``; the losses alone would be those of overfitting."""
    run = memorised(with_scores(trained, [0.5], [1.5]))
    assert run.summary is not None
    assert run.summary.score is not None
    score = replace(run.summary.score, no_skill=None)
    run = replace(
        run,
        summary=replace(run.summary, score=score, kept_step=kept),
        provenance=replace(run.provenance, parameters=parameters),
    )
    assert math.isnan(Evidence(run).skill)
    assert held_back(run).kind == "nothing"


def test_an_undefined_score_does_not_make_the_samples_alike(tmp_path: Path) -> None:
    section = {**TRAINED, "task": {"rows": 400, "validation": 0.0025}}
    names: dict[str, Any] = {"residual": "none", "activation": "identity"}
    assert held_back(verdict(tmp_path, depth=12, section=section, **names)).kind != "depth"


def test_a_loss_that_was_as_large_before_any_update_is_not_laid_to_the_rate(tmp_path: Path) -> None:
    section = {
        "init": settings("init", "lecun") | {"bias_std": 1e4},
        "optimizer": {"lr": 1e-9},
        "trainer": {"steps": 30, "patience": 5},
    }
    run = verdict(tmp_path, depth=2, section=section, activation="identity")
    assert run.state == "stopped"
    findings = answers(run)
    assert findings[LEARNED].text == "no: the run was stopped for its large loss"
    assert findings[HELD_BACK].kind == "initialisation"
    assert "times that of predicting the mean before any update" in findings[HELD_BACK].text
    assert findings[HELD_BACK].change == ("init.bias_std=0",)
    grown = run.scalars["loss"] * (1 + 3 * run.scalars["step"])
    finding = held_back(replace(run, scalars={**run.scalars, "loss": grown}))
    assert finding.kind == "rate too large"
    assert " and with optimizer.lr=1e-09 it grew to " in finding.text


@pytest.mark.parametrize("state", ["diverged", "stopped"])
def test_the_weights_that_were_kept_are_judged_also_if_the_run_is_lost_later(
    state: str, trained: Run
) -> None:
    assert trained.summary is not None
    assert trained.summary.score is not None
    end = Divergence(9, "forward" if state == "diverged" else "training", "loss", "NaN")
    score = replace(trained.summary.score, value=-5.0, best=0.91, baseline=0.2)
    summary = replace(trained.summary, state=state, divergence=end, score=score, kept_step=4)
    finding, *_ = words(replace(trained, state=state, summary=summary))
    after = {"diverged": "diverged", "stopped": "was stopped for its large loss"}[state]
    assert finding.kind == "yes"
    assert finding.text.startswith("yes: R² 0.91 on the validation rows (best of ")
    assert f" evaluations, optimistic), after which the run {after}; pre" in finding.text
    lost = replace(trained, state=state, summary=replace(summary, kept_step=None))
    assert words(lost)[0] == Finding(LEARNED, "no", f"no: the run {after}")


def test_a_growth_beyond_the_range_of_numbers_is_cut_off(tmp_path: Path) -> None:
    init = settings("init", "normal") | {"inner": 1e32, "outer": 1e32}
    run = verdict(tmp_path, depth=4, section={"init": init}, block="swiglu")
    finding = answers(run)[FLOW]
    assert finding.kind == "exploding"
    assert "inf" not in finding.text
