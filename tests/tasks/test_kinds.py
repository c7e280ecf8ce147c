"""A task of another kind from outside, with its loss and a score of which less is better."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ffn_train.compare import Options, collect, table, write_tables
from ffn_train.config import outside, registry
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.report.text import report
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run, load_run
from tests.support.small_runs import NOTES, SMALL

PARTS = f"parts=['{Path(__file__).with_name('classes.py')}']"
CLASSES = (PARTS, "task=rings", "loss=log_loss")
LONGER = ("model.width=16", "trainer.steps=150", "optimizer.lr=0.1", "evaluate.every=10")


@pytest.fixture(scope="module", autouse=True)
def _forgotten() -> Iterator[None]:
    """What the file declares is no choice of other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outside, "_loaded", {})
        yield
        for name, digest in outside._loaded.items():
            registry.forget(outside._module(name, digest))


def trained(path: Path, *overrides: str) -> Run:
    small = [text for text in SMALL if not text.startswith("task.rows")]
    config = compose([*small, *CLASSES, *LONGER, f"run.dir={path}", *overrides])
    return execute(build_experiment(config), NOTES.append)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a run that learns, and one that has no time to."""
    root = tmp_path_factory.mktemp("rings")
    for seed in (0, 1):
        trained(root / f"long{seed}", f"seed={seed}")
    trained(root / "short", "trainer.steps=1", "optimizer.lr=1e-6")
    return root


def test_the_best_score_is_the_lowest(runs: Path) -> None:
    run = load_run(runs / "long0")
    assert run.summary is not None
    score, errors = run.summary.score, run.scalars["validation_score"]
    assert score is not None
    assert score.best is not None
    assert (score.symbol, score.better) == ("error", "lower")
    assert run.provenance.loss_unit is None  # classes have no standard deviations
    assert score.best == np.nanmin(errors)
    assert score.best < np.nanmax(errors)
    assert score.best_step == run.scalars["step"][np.nanargmin(errors)]
    assert score.baseline is not None
    assert score.best < score.baseline
    assert run.scalars["loss"][-1] < run.scalars["loss"][0]


def test_the_report_reads_it_downwards(runs: Path) -> None:
    printed = report(load_run(runs / "long0"))
    (line,) = (line for line in printed.splitlines() if line.startswith("error "))
    assert "nearest mean 0." in line
    assert "worse than" not in printed
    short = report(load_run(runs / "short"))
    assert "on the validation rows, worse than naming the commonest class" in short


def test_a_comparison_has_it_by_its_symbol(runs: Path, tmp_path: Path) -> None:
    comparison = collect([runs], Options(metric="validation_r2"), NOTES.append)
    assert comparison.metric.heading == ("", "error")
    best = {case.label: case.metrics["best_score"] for case in comparison.cases}
    assert best["long0"] == np.nanmin(load_run(runs / "long0").scalars["validation_score"])
    assert comparison.metrics["best_score"].heading == ("best", "error")
    assert "nearest mean" in table(comparison)


def test_beside_a_regression_it_is_only_a_score(runs: Path, tmp_path: Path) -> None:
    execute(build_experiment(compose([*SMALL, f"run.dir={tmp_path}/other"])), NOTES.append)
    comparison = collect([runs, tmp_path], Options(), NOTES.append)
    assert comparison.metrics["validation_score"].heading == ("", "score")
    write_tables(comparison, tmp_path / "tables")
    assert "validation_score" in (tmp_path / "tables" / "runs.csv").read_text()


def test_a_run_has_exploded_by_the_losss_own_measure(tmp_path: Path) -> None:
    config = compose([*SMALL, *CLASSES])
    trainer = build_experiment(config).trainer
    share = trainer.data.y_train.mean(axis=0)
    assert trainer.trivial_loss == pytest.approx(-(share * np.log(share)).sum())
    large = ("init=he", "init.bias_std=1e4", "residual=identity", "optimizer.lr=0")
    run = trained(tmp_path / "run", *large, "trainer.patience=2")
    assert run.summary is not None
    assert run.summary.divergence is not None
    assert "1000 times that of predicting the frequencies" in run.summary.divergence.reason


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            ["loss=log_loss"],
            "loss=log_loss needs a task of the kind classification, "
            "got task=sinusoid, of the kind regression",
        ),
        (
            ["task=rings"],
            "loss=mse needs a task of the kind regression, "
            "got task=rings, of the kind classification",
        ),
    ],
)
def test_a_loss_of_another_kind_is_refused(chosen: list[str], message: str) -> None:
    small = [text for text in SMALL if not text.startswith("task.rows")]
    with pytest.raises(SettingError) as caught:
        build_experiment(compose([*small, PARTS, *chosen]))
    assert str(caught.value) == message
