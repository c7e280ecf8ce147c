"""What a run leaves of its best step and of its test rows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.compare.case import read_case
from ffn_train.compare.discovery import find
from ffn_train.compare.groups import Group
from ffn_train.plots.sheet import describe
from ffn_train.report.text import report
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.checkpoint import checkpoints
from ffn_train.runs.finding import LEARNED
from ffn_train.runs.score import ScoreResult
from ffn_train.runs.status import Status, written_status
from ffn_train.runs.summary import Summary
from ffn_train.tasks.scores import R2
from tests.support.choices import settings
from tests.support.small_runs import NOTES, config, run_in

NOISE = {**settings("task", "sinusoid"), "rows": 60, "noise": 3.0}  # the score soon falls


def noisy(test: float = 0.2, steps: int = 30, **trainer: Any) -> dict[str, Any]:
    return config(
        task={**NOISE, "test": test},
        trainer={"steps": steps, "keep": "best", **trainer},
        evaluate={"every": 2},
        checkpoint={"every": 2},
    )


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a test part that early stopping has ended."""
    return run_in(tmp_path_factory.mktemp("runs") / "stopped", noisy(early_stopping=3))


def outcome(run: Run) -> tuple[Summary, ScoreResult]:
    assert run.summary is not None
    assert run.summary.score is not None
    return run.summary, run.summary.score


def recomputed(run: Run, settings: dict[str, Any], which: Any, part: str) -> float:
    """The score of the weights in a file on a part, by another way than the run's."""
    experiment = build_experiment(settings)
    params = experiment.params
    for name, array in experiment.model.layout.named(params.vector).items():
        array[...] = run.weights(which)[name]
    x, y = (getattr(experiment.data, f"{side}_{part}") for side in "xy")
    return R2().value(y, experiment.model.predict(params, x))


def header(run: Run) -> str:
    """What the header of each figure says, in a line."""
    return " ".join(describe(run).replace("\xa0", " ").split())


def test_the_scores_are_those_of_the_weights_in_the_files(stopped: Run) -> None:
    summary, score = outcome(stopped)
    assert summary.test_score is not None
    assert (summary.state, summary.divergence) == ("stopped", None)
    assert summary.kept_step == score.best_step
    chosen = noisy()
    at_end = recomputed(stopped, chosen, "last", "validation")
    assert at_end == pytest.approx(score.value, abs=1e-9)
    best = recomputed(stopped, chosen, "best", "validation")
    assert best == pytest.approx(score.best, abs=1e-9)
    assert best > at_end
    tested = recomputed(stopped, chosen, "best", "test")
    assert tested == pytest.approx(summary.test_score.value, abs=1e-9)
    assert summary.scores is not None
    assert summary.scores["R²"]["y1"] == summary.test_score.value
    assert stopped.provenance.test_rows == 12


def test_a_stopped_run_says_by_which_rule_and_its_headline_is_of_the_test_rows(
    stopped: Run,
) -> None:
    summary, score = outcome(stopped)
    assert summary.test_score is not None
    reason = f"early stopping, the best R² of {score.best:.3g} at step "
    status = written_status(stopped.path)
    assert status is not None
    assert status.state == "stopped"
    assert status.reason.startswith(reason)
    lines = report(stopped).split("\n")
    assert lines[0].split(maxsplit=1) == ["stopped", f"at step {summary.steps}: {status.reason}"]
    where = f"on the test rows (weights of step {summary.kept_step})"
    value = f"{summary.test_score.value:.3g} {where}"
    assert any(line.startswith("R²") and value in line for line in lines)
    (learned,) = (f for f in summary.verdict if f.question == LEARNED)
    assert f"R² {value}" in learned.text
    assert f"R² {summary.test_score.value:.3g} on the test rows" in header(stopped)


def test_without_test_rows_the_best_of_many_is_called_optimistic(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", noisy(test=0.0))
    summary, score = outcome(run)
    assert (summary.state, summary.test_score) == ("finished", None)
    where = "on the validation rows (best of 16 evaluations, optimistic)"
    assert f"R² {score.best:.3g} {where}" in report(run)
    assert f"R² {score.best:.3g} · learned" in header(run)
    best = recomputed(run, noisy(test=0.0), "best", "validation")
    assert summary.scores is not None
    assert summary.scores["R²"]["y1"] == pytest.approx(best, abs=1e-9)
    plain = run_in(tmp_path / "plain", noisy(test=0.0, keep="last"))
    assert "optimistic" not in report(plain)
    assert not (plain.path / files.BEST).exists()
    with pytest.raises(RunError, match=r"trainer\.keep=best keeps them"):
        plain.weights("best")


def test_the_validation_rows_are_the_same_with_a_test_part_and_training_does_not_see_it() -> None:
    with_test, without = (build_experiment(noisy(test=test)) for test in (0.2, 0.0))
    rows = [len(getattr(with_test.data, f"x_{part}")) for part in ("train", "validation", "test")]
    assert rows == [36, 12, 12]
    assert len(without.data.x_test) == 0
    assert without.data.tested is None

    def originals(data: Any, part: str) -> set[float]:
        x = getattr(data, f"x_{part}")[:, 0] * data.input_std[0] + data.input_mean[0]
        return {round(float(value), 5) for value in x}

    assert originals(with_test.exact, "validation") == originals(without.exact, "validation")
    training, test = (originals(with_test.exact, part) for part in ("train", "test"))
    assert originals(without.exact, "train") == training | test


def test_a_run_that_stopped_early_counts_in_means(stopped: Run) -> None:
    (place,) = find([stopped.path], NOTES.append)
    case = read_case(place)
    assert (case.state, case.words) == ("stopped", "ended by early stopping")
    assert not case.lost
    group = Group({}, [case])
    assert (group.count("stopped"), group.share_lost) == (0, 0)
    assert Status("stopped", "its loss grew").words == "stopped"


def test_more_steps_do_not_extend_what_early_stopping_ended(stopped: Run) -> None:
    before = {path: path.read_bytes() for path in stopped.path.glob("*.*")}
    run = run_in(stopped.path, noisy(early_stopping=3, steps=40))
    assert run.state == "stopped"
    assert re.search(r"was stopped \(early stopping, .*\); more steps do not extend it", NOTES[-1])
    assert {path: path.read_bytes() for path in stopped.path.glob("*.*")} == before


def test_the_best_weights_are_sealed(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", noisy())
    path = run.path / files.BEST
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(RunError, match="its digest differs"):
        load_run(run.path).weights("best")
    assert np.isfinite(load_run(run.path).weights()["input.weight"]).all()
    assert files.BEST in json.loads((run.path / files.SUMMARY).read_text())["files"]
    assert checkpoints(run.path)
