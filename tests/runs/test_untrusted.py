"""Run files that nobody should have written: refused in a line, without waiting or much memory."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffn_train.commands.compare import main as compare
from ffn_train.commands.predict import main as predict
from ffn_train.commands.theory import main as theory
from ffn_train.commands.view import main as view
from ffn_train.config.settings import SettingError
from ffn_train.plots import draw
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import RunError, files, load_run
from ffn_train.runs.checkpoint import checkpoints, newest_step, read_checkpoint
from ffn_train.runs.layout import layout_of
from ffn_train.runs.writer import RunWriter
from tests.support.command import Forked, command
from tests.support.small_runs import SMALL, config, run_in
from tests.support.unsealed import unseal

READ = (
    *(files.CONFIG, files.PROVENANCE, files.LAYOUT, files.THEORY, files.SCALARS, files.MEASURES),
    *(files.SUMMARY, files.STATUS),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "finished"
    run_in(path, config())
    return path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / "copy"))


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def huge(path: Path) -> None:
    os.truncate(path, 10**12)  # without a byte on the disk


REPLACED: dict[str, Callable[[Path], None]] = {
    each.__name__: each for each in (fifo, device, folder, link, huge)
}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("name", [files.CONFIG, files.LAYOUT, files.STATUS, files.SUMMARY])
def test_what_is_no_json_is_said_in_words(name: str, content: bytes, copy: Path) -> None:
    unseal(copy)
    (copy / name).write_bytes(content)
    what = "damaged (not JSON)" if content else "empty"
    line = f"{copy / name}: it is {what}: restore a copy of it, or use another directory"
    with pytest.raises(RunError, match=f"^{re.escape(line)}$"):
        load_run(copy)


@pytest.mark.parametrize("kind", REPLACED)
def test_only_regular_files_are_read(kind: str, copy: Path) -> None:
    for name in READ:
        if (kind, name) == ("huge", files.MEASURES):
            continue  # what follows the records is not read: a kill may have left it
        content = (copy / name).read_bytes()
        REPLACED[kind](copy / name)
        with pytest.raises(RunError) as caught:
            load_run(copy)
        assert name in str(caught.value) or "not a run directory" in str(caught.value)
        assert "\n" not in str(caught.value)
        (copy / name).rmdir() if kind == "folder" else (copy / name).unlink()
        (copy / name).write_bytes(content)
    run = load_run(copy)
    REPLACED[kind](copy / files.WEIGHTS)
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        run.weights()
    (newest,) = checkpoints(copy)
    REPLACED[kind](newest)
    with pytest.raises(RunError):
        read_checkpoint(newest)


@pytest.mark.parametrize("name", [files.SCALARS, files.MEASURES])
def test_rows_are_written_through_no_link(name: str, copy: Path) -> None:
    target = copy.parent / "thesis.tex"
    target.write_text("mine")
    (copy / name).unlink()
    (copy / name).symlink_to(target)
    experiment = build_experiment(config())
    with pytest.raises(OSError, match="it is a link"):
        RunWriter(copy, layout_of(experiment.model, experiment.trainer.instruments))
    assert target.read_text() == "mine"


def test_figures_and_tables_are_written_through_no_link(copy: Path) -> None:
    elsewhere = copy.parents[1] / "elsewhere"
    elsewhere.mkdir()
    (copy / files.PLOTS).symlink_to(elsewhere)
    with pytest.raises(OSError, match="it is a link"):
        draw(load_run(copy), figures=["loss"])
    done = command(str(copy), module="ffn_train.plots", cwd=copy)
    assert done.returncode == 2
    assert done.stderr == (
        f"ffn_train.plots: {copy / files.PLOTS}: it is a link, which is not written through\n"
    )
    (copy.parent / "comparison").symlink_to(elsewhere)
    done = command(str(copy.parent), module="ffn_train.compare", cwd=copy)
    assert done.returncode == 2
    assert done.stderr == (
        f"ffn_train.compare: {copy.parent / 'comparison'}: it is a link, which is not written "
        "through; --out DIR writes elsewhere\n"
    )
    assert not list(elsewhere.iterdir())


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


@pytest.mark.parametrize("kind", [fifo, link, dangling, folder])
def test_what_is_no_regular_file_is_not_replaced(
    kind: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    files.write_whole(path, b"old")
    files.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    kind(path)
    before = path.lstat()
    what = "a link, which is not written through" if path.is_symlink() else "not a regular file"
    with pytest.raises(OSError, match=f"it is {what}") as caught:
        files.write_whole(path, b"newer")
    assert caught.value.filename == str(path)
    assert path.lstat() == before
    assert not list(tmp_path.glob(".*"))


def test_nor_by_a_command_that_is_told_to_write_there(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, rows = copy.parent / "comparison", copy.parent / "rows.csv"
    inputs = load_run(copy).provenance.inputs or ()
    rows.write_text(f"{','.join(inputs)}\n{','.join('1' for _ in inputs)}\n")
    commands: dict[Path, Callable[[str], object]] = {
        copy.parent / "p.csv": lambda path: predict([str(copy), str(rows), "--out", path]),
        copy.parent / "p.html": lambda path: view([str(copy), "--out", path]),
        copy.parent / "p.svg": lambda path: theory(["model.depth=2", "--out", path]),
        out / "index.html": lambda _: compare([str(copy), "--figures=loss_curves", f"--out={out}"]),
    }
    out.mkdir()
    for path, write in commands.items():
        path.touch()
        fifo(path)
        with pytest.raises(SystemExit) as ended:
            write(str(path))
        assert ended.value.code == 2
        assert f"{path}: it is not a regular file" in capsys.readouterr().err
        assert path.is_fifo()


def in_config(path: Path, old: str, new: str) -> None:
    text = (path / files.CONFIG).read_text()
    assert old in text
    (path / files.CONFIG).write_text(text.replace(old, new))


def broken_header(path: Path) -> None:
    content = bytearray((path / files.MEASURES).read_bytes())
    content[10:14] = b"{(('"
    (path / files.MEASURES).write_bytes(content)


def many_records(path: Path) -> None:
    content = (path / files.MEASURES).read_bytes()
    (path / files.MEASURES).write_bytes(content.replace(b"(3,)", b"(99999999999,)"))


def late_scalars(path: Path) -> None:
    text = (path / files.SCALARS).read_text()
    (path / files.SCALARS).write_text(text.replace("\n8,", "\n1e308,"))


def late_measures(path: Path) -> None:
    rows = np.load(path / files.MEASURES)
    rows["step"][-1] = np.iinfo(np.int64).max
    np.save(path / files.MEASURES, rows)


def deep_layout(path: Path) -> None:
    layout = json.loads((path / files.LAYOUT).read_text())
    (path / files.LAYOUT).write_text(json.dumps({**layout, "depth": 10**200}))


DAMAGED: dict[str, Callable[[Path], None]] = {
    "a broken header": broken_header,
    "more records than there are": many_records,
    "a depth of 10^400": lambda path: in_config(path, '"depth": 3', f'"depth": {10**400}'),
    "a depth of 10^200": deep_layout,
    "a depth of 10^250": lambda path: in_config(path, '"depth": 3', f'"depth": {10**250}'),
    "a depth of 10^20": lambda path: in_config(path, '"depth": 3', f'"depth": {10**20}'),
    "1e308 steps": lambda path: in_config(path, '"steps": 8', '"steps": 1e308'),
    "Infinity": lambda path: in_config(path, '"depth": 3', '"depth": Infinity'),
    "1e999": lambda path: in_config(path, '"depth": 3', '"depth": 1e999'),
    "scalars at step 1e308": late_scalars,
    "measures at step 2^63": late_measures,
    "a FIFO": lambda path: fifo(path / files.PROVENANCE),
    "an endless device": lambda path: device(path / files.SCALARS),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_one_damaged_run_ends_no_comparison(
    damage: str, copy: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(finished, copy.with_name("other"))
    DAMAGED[damage](copy)
    compare([str(copy.parent), "--formats", "svg"])
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("ffn_train.compare: damaged run left out: ")
    assert str(copy) in line
    assert "1 damaged and left out" in said.out
    assert list((copy.parent / "comparison").glob("*.svg"))


def test_a_run_is_not_resumed_from_what_would_be_waited_for(copy: Path) -> None:
    (copy / files.SUMMARY).unlink()
    for name in (files.SCALARS, files.MEASURES):
        fifo(copy / name)
    done = Forked(lambda: run_in(copy, config()), cwd=copy).wait(timeout=20)
    assert done.returncode == 1
    done = command(*SMALL, f"run.dir={copy}", cwd=copy)
    assert done.returncode == 1
    *notes, last = done.stderr.splitlines()
    assert len(notes) == 2  # the checkpoint is without its rows: it would start again
    assert "it is not a regular file; once that" in last or "No such device" in last


@pytest.mark.parametrize("kind", ["link", "file", "fifo"])
def test_a_run_whose_checkpoints_cannot_be_written_is_refused_at_once(
    kind: str, copy: Path
) -> None:
    folder, longer = copy / files.CHECKPOINTS, config(trainer={"steps": 12})
    folder.rename(copy / "elsewhere")
    if kind == "link":
        folder.symlink_to("elsewhere")
    elif kind == "file":
        folder.touch()
    else:
        os.mkfifo(folder)
    assert run_in(copy, config()).state == "finished"  # which needs none
    assert newest_step(copy) is None
    before = {path.name: path.lstat().st_mtime_ns for path in copy.iterdir()}
    what = "a link" if kind == "link" else "not a directory"
    with pytest.raises(SettingError, match=f"{folder} is {what}, so no checkpoint can be written"):
        run_in(copy, longer)
    assert {path.name: path.lstat().st_mtime_ns for path in copy.iterdir()} == before
