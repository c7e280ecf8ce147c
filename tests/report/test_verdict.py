"""The verdict on real, tiny runs, one for each thing that it can say."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.report import text as report
from ffn_train.report.verdict import verdict as words
from ffn_train.running import expectation
from ffn_train.runs import Run
from tests.support.choices import settings
from tests.support.made_measures import with_values
from tests.support.small_runs import config, run_in


def verdict(
    path: Path, *, depth: int, width: int = 24, section: dict[str, Any] | None = None, **names: str
) -> Run:
    chosen = {group: settings(group, name) for group, name in names.items()}
    sizes = {"depth": depth, "width": width, "expansion": 4}
    return run_in(path / "run", config(**{**chosen, "model": sizes, **(section or {})}))


def lines(run: Run) -> list[str]:
    assert run.summary is not None
    found = list(run.summary.verdict)
    assert all(line in report.report(run) for line in found)
    return found


def test_exploding_with_its_cause(tmp_path: Path) -> None:
    names: dict[str, Any] = {"residual": "identity", "init": "he", "activation": "relu"}
    first, second = lines(verdict(tmp_path, depth=24, width=96, **names))
    assert first.startswith("exploding: dL/dx_l changes x1.")
    assert "theory says x1.7" in first  # the root of 3
    assert "multiplies the variance by 2 in each branch" in second
    assert "3x per block" in second
    assert "residual=scaled" in second


def test_vanishing(tmp_path: Path) -> None:
    first, second = lines(verdict(tmp_path, depth=24, residual="none", init="lecun"))
    assert first.startswith("vanishing")
    assert "init=lecun with gelu multiplies the variance by 0.2" in second


def test_the_advice_holds(tmp_path: Path) -> None:
    """What each of the two verdicts recommends makes the next run healthy."""
    run = verdict(tmp_path, depth=24, residual="scaled", init="he", activation="relu")
    assert "the flow is healthy" in lines(run)[0]


def test_lost_in_the_range_of_the_numbers(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=300, residual="identity", init="he", activation="relu")
    assert run.state == "diverged"
    first, second = lines(run)
    assert first.startswith("exploding")
    assert "nothing finite was measured" in first
    assert "3x per block" in second


def test_dead_units(tmp_path: Path) -> None:
    steep = {"optimizer": {"lr": 3.0}, "trainer": {"steps": 30, "clip": 1.0}}
    names: dict[str, Any] = {"activation": "relu", "residual": "none", "schedule": "constant"}
    (line,) = lines(verdict(tmp_path, depth=4, section=steep, **names))
    assert line.startswith("dead units")
    assert "activation=leaky_relu" in line


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        ({"residual": "rezero"}, "residual.start"),
        ({"residual": "identity", "init": "fixup"}, "init=he"),
    ],
)
def test_dominated_by_the_skip_path(names: dict[str, Any], advice: str, tmp_path: Path) -> None:
    slow = {"optimizer": {"lr": 0.05}}  # few updates of this size leave the branches where they are
    (line,) = lines(verdict(tmp_path, depth=8, section=slow, **names))
    assert line.startswith("dominated by the skip path")
    assert advice in line


TRAINED = {"trainer": {"steps": 150, "batch_size": 64}, "task": {"rows": 400}}


def test_healthy(tmp_path: Path) -> None:
    (line,) = lines(verdict(tmp_path, depth=4, section=TRAINED))
    assert line.startswith("healthy: |dL/dx_0| / |dL/dx_L| is ")
    assert line.endswith("take part")


def test_a_rate_of_zero_learns_nothing(tmp_path: Path) -> None:
    (line,) = lines(verdict(tmp_path, depth=4, section={"optimizer": {"lr": 0.0}}))
    assert line.startswith("nothing was learned: optimizer.lr=0 changes no weight; the flow is h")


def test_too_few_steps_are_no_better_than_the_mean(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=4, section={"trainer": {"steps": 1}})
    (line,) = lines(run)
    assert run.summary is not None
    assert run.summary.score is not None
    assert run.summary.score.value is not None
    assert run.summary.score.value < 0
    assert line.startswith(f"no better than predicting the mean: R² is -{line.split(' is -')[1]}")
    assert "; the flow is healthy: " in line


def test_overfitting_is_told_with_its_losses(tmp_path: Path) -> None:
    few = {"trainer": {"steps": 400, "batch_size": 16}, "task": {"rows": 40}}
    run = verdict(tmp_path, depth=4, section=few, schedule="constant")
    assert run.summary is not None
    (line,) = lines(run)
    assert line.startswith("overfitting: the loss is ")
    assert f"{run.summary.validation_loss:.3g} on the validation rows" in line
    assert f"at best {run.summary.best_validation_loss:.3g}" in line
    assert "; the flow is healthy: " in line


def test_of_a_run_that_its_rate_drove_apart_nothing_is_said(tmp_path: Path) -> None:
    """The divergence is told elsewhere, and the flow of its last row is no finding."""
    steep = {"optimizer": {"lr": 50.0}, "trainer": {"steps": 30, "clip": None}}
    run = verdict(tmp_path, depth=4, section=steep)
    assert run.state == "diverged"
    assert lines(run) == []


def test_uneven(tmp_path: Path) -> None:
    """A growth between tenfold and a hundredfold is neither healthy nor exploding."""
    names: dict[str, Any] = {"residual": "identity", "init": "he", "activation": "relu"}
    line, second = lines(verdict(tmp_path, depth=6, section=TRAINED, **names))
    told = line[line.index("uneven: |dL/dx_0| / |dL/dx_L| is ") :]
    assert 10 < float(told.split(" is ")[1].split(" and ")[0]) < 100
    assert second.startswith("init=he with relu multiplies the variance by 2")
    assert second.endswith("residual=scaled, norm=pre_layer or init=gpt2 tames it")


def test_a_flow_that_the_updates_spoil_is_uneven(tmp_path: Path) -> None:
    steep = {**TRAINED, "optimizer": {"lr": 0.1}}
    names: dict[str, Any] = {"residual": "none", "init": "lecun", "activation": "tanh"}
    line, second = lines(verdict(tmp_path, depth=16, section=steep, **names))
    assert line.startswith("uneven")
    assert line.endswith("within 10-fold at step 0 and not at the last")
    assert second.startswith("the updates made it so, not the initialisation; a smaller optimizer")
    names["residual"] = "scaled"
    line, *_ = lines(verdict(tmp_path / "advised", depth=16, section=steep, **names))
    assert "healthy" in line


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
    first, _ = lines(run)
    assert first.startswith("vanishing: dL/dx_l changes x0.")
    assert f"out of float32's range from block {lost} down (x10^-" in first
    assert "in all, if it went on so)" in first
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
    first, second = lines(verdict(tmp_path, depth=24, **names))
    assert first.startswith("exploding")
    assert "theory" not in first
    assert second == "residual=scaled, norm=pre_layer or init=gpt2 tames it"


FLOW = ("gradient_ratio", "growth_per_block")


def test_nothing_divided_by_nothing_is_written_so(tmp_path: Path) -> None:
    run = verdict(tmp_path, depth=4, section=TRAINED)
    flow = np.zeros_like(run.measures["signal_gradient_rms"].values)
    nothing = with_values(run.measures, signal_gradient_rms=flow)
    assert run.summary is not None
    numbers = [f"{name}_{end}" for name in FLOW for end in ("start", "end")]
    not_finite: dict[str, Any] = dict.fromkeys(numbers, math.nan)
    run = replace(run, measures=nothing, summary=replace(run.summary, **not_finite))
    shown = report.report(run)
    assert "0/0 at step 0   0/0 at step 150   (below float32's range everywhere)" in shown
    assert "not finite" not in shown
    (line,) = words(run, diverged=False)
    assert line == "no gradient: less than float32 can hold reaches the blocks at step 0"


def test_what_a_diverged_run_came_to_is_no_verdict(tmp_path: Path) -> None:
    """Dead units in the last row of a run that its rate drove apart are its end, no cause."""
    steep = {"optimizer": {"lr": 50.0}, "trainer": {"steps": 100, "clip": 1.0}}
    run = verdict(tmp_path, depth=4, section=steep, activation="relu")
    assert run.state == "diverged"
    assert run.measures["dead_share"].values[-1].max() > 0.6
    assert lines(run) == []
