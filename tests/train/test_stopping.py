"""Early stopping and the best parameters: what the rules remember, and when they end a run."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ffn_train.running.experiment import build_experiment
from ffn_train.tasks.scores import R2, Score
from ffn_train.train.shards import Shards
from ffn_train.train.stopping import Progress
from ffn_train.train.trainer import BEST, Record, State, Trainer
from tests.support.choices import settings
from tests.support.small_runs import config


class Error(R2):
    better = "lower"


@pytest.mark.parametrize(
    ("score", "values", "best", "step", "since"),
    [
        # the first of equals; NaN does not count
        (R2(), [0.1, 0.3, 0.3, math.nan, 0.2], 0.3, 1, 2),
        (Error(), [0.1, 0.3, 0.05], 0.05, 2, 0),
        (R2(), [-math.inf, -2.0], -2.0, 1, 0),
        (R2(), [math.nan, math.nan], None, 0, 0),
    ],
)
def test_the_best_score_so_far(
    score: Score, values: list[float], best: float | None, step: int, since: int
) -> None:
    progress = Progress()
    for at, value in enumerate(values):
        progress = progress.with_score(at, value, score)
    assert (progress.best_score, progress.best_step, progress.since_best) == (best, step, since)


def trained(**trainer: Any) -> tuple[list[Record], State, Trainer]:
    """A run of 30 steps at most on noise, so that its score soon falls."""
    chosen = {
        "trainer": {"steps": 30, "keep": "best", **trainer},
        "task": {**settings("task", "sinusoid"), "rows": 60, "noise": 3.0},
        "evaluate": {"every": 2},
        "measure": {"every": 5},
    }
    experiment = build_experiment(config(**chosen))
    state = experiment.trainer.start(experiment.params)
    return list(experiment.trainer.fit(state)), state, experiment.trainer


def test_early_stopping_ends_a_run_with_a_row_that_has_everything() -> None:
    whole, *_ = trained()
    scores = {row.step: row.validation_score for row in whole[::2]}
    rows, state, _ = trained(early_stopping=3)
    last = rows[-1]
    best = max((s for s in scores if s <= last.step), key=lambda s: scores[s])
    assert last.step < 30
    assert last.step == best + 6
    assert last.step % 5, "a row that would not have been measured"
    assert last.divergence is None
    assert last.stopped.startswith("early stopping, the best R² of ")
    assert last.stopped.endswith(f"at step {best} was not improved on in 3 evaluations")
    assert math.isnan(last.lr)  # no update is taken from it
    assert last.measures.keys() == rows[0].measures.keys()
    assert [row.loss for row in rows] == [row.loss for row in whole[: len(rows)]]
    assert state.kept == best


def test_the_best_parameters_are_those_of_the_best_score() -> None:
    rows, state, trainer = trained()
    best = max((row for row in rows if row.step % 2 == 0), key=lambda row: row.validation_score)
    assert 0 < best.step < 30
    assert state.kept == best.step
    params = state.params
    params.vector[...] = state.memory[BEST]
    with Shards(1) as shards:
        assert trainer.validate(params, shards) == (best.validation_loss, best.validation_score)


def test_the_last_step_is_an_end_of_its_own() -> None:
    finished, state, _ = trained(early_stopping=30)
    assert finished[-1].step == 30
    assert not finished[-1].stopped
    assert state.kept is not None
    _, state, _ = trained(keep="last")
    assert state.kept is None
    assert BEST not in state.memory


def test_a_loss_that_has_exploded_is_no_early_stopping() -> None:
    """Both rules apply at step 3; a row has one end, and this one is lost."""
    chosen = {
        "init": settings("init", "he") | {"bias_std": 1e4},
        "optimizer": settings("optimizer", "sgd") | {"lr": 0.0},
        "residual": settings("residual", "identity"),
        "trainer": {"patience": 4, "early_stopping": 3},
        "evaluate": {"every": 1},
    }
    experiment = build_experiment(config(**chosen))
    *_, last = experiment.trainer.fit(experiment.trainer.start(experiment.params))
    assert last.step == 3
    assert last.divergence is not None
    assert not last.stopped
