"""Runs read from directories: finished, unfinished, damaged, not yet begun."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ffn_train.compare import Options, collect, reading, table
from ffn_train.compare.metrics import STANDARD
from ffn_train.compare.tables import tables
from ffn_train.config.settings import SettingError
from ffn_train.runs import files, load_run
from tests.compare.made_up import (
    copied,
    drawn,
    rows,
    sweep_of,
    titles,
    told,
)
from tests.support.command import as_nobody
from tests.support.small_runs import config, run_in


def test_runs_are_found_wherever_they_are_and_once(sweep: Path) -> None:
    comparison, notes = told(sweep, sweep / "d1s0", sweep)
    assert notes == []
    assert [c.label for c in comparison.cases] == ["d1s0", "d1s1", "d3s0", "d3s1"]
    alone, _ = told(sweep / "d3s1")
    assert [c.label for c in alone.cases] == ["d3s1"]
    assert len(collect([str(sweep)], Options(), notify=notes.append).cases) == 4
    with pytest.raises(SettingError, match="no directory is given"):
        collect([], Options(), notify=notes.append)


def test_links_to_runs_are_followed(sweep: Path, tmp_path: Path) -> None:
    for name, target in (("a", sweep / "d1s0"), ("b", sweep / "d3s1"), ("circle", tmp_path)):
        (tmp_path / name).symlink_to(target)
    comparison, notes = told(tmp_path, sweep / "d1s0")
    assert notes == []
    assert [case.path for case in comparison.cases] == [sweep / "d1s0", sweep / "d3s1"]


def test_metrics_are_those_of_the_summary(sweep: Path) -> None:
    comparison, _ = told(sweep)
    for case in comparison.cases:
        run = load_run(case.path)
        assert run.summary is not None
        score = run.summary.score
        assert score is not None
        assert score.best == max(run.scalars["validation_score"][[0, 4, 8]])
        scores = {"validation_score": score.value, "best_score": score.best}
        scores |= {"baseline_score": score.baseline}
        for name in case.metrics.keys() - {"best_train_loss"}:
            assert case.metrics[name] == scores.get(name, getattr(run.summary, name, None))
        assert case.metrics["best_train_loss"] == run.scalars["loss"].min()
        assert case.poor == 9  # R² of -9, ten times the error of the mean


def test_runs_with_test_rows_are_compared_by_their_test_score(tmp_path: Path) -> None:
    task = config()["task"] | {"test": 0.2}
    runs = [run_in(tmp_path / str(seed), config(seed=seed, task=task)) for seed in (0, 1)]
    comparison, notes = told(tmp_path, metric="test_score")
    assert notes == []
    scores = [run.summary.test_score for run in runs if run.summary is not None]
    assert [case.metrics["test_score"] for case in comparison.cases] == [
        score.value for score in scores if score is not None
    ]
    shown = table(comparison, 80)
    assert re.search(r"test +.*\n.*\bR² ", shown)
    assert "all scores but test R² are of the validation rows" in shown


def test_a_damaged_run_is_named_and_left_out(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    for name, file in (("d1s0", files.MEASURES), ("d1s1", files.CONFIG), ("d3s0", files.SUMMARY)):
        (root / name / file).write_bytes((root / name / file).read_bytes()[:40])
    comparison, notes = told(root)
    assert [c.label for c in comparison.cases] == ["d3s1"]
    assert comparison.skipped == 3
    for note, name in zip(notes, ("d1s0", "d1s1", "d3s0"), strict=True):
        assert note.startswith("damaged run left out: ")
        assert name in note
        assert "\n" not in note
    assert "1 finished, 3 damaged and left out" in table(comparison)


def test_what_may_not_be_looked_into_is_named_and_left_out(seen_by_all: Path) -> None:
    """Runs of another user are in the way of no comparison of one's own."""
    sweep_of(seen_by_all / "sweep", "seed=0,1")
    run_in(seen_by_all / "run", config())
    first, second = sorted((seen_by_all / "sweep" / "jobs").iterdir())
    for path in (first, seen_by_all / "run"):
        path.chmod(0)

    def compared() -> None:
        comparison, notes = told(seen_by_all)
        print(*(case.path.name for case in comparison.cases), *notes, sep="\n")

    done = as_nobody(compared, seen_by_all)
    for path in (first, seen_by_all / "run"):
        path.chmod(0o755)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        second.name,
        f"{seen_by_all / 'run'}: Permission denied",
        f"damaged run left out: {first / files.CONFIG}: Permission denied",
    ]


