"""What the default configuration and its presets are there to show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.tasks import R2, fit_least_squares
from ffn_train.train.threads import BlasThreads
from ffn_train.train.trainer import Record


def rows(*overrides: str) -> tuple[list[Record], Any]:
    experiment = build_experiment(compose([*overrides, "evaluate.every=100000"]))
    with BlasThreads(1):
        state = experiment.trainer.start(experiment.params)
        return list(experiment.trainer.fit(state)), experiment


def least_squares(experiment: Experiment) -> float:
    """Linear regression's R² on the validation rows."""
    return R2().value(experiment.data.y_validation, fit_least_squares(experiment.data))


def ratio(row: Record) -> float:
    rms = row.measures["signal_gradient_rms"]
    return float(rms[0] / rms[-1])


def test_the_default_run_solves_what_a_straight_line_cannot() -> None:
    records, experiment = rows("measure.every=100000")
    assert records[-1].validation_score > 0.9
    assert least_squares(experiment) < 0.5


def test_depth_64_without_a_skip_path_gets_no_gradient() -> None:
    records, _ = rows("experiment=plain64", "trainer.steps=40")
    assert ratio(records[0]) < 1e-15
    assert records[-1].validation_score < 0.05


def test_depth_64_with_the_identity_starts_from_a_loss_out_of_all_proportion() -> None:
    records, _ = rows("experiment=identity64", "trainer.steps=20")
    assert records[0].loss > 1e6
    assert records[-1].loss > 1e3
    assert ratio(records[0]) > 1e4


def test_depth_64_scaled_trains() -> None:
    records, experiment = rows("experiment=scaled64", "trainer.steps=80")
    assert 0.3 < ratio(records[0]) < 3
    assert records[-1].validation_score > least_squares(experiment) + 0.1


def test_diabetes_over_ten_splits_is_no_worse_than_least_squares() -> None:
    config = compose(["experiment=diabetes", "measure.every=100000", "evaluate.every=100000"])
    ours, theirs = [], []
    with BlasThreads(1):
        for seed in range(10):
            experiment = build_experiment({**config, "seed": seed})
            state = experiment.trainer.start(experiment.params)
            *_, last = experiment.trainer.fit(state)
            ours.append(last.validation_score)
            theirs.append(least_squares(experiment))
    assert np.mean(ours) >= np.mean(theirs) - 0.02


@pytest.mark.parametrize("task", ["sinusoid", "friedman", "linear", "teacher"])
def test_every_task_trains(task: str) -> None:
    records, _ = rows(f"task={task}", "task.rows=400", "trainer.steps=30", "model.depth=2")
    assert records[-1].loss < records[0].loss
