"""What version 0.1.0 wrote is read: its runs, sweeps and comparison, interrupted ones included."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.compare import Options, collect, write_tables
from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.plots import draw
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import checkpoint, load_run
from ffn_train.runs.files import write_whole
from ffn_train.runs.old_names import NAMES
from ffn_train.runs.tensors import pieces
from ffn_train.train.stopping import Progress
from tests.support.command import command
from tests.support.small_runs import NOTES

OLD = Path(__file__).parent / "old_runs"
RUNS = sorted(path.name for path in (OLD / "runs").iterdir())
ENDED = sorted({*RUNS} - {"interrupted", "killed"})


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all of it, as the working directory: its paths are relative to that."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


def overrides_of(run: Path) -> list[str]:
    """The overrides that the run was made by."""
    command = json.loads((run / "provenance.json").read_text())["command"]
    assert isinstance(command, list)
    return command[1:]


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_read(name: str) -> None:
    run = load_run(OLD / "runs" / name)
    assert run.config["model"]["width"] == 8
    assert run.measures.step[0] == 0
    assert run.scalars["step"].tolist() == list(range(len(run.scalars["step"])))
    assert np.isfinite(run.measures.gradient_ratio[0])
    if name in ENDED:
        assert run.summary is not None
        state = name if name in ("diverged", "stopped") else "finished"
        assert run.summary.state == state
        weights = run.weights()
        assert sum(array.size for array in weights.values()) == run.provenance.parameters
        if state == "finished":
            assert run.scalars["step"][-1] == 40
            assert run.scalars["validation_loss"][-1] == run.summary.validation_loss
            assert run.theory is not None
    else:
        assert run.summary is None


@pytest.mark.parametrize("name", ["default", "stopped", "diverged", "killed", "several_targets"])
def test_its_figures_are_drawn(old: Path, name: str) -> None:
    run = load_run(old / "runs" / name)
    figures = draw(run, formats=["svg"])
    assert {path.name for path in figures} == {
        *("gradient_flow.svg", "heatmap.svg", "layers.svg", "loss.svg", "signal.svg", "updates.svg")
    }


def test_all_are_compared_to_the_same_tables(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # repetitions of a run counted as runs of their own
    monkeypatch.setattr("ffn_train.compare.comparison._distinct", list)
    shutil.move("comparison", "before")
    comparison = collect([Path("runs"), Path("sweeps")], Options(), NOTES.append)
    write_tables(comparison, Path("comparison"))
    for name in ("groups.csv", "runs.csv"):
        now = (old / "comparison" / name).read_text(encoding="utf-8")
        before = (old / "before" / name).read_text(encoding="utf-8")
        rows = list(csv.DictReader(before.splitlines()))
        assert in_order(as_it_was(now)) == in_order(rows)


def in_order(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Without the training loss, which was that of one batch, the activation of a gated block,
    which is none of its settings any more, and the means at the end over finished and unfinished
    runs together, which are those of the finished ones alone.
    """
    kept = [row for row in rows if row.get("metric") != "train_loss"]
    for row in kept:
        if 0 < int(row.get("n_unfinished", 0)) < int(row.get("n", 0)):
            at_start = row["metric"].endswith("_start") or row["metric"] == "least_squares_r2"
            left = () if at_start else ("n_values", "mean", "std", "stderr", "min", "max")
            row.update(dict.fromkeys(left, ""))
    for row in kept:
        row.pop("train_loss", None)
        if row["block"] == "swiglu":
            row["activation"] = ""
    return sorted(kept, key=lambda row: sorted(row.items()))


def as_it_was(text: str) -> list[dict[str, str]]:
    """A table's rows with the names of before; then there was no best score, and "" for NaN.

    Runs that a rule had stopped were called diverged, and the task of a table csv, which put its
    rows in another place.
    """
    before = {new: name for name, new in NAMES.items()} | {"table": "csv"}
    before |= {"share_lost": "share_diverged", "stopped": "diverged"}
    rows = []
    for row in csv.DictReader(text.splitlines()):
        if "n_stopped" in row:
            row["n_diverged"] = str(int(row["n_diverged"]) + int(row.pop("n_stopped")))
        if row.get("metric") == "best_score":
            continue
        cells = {key: "" if cell == "nan" else cell for key, cell in row.items()}
        for new in ("n_not_finite", "best_score", "learned", "held_back", "gradient_flow"):
            cells.pop(new, None)
        rows.append({before.get(key, key): before.get(c, c) for key, c in cells.items()})
    return rows


def test_a_run_that_goes_on_keeps_the_header_of_its_scalars(old: Path) -> None:
    path = old / "runs" / "default"
    run = execute(build_experiment(compose([*overrides_of(path), "trainer.steps=50"])), print)
    assert (path / "scalars.csv").read_text().startswith("step,loss,lr,gradient_norm,")
    assert "validation_r2\n" in (path / "scalars.csv").read_text()
    assert np.isfinite(run.scalars["validation_score"][-1])
    assert "validation_r2" not in run.scalars