def test_many_runs_are_read_by_several_processes_with_the_same_result(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(sweep, tmp_path / "runs")
    (root / "d1s1" / files.CONFIG).write_bytes(b"{")
    alone = told(root)
    monkeypatch.setattr(reading, "MANY", 4)
    monkeypatch.setattr(reading, "_AT_A_TIME", 1)
    notes: list[str] = []
    together = collect([root], Options(), notes.append, processes=2)
    assert notes == alone[1]  # what is damaged
    assert tables(together) == tables(alone[0])


def test_a_script_may_read_many_runs_without_a_guard_of_its_main_module(
    sweep: Path, tmp_path: Path
) -> None:
    copied(sweep, tmp_path / "runs")
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\n"
        "from ffn_train.compare import Options, collect, reading\n"
        "reading.MANY = 2\n"
        "print(len(collect([Path('runs')], Options(), print).cases))\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("4\n", "")


def unfinished(path: Path) -> None:
    (path / files.SUMMARY).unlink()
    (path / files.STATUS).write_text(json.dumps({"state": "running", "reason": None}))


def test_an_unfinished_run_counts_as_it_stands_and_is_marked(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    shutil.rmtree(root / "d3s0")
    unfinished(root / "d3s1")
    scalars = root / "d3s1" / files.SCALARS
    lines = scalars.read_text().splitlines(keepends=True)
    scalars.write_text("".join(lines[:7]) + lines[7][:9])  # the last row half written
    comparison, notes = told(root)
    assert notes == []
    case = comparison.cases[-1]
    assert case.state == "interrupted"  # no process holds it
    assert case.metrics["train_loss"] == load_run(root / "d3s1").scalars["loss"][:6].mean()
    assert case.metrics["validation_loss"] == load_run(root / "d3s1").scalars["validation_loss"][4]
    row = rows(tables(comparison)["groups.csv"])[-1]
    assert (row["n"], row["n_unfinished"]) == ("1", "1")
    assert "1 unfinished, shown as they are now" in table(comparison)


def test_the_end_as_it_stands_is_that_of_the_summary(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    unfinished(root / "d3s1")
    before, after = (told(path)[0].cases[-1].metrics for path in (sweep, root))
    assert after == before


def test_a_number_that_is_not_finite_is_nan_in_the_table(tmp_path: Path) -> None:
    lost = config(optimizer={"lr": 1e4}, trainer={"clip": None})
    run = run_in(tmp_path / "lost", lost)
    assert run.state == "diverged"
    assert run.scalars["loss"].max() == math.inf
    comparison, _ = told(tmp_path)
    (row,) = rows(tables(comparison)["runs.csv"])
    assert row["train_loss"] == "nan"
    assert "inf" not in row.values()
    assert math.isfinite(float(row["gradient_ratio_start"]))


def test_a_program_that_logs_no_loss_is_compared_by_what_it_has(
    sweep: Path, tmp_path: Path
) -> None:
    root = copied(sweep, tmp_path / "runs")
    for name in ("d1s0", "d3s0"):
        unfinished(root / name)
        scalars = root / name / files.SCALARS
        text = scalars.read_text()
        assert text.startswith("step,loss,")
        scalars.write_text(text.replace("step,loss,", "step,error,", 1))
    comparison, notes = told(root / "d1s0", root / "d3s0")
    assert notes == []
    assert titles(drawn(comparison, "layers")) == ["depth 1", "depth 3"]


@pytest.mark.parametrize("left", [(), (files.SCALARS,), (files.SCALARS, files.LAYOUT)])
def test_a_run_that_has_just_begun_is_not_a_damaged_one(
    sweep: Path, tmp_path: Path, left: tuple[str, ...]
) -> None:
    root = copied(sweep, tmp_path / "runs")
    unfinished(root / "d3s1")
    for name in (files.SCALARS, files.MEASURES, files.LAYOUT):
        if name not in left:
            (root / "d3s1" / name).unlink()
    from ffn_train.runs.directory import claim

    with claim("run.dir", root / "d3s1", root):
        comparison, notes = told(root)
    assert notes == []
    assert [c.state for c in comparison.cases if c.traces is None] == ["running"]
    assert "1 without results" in table(comparison)


def test_a_running_run_counts_that_measures_at_steps_of_its_own(tmp_path: Path) -> None:
    from ffn_train.runs.directory import claim

    path = tmp_path / "run"
    run_in(path, config(measure={"quantities": {"default": 4}}))
    assert not (path / files.MEASURES).exists()
    unfinished(path)
    with claim("run.dir", path, tmp_path):
        (case,) = told(path)[0].cases
    assert case.state == "running"
    assert case.traces is not None
    assert case.traces.flow_steps.tolist() == [0, 4, 8]


@pytest.mark.parametrize("lost", [files.CONFIG, files.SCALARS])
def test_an_ended_run_without_its_settings_or_rows_is_a_damaged_one(
    sweep: Path, tmp_path: Path, lost: str
) -> None:
    root = copied(sweep, tmp_path / "runs")
    (root / "d3s1" / lost).write_text("")
    if lost == files.CONFIG:
        (root / "d3s1" / lost).unlink()
    comparison, notes = told(root)
    assert len(notes) == 1
    assert "d3s1" in notes[0]
    assert all("d3s1" not in c.label for c in comparison.cases)


def test_jobs_of_a_sweep_that_have_not_begun_or_failed_are_counted(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", "seed=0,1", "model.depth=1,2")
    jobs = sorted((tmp_path / "sweep" / "jobs").glob("*depth=1*"))
    shutil.rmtree(jobs[0])
    for path in jobs[1].iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (jobs[1] / files.STATUS).write_text(json.dumps({"state": "failed", "reason": "a reason"}))
    comparison, notes = told(tmp_path / "sweep")
    assert notes == []
    assert [c.state for c in comparison.cases] == ["pending", "failed", "finished", "finished"]
    assert comparison.counts == "4 runs: 1 failed, 2 finished, 1 pending"
    groups = rows(tables(comparison)["groups.csv"])
    assert [row["n_without_results"] for row in groups[:: len(STANDARD)]] == ["2", "0"]
    with pytest.raises(SettingError, match=r"has results yet \(1 failed, 1 pending\)$"):
        told(tmp_path / "sweep", where=["depth=1"])


def test_what_a_manifest_does_not_list_is_left_out_and_told(sweep: Path, tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", "seed=0,1")
    before = told(tmp_path / "sweep")[0]
    jobs = tmp_path / "sweep" / "jobs"
    shutil.copytree(sweep / "d1s0", jobs / "d1s0")
    (jobs / "notes").mkdir()
    comparison, notes = told(tmp_path / "sweep")
    assert notes == [f"left out: 1 run in {jobs} that its manifest.json does not list"]
    assert tables(comparison)["runs.csv"] == tables(before)["runs.csv"]


def test_the_tables_hold_no_times_and_no_absolute_paths(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "elsewhere")
    for index, path in enumerate(sorted(root.iterdir(), reverse=True)):
        provenance = json.loads((path / files.PROVENANCE).read_text())
        changed = {**provenance, "started": str(index), "training_seconds": float(index)}
        (path / files.PROVENANCE).write_text(json.dumps(changed))
    here, there = (tables(told(path)[0]) for path in (sweep, root))
    assert here["groups.csv"] == there["groups.csv"]
    assert here["runs.csv"] == there["runs.csv"]
    assert here["times.csv"] != there["times.csv"]


def test_numbers_ascend_and_words_stand_as_their_sweep_has_them(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", "residual=scaled,none,identity", "model.depth=2,10,1")
    comparison, _ = told(tmp_path / "sweep")
    assert titles(drawn(comparison, "layers")) == [
        f"residual {r}, depth {d}" for r in ("scaled", "none", "identity") for d in (1, 2, 10)
    ]
    assert titles(drawn(comparison, "loss_curves")) == [
        f"residual {r}" for r in ("scaled", "none", "identity")
    ]
    assert [row["residual"] for row in rows(tables(comparison)["runs.csv"])][::3] == [
        *("scaled", "none", "identity")
    ]
