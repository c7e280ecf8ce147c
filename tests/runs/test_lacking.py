"""Runs that lack what others have: read, told of and compared, with nothing made up."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from ffn_train.compare import Options, collect, table
from ffn_train.compare.tables import tables
from ffn_train.plots import figure
from ffn_train.report.text import report
from ffn_train.report.verdict import verdict
from ffn_train.runs import Run, RunError, files, load_run, records
from ffn_train.runs.provenance import Provenance
from ffn_train.runs.summary import Summary
from tests.support.small_runs import NOTES, config, run_in
from tests.support.unsealed import unseal


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "whole"
    run_in(path, config())
    return path


@pytest.fixture
def lacking(whole: Path, tmp_path: Path) -> Path:
    """A finished run of another program: no settings, score, baseline, theory or times."""
    path = Path(shutil.copytree(whole, tmp_path / "runs" / "lacking"))
    (path / files.THEORY).unlink()
    files.write_json(path / files.CONFIG, {})
    files.write_json(path / files.PROVENANCE, {"program": "another"})
    files.write_json(path / files.SUMMARY, {"state": "finished", "train_loss": None, "epochs": 3})
    header, *rows = (path / files.SCALARS).read_text().splitlines()
    assert header.endswith(",validation_loss,validation_score")
    rows = [row.rpartition(",")[0] for row in (header, *rows)]
    (path / files.SCALARS).write_text("\n".join(rows) + "\n")
    return path


def test_what_is_not_known_is_none_and_what_is_not_finite_nan(lacking: Path) -> None:
    run = load_run(lacking)
    assert run.provenance == Provenance()
    assert run.score is None
    assert run.summary is not None
    assert run.summary.train_loss is not None
    assert math.isnan(run.summary.train_loss)
    assert run.summary == Summary(train_loss=run.summary.train_loss)


def test_the_report_leaves_out_what_it_does_not_know(lacking: Path) -> None:
    lines = report(load_run(lacking)).splitlines()
    assert [line.split()[0] for line in lines] == ["loss", "saved"]
    assert lines[0].split() == ["loss", "training", "not", "finite"]
    (lacking / files.SUMMARY).unlink()
    assert report(load_run(lacking)).startswith("saved in")


def with_flow(run: Run, slope: float) -> Run:
    """The run with a signal gradient that changes so much in the logarithm from block to block."""
    flow = run.measures["signal_gradient_rms"].values
    flow[:] = np.exp(-slope * np.arange(flow.shape[1]))
    return run


def test_the_verdict_is_of_the_flow_alone(lacking: Path) -> None:
    def kinds(run: Run) -> list[str]:
        return [finding.kind for finding in verdict(run)]

    assert kinds(load_run(lacking)) == ["healthy"]
    assert kinds(with_flow(load_run(lacking), 2.0)) == ["exploding"]
    assert kinds(with_flow(load_run(lacking), 1.0)) == ["uneven"]
    files.write_json(lacking / files.CONFIG, {"residual": {"name": "of another program"}})
    assert kinds(with_flow(load_run(lacking), 2.0)) == ["exploding"]


@pytest.mark.parametrize("ended", [True, False])
def test_it_is_compared_with_others_and_alone(lacking: Path, whole: Path, ended: bool) -> None:
    if not ended:
        (lacking / files.SUMMARY).unlink()
        files.write_json(lacking / files.STATUS, {"state": "interrupted"})
    for roots in ([lacking], [lacking, whole]):
        comparison = collect(roots, Options(), NOTES.append)
        assert comparison.skipped == 0
        (case,) = (case for case in comparison.cases if "lacking" in case.label)
        assert case.seed is None
        assert "validation_score" not in case.metrics
        assert table(comparison)
    assert comparison.varied == ["run"]
    assert [len(group.cases) for group in comparison.groups] == [1, 1]
    theirs, ours = sorted(
        tables(comparison)["runs.csv"].splitlines()[1:], key=lambda row: "lacking" in row
    )
    assert ",," not in theirs.partition(",finished,")[2]
    assert ours.partition("finished," if ended else "interrupted,")[2].count(",,") > 0


def test_its_loss_is_drawn(lacking: Path) -> None:
    assert figure(load_run(lacking), "loss") is not None


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (files.SUMMARY, {"train_loss": "low"}, "train_loss is of the wrong type"),
        (files.SUMMARY, {"train_loss": 10**400}, "a number of 401 digits"),
        (files.SUMMARY, {"steps": True}, "steps is of the wrong type"),
        (files.SUMMARY, {"verdict": "healthy"}, "verdict is of the wrong type"),
        (files.SUMMARY, {"divergence": {"step": 1}}, "divergence.phase is missing"),
        (files.SUMMARY, {"score": {"better": "left"}}, "score.name is missing"),
        (files.SUMMARY, {"theory": [1]}, "theory is not an object"),
        (files.PROVENANCE, {"seed": 1.5}, "seed is of the wrong type"),
    ],
)
def test_what_has_another_type_is_named(
    whole: Path, tmp_path: Path, name: str, change: dict[str, object], message: str
) -> None:
    path = unseal(Path(shutil.copytree(whole, tmp_path / "copy")))
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps({**content, **change}))
    with pytest.raises(RunError) as caught:
        load_run(path)
    assert str(caught.value) == f"{path / name}: {message}"


def test_what_is_written_is_read_back(whole: Path, tmp_path: Path) -> None:
    run = load_run(whole)
    assert run.summary is not None
    for record in (run.summary, run.provenance):
        records.write(tmp_path / "record.json", record)
        assert records.read(type(record), tmp_path / "record.json") == record
