"""ffn-train clean: it lists and removes what this program made and no run needs any more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ffn_train.commands.clean import main
from ffn_train.runs import files
from ffn_train.runs.checkpoint import checkpoints, read_checkpoint, write_checkpoint
from ffn_train.runs.directory import claim
from tests.support.choices import settings
from tests.support.small_runs import NOTES, config, run_in

OFTEN = config(checkpoint={"every": 2}, schedule=settings("schedule", "constant"))


def listing(path: Path) -> dict[str, bytes]:
    contents = {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    return {name: content for name, content in contents.items() if name != files.LOCK}


def test_what_is_listed_is_removed_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "runs" / "run"
    run_in(run, OFTEN)
    older, newest = checkpoints(run)
    foreign = {
        "notes.md": b"mine",
        ".notes.md.ab12_xyz": b"mine",
        "checkpoints/step-best.safetensors": b"mine",
    }
    for name, content in foreign.items():
        (run / name).write_bytes(content)
    (run / files.PLOTS).mkdir()
    (newest.parent / "step-000000001.safetensors").symlink_to("elsewhere")
    damaged = newest.with_name("step-000000003.safetensors")
    half = ["summary.json", "plots/loss.png", "model.py", "model.onnx", "model.safetensors"]
    half += ["model.json", "records.csv", "records.parquet", "tensorboard/events.out.tfevents.0.x"]
    (run / "tensorboard").mkdir()
    ours = [(run / name).with_name(f".{Path(name).name}.ab12_xyz") for name in half]
    ours += [damaged, older]
    for path in ours[:-1]:
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    young = run / files.PLOTS / ".loss.svg.ab12_xyz"  # somebody may be drawing it
    young.write_bytes(b"half")
    elsewhere = tmp_path / "elsewhere"
    run_in(elsewhere, OFTEN)
    (tmp_path / "runs" / "link").symlink_to(elsewhere)
    before, untouched = listing(run), listing(elsewhere)

    main([str(tmp_path / "runs")])
    *rows, last = capsys.readouterr().out.splitlines()
    assert sorted(row.split()[0] for row in rows) == sorted(map(str, ours))
    assert [row.split("  ")[-1] for row in rows if "damaged" in row] == ["a damaged checkpoint"]
    total = sum(path.stat().st_size for path in ours)
    assert last == f"11 files, {total:,} bytes; --yes removes them"
    assert listing(run) == before

    main([str(tmp_path / "runs"), "--yes"])
    assert capsys.readouterr().out.endswith("; removed\n")
    gone = {str(path.relative_to(run)) for path in ours}
    assert listing(run) == {name: c for name, c in before.items() if name not in gone}
    assert listing(elsewhere) == untouched
    main([str(tmp_path / "runs"), "--yes"])
    assert capsys.readouterr().out == "0 files, 0 bytes\n"

    assert checkpoints(run) == [newest.with_name("step-000000001.safetensors"), newest]
    run_in(run, {**OFTEN, "trainer": {**OFTEN["trainer"], "steps": 12}})
    assert f"{run} was finished at step 8, now goes on to 12" in NOTES


def test_the_newest_checkpoint_is_one_that_can_be_gone_on_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run_in(run, OFTEN)
    good = read_checkpoint(checkpoints(run)[-1])
    write_checkpoint(run, good.__class__(**{**vars(good), "step": 9}))  # behind the last row
    main([str(run), "--yes"])
    assert [int(path.stem[5:]) for path in checkpoints(run)] == [8, 9]
    checkpoints(run)[-1].write_bytes(b"damaged")
    main([str(run), "--yes"])
    assert [int(path.stem[5:]) for path in checkpoints(run)] == [8]
    capsys.readouterr()


def test_a_checkpoint_whose_rows_are_lost_replaces_none_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    run_in(run, OFTEN)
    both = checkpoints(run)
    (run / files.SUMMARY).unlink()
    rows = (run / files.SCALARS).read_bytes().splitlines(keepends=True)
    (run / files.SCALARS).write_bytes(b"".join(rows[:-2]))
    main([str(run), "--yes"])
    assert checkpoints(run) == both
    assert capsys.readouterr().out == "0 files, 0 bytes\n"
    run_in(run, OFTEN)
    assert f"{run} continues at step 6" in NOTES


def test_what_is_in_use_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run_in(run, OFTEN)
    before = listing(run)
    with claim("run.dir", run, tmp_path):
        main([str(run), "--yes"])
    said = capsys.readouterr()
    assert said.err == f"ffn_train.clean: in use, left alone: {run}\n"
    assert said.out == "0 files, 0 bytes\n"
    assert listing(run) == before


def test_a_directory_that_does_not_exist_is_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "nowhere")])
    assert ended.value.code == 2
    assert "nowhere is not a directory" in capsys.readouterr().err