def test_what_it_called_by_another_name_is_read() -> None:
    run = load_run(OLD / "runs" / "default")
    assert run.summary is not None
    score = run.summary.score
    assert score is not None
    assert (score.symbol, score.better, score.baseline_name) == (
        "R²",
        "higher",
        "linear regression",
    )
    assert score.value == run.scalars["validation_score"][-1]
    assert run.provenance.score is not None
    assert run.provenance.score.baseline == score.baseline
    assert run.provenance.baseline_loss == run.summary.baseline_loss
    diverged = load_run(OLD / "runs" / "diverged").summary
    assert diverged is not None
    assert diverged.train_loss is not None
    assert np.isnan(diverged.train_loss)  # null in the file: not finite
    assert score.best is None  # absent: not known


@pytest.mark.parametrize("name", ["interrupted", "killed"])
def test_one_that_was_cut_short_goes_on_to_where_an_undisturbed_one_came(
    old: Path, name: str
) -> None:
    run = execute(build_experiment(compose(overrides_of(old / "runs" / name))), NOTES.append)
    assert NOTES[-1].startswith(f"runs/{name} continues at step ")
    undisturbed = load_run(old / "runs" / "default")
    assert run.summary is not None
    assert run.summary.steps == 40
    for tensor, weight in undisturbed.weights().items():  # made on another machine, perhaps
        np.testing.assert_allclose(run.weights()[tensor], weight, rtol=1e-3, atol=1e-5)
    for column in ("loss", "validation_loss"):
        np.testing.assert_allclose(run.scalars[column], undisturbed.scalars[column], rtol=1e-3)


@pytest.mark.parametrize("name", ENDED)
def test_one_that_has_ended_is_left_as_it_is(old: Path, name: str) -> None:
    before = {p: p.read_bytes() for p in (old / "runs" / name).rglob("*") if p.is_file()}
    execute(build_experiment(compose(overrides_of(old / "runs" / name))), NOTES.append)
    state = {
        "diverged": "has diverged, so it cannot be extended",
        "stopped": r"was stopped \(the loss, .* lets it go on\); more steps do not extend it",
    }.get(name, r"has ended already; a larger trainer\.steps extends it")
    assert re.fullmatch(f"runs/{name} {state}", NOTES[-1])
    after = {p: p.read_bytes() for p in (old / "runs" / name).rglob("*") if p.is_file()}
    assert {p: b for p, b in after.items() if p.name != ".lock"} == before


@pytest.mark.parametrize("name", ["default", "extended", "csv", "swiglu"])
def test_one_that_has_ended_is_extended(old: Path, name: str) -> None:
    overrides = [*overrides_of(old / "runs" / name), "trainer.steps=50"]
    run = execute(build_experiment(compose(overrides)), NOTES.append)
    assert NOTES[-1] == f"runs/{name} was finished at step 40, now goes on to 50"
    assert run.scalars["step"].tolist() == list(range(51))


def test_another_run_is_refused_in_its_directory(old: Path) -> None:
    with pytest.raises(SettingError, match=r"holds another run: seed=0 there, 7 here"):
        execute(
            build_experiment(compose([*overrides_of(old / "runs" / "default"), "seed=7"])),
            NOTES.append,
        )


def sweep_command(sweep: str) -> list[str]:
    command = json.loads((OLD / "sweeps" / sweep / "manifest.json").read_text())["command"]
    assert isinstance(command, list)
    return command[1:]


@pytest.mark.parametrize("sweep", ["finished", "interrupted", "search"])
def test_a_sweep_of_other_code_goes_on_where_that_is_forced(old: Path, sweep: str) -> None:
    if sweep == "search":
        pytest.importorskip("optuna", reason="a search needs Optuna")
    manifest = old / "sweeps" / sweep / "manifest.json"
    content = json.loads(manifest.read_text(encoding="utf-8"))
    manifest.write_text(json.dumps({**content, "code": "0" * 64}), encoding="utf-8")
    again = command(*sweep_command(sweep), cwd=old)
    assert again.returncode == 2
    assert "made with something else: the package's code (" in again.stderr
    assert again.stderr.count("\n") == 1
    forced = command(*sweep_command(sweep), "resume=force", cwd=old)
    assert forced.returncode == 0, forced.stderr
    jobs = sorted((old / "sweeps" / sweep / "jobs").iterdir())
    assert len(jobs) == {"finished": 4, "interrupted": 3, "search": 3}[sweep]
    assert all(load_run(job).summary for job in jobs)


def test_counters_of_a_checkpoint_had_other_names(tmp_path: Path) -> None:
    arrays = {"parameters": np.arange(3.0)}
    progress = {"hopeless_for": 5, "lowest_hopeless": 2.5, "best_score": None}
    counters: dict[str, Any] = {"step": 7, **progress, "scalars_bytes": 0, "measures_rows": {}}
    entry = {"counters": counters, "sha256": checkpoint._digest(arrays, counters)}
    path = tmp_path / "step-000000007.safetensors"
    write_whole(path, pieces(arrays, {"checkpoint": json.dumps(entry)}))
    read = checkpoint.read_checkpoint(path)
    assert read.step == 7
    assert read.progress == Progress(exploded_for=5, lowest_exploded=2.5)
