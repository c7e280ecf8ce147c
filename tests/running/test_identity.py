"""What a run is: this run alone goes on in its directory, on the rows that it was trained on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.compare import Options, collect
from ffn_train.config.settings import SettingError
from ffn_train.runs import files, load_run
from ffn_train.runs.checkpoint import checkpoints
from tests.running.test_resume import OFTEN, cut_run, results
from tests.support.small_runs import NOTES, config, run_in


def write_table(path: Path, change: Callable[[np.ndarray], np.ndarray] = lambda rows: rows) -> None:
    rows = np.random.default_rng(3).standard_normal((60, 4)).round(3)
    np.savetxt(path, change(rows), "%g", ",", header="a,b,c,y", comments="")


def on(path: Path, **more: Any) -> dict[str, Any]:
    """Settings of a run on a table; column c is dropped."""
    task = {"name": "csv", "path": str(path), "target": "y", "drop": ["c"], "validation": 0.2}
    return {**OFTEN, "task": task, **more}


def cell(rows: np.ndarray) -> np.ndarray:
    rows[5, 0] += 1
    return rows


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "cell": cell,
    "fewer rows": lambda rows: rows[:-1],
    "order of rows": lambda rows: rows[::-1],
    "swapped columns": lambda rows: rows[:, [1, 0, 2, 3]],
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("ended", [True, False])
def test_other_rows_are_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, ended: bool
) -> None:
    table, run = tmp_path / "table.csv", tmp_path / "run"
    write_table(table)
    if ended:
        run_in(run, config(**on(table)))
    else:
        cut_run(run, 5, monkeypatch, **on(table))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    write_table(table, CHANGES[change])
    with pytest.raises(SettingError, match=r"holds another run: rows with the digest \w{8} there"):
        run_in(run, config(**on(table)))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_a_run_killed_before_it_wrote_down_its_rows_starts_again(tmp_path: Path) -> None:
    table, run, killed = tmp_path / "table.csv", tmp_path / "run", tmp_path / "killed"
    write_table(table)
    run_in(run, config(**on(table)))
    killed.mkdir()
    shutil.copy(run / files.CONFIG, killed)
    NOTES.clear()
    run_in(killed, config(**on(table)))
    assert f"{killed} has no usable checkpoint: starting again from step 0" in NOTES
    assert not any("of an old version" in note for note in NOTES)
    assert results(killed) == results(run)


def test_a_moved_file_and_a_cell_that_is_not_used_are_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, run = tmp_path / "table.csv", tmp_path / "run"
    write_table(table)
    run_in(tmp_path / "straight", config(**on(table)))
    cut_run(run, 5, monkeypatch, **on(table))
    table.unlink()

    def of_dropped(rows: np.ndarray) -> np.ndarray:
        rows[:, 2] = 0
        return rows

    write_table(tmp_path / "moved.csv", of_dropped)
    run_in(run, config(**on(tmp_path / "moved.csv")))
    assert NOTES[-1].startswith(f"{run} continues at step")
    assert results(run)[files.WEIGHTS] == results(tmp_path / "straight")[files.WEIGHTS]


def test_the_checkpoints_of_another_seed_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "straight", config(**OFTEN))
    cut_run(tmp_path / "run", 5, monkeypatch, **OFTEN)
    cut_run(tmp_path / "other", 7, monkeypatch, **OFTEN, seed=5)
    for path in checkpoints(tmp_path / "other"):
        shutil.copy(path, tmp_path / "run" / files.CHECKPOINTS)
    run_in(tmp_path / "run", config(**OFTEN))
    assert sum("it belongs to another run" in note for note in NOTES[-6:]) == 2
    assert results(tmp_path / "run") == results(tmp_path / "straight")


def test_a_run_goes_on_when_the_grid_of_its_preset_has_grown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two, three = ({"sweep": {"grid": {"seed": [*range(n)]}}} for n in (2, 3))
    cut_run(tmp_path / "run", 5, monkeypatch, **OFTEN, **two)
    run_in(tmp_path / "run", config(**OFTEN, **three))
    assert NOTES[-1].startswith(f"{tmp_path / 'run'} continues at step")
    run_in(tmp_path / "straight", config(**OFTEN))
    assert results(tmp_path / "run")[files.WEIGHTS] == results(tmp_path / "straight")[files.WEIGHTS]


@pytest.mark.parametrize("name", [files.MEASURES, files.SCALARS])
@pytest.mark.parametrize("loss", ["cut", "altered"])
def test_logs_that_are_not_those_of_the_checkpoint_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, loss: str
) -> None:
    run_in(tmp_path / "straight", config(**OFTEN))
    run = tmp_path / "run"
    cut_run(run, 8, monkeypatch, **OFTEN)
    content = (run / name).read_bytes()
    if loss == "altered":
        middle = content.rindex(b"\n") - 9 if name == files.SCALARS else -8
        altered = bytearray(content)
        altered[middle] ^= 1
        (run / name).write_bytes(altered)
    elif name == files.SCALARS:
        (run / name).write_bytes(content[: len(content) // 3])
    else:
        np.save(run / name, np.load(run / name)[:1])
    run_in(run, config(**OFTEN))
    assert results(run) == results(tmp_path / "straight")
    load_run(run)


COSINE = {"optimizer": {**config()["optimizer"], "lr": 0.1}}


def test_a_stretched_schedule_is_said_and_told_apart(tmp_path: Path) -> None:
    cosine = {"schedule": {"name": "cosine", "warmup": 0, "final": 0.0}, **COSINE}
    run_in(tmp_path / "runs" / "straight", config(**cosine, trainer={"steps": 12}))
    path = tmp_path / "runs" / "stretched"
    run_in(path, config(**cosine, trainer={"steps": 8}))
    run = run_in(path, config(**cosine, trainer={"steps": 12}))
    said = "the schedule is stretched to 12 steps: at step 8 the rate goes from 0 to 0.025"
    assert any(note.startswith(said) for note in NOTES[-3:])
    first, second = run.provenance.legs
    assert (first.first, first.steps, second.first, second.steps) == (0, 8, 8, 12)
    assert (second.lr_before, second.lr) == pytest.approx((0, 0.025))
    comparison = collect([tmp_path / "runs"], Options(), NOTES.append)
    assert len(comparison.groups) == 2
    assert comparison.varied == ["trainer.stretched_from"]


def test_a_constant_rate_is_extended_without_a_word(tmp_path: Path) -> None:
    constant = {"schedule": {"name": "constant", "warmup": 0}, **COSINE}
    run_in(tmp_path / "straight", config(**constant, trainer={"steps": 12}))
    run_in(tmp_path / "run", config(**constant, trainer={"steps": 8}))
    NOTES.clear()
    run = run_in(tmp_path / "run", config(**constant, trainer={"steps": 12}))
    assert not any("stretched" in note for note in NOTES)
    assert [leg.first for leg in run.provenance.legs] == [0, 8]
    assert results(tmp_path / "run") == results(tmp_path / "straight")


def test_the_baseline_is_that_of_the_rows_and_not_of_their_rounding(tmp_path: Path) -> None:
    """With a total beside its parts, float32 leaves a direction of rounding to fit."""
    rng = np.random.default_rng(0)
    parts = rng.uniform(1, 9, (60, 3)).round(2)
    total, y = parts.sum(axis=1), parts @ [1, -2, 3] + rng.standard_normal(60)
    table = tmp_path / "table.csv"
    rows = np.column_stack([parts, total, y])
    np.savetxt(table, rows, "%.8g", ",", header="a,b,c,total,y", comments="")
    task = {"name": "csv", "path": str(table), "target": "y", "drop": [], "validation": 0.3}
    scores = []
    for dtype in ("float32", "float64"):
        run = run_in(tmp_path / dtype, config(task=task, dtype=dtype))
        assert run.score is not None
        scores.append(run.score.baseline)
    assert scores[0] == scores[1]


def test_every_resumption_goes_on_from_the_newest_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is cut with rows behind its checkpoint, which the next one takes back."""
    often = {"checkpoint": {"every": 2}, "measure": {"every": 1}}
    run_in(tmp_path / "straight", config(**often))
    run = tmp_path / "run"
    for rows, step in ((3, None), (3, 2), (1, 4), (3, 4)):
        NOTES.clear()
        cut_run(run, rows, monkeypatch, **often)
        said = [] if step is None else [f"{run} continues at step {step}"]
        assert said == NOTES
    run_in(run, config(**often))
    assert results(run) == results(tmp_path / "straight")
