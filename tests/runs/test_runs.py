"""A run's directory: what is in it, how it survives a kill, and how damage is reported."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.report.text import report
from ffn_train.runs import RunError, directory, files, load_run
from ffn_train.runs.directory import claim
from ffn_train.runs.files import write_whole
from ffn_train.runs.writer import MeasureFile
from tests.support.made_measures import with_values
from tests.support.small_runs import NOTES, config, run_in
from tests.support.unsealed import unseal


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "finished"
    run_in(path, config())
    return path


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return unseal(Path(shutil.copytree(finished, tmp_path / "copy")))


def test_most_of_a_layers_gradient(finished: Path) -> None:
    measures = load_run(finished).measures
    layers = [tensor.layer for tensor in measures.tensors]
    here = np.array([layer == "blocks.1" for layer in layers])
    weights = here & [tensor.name.endswith(".weight") for tensor in measures.tensors]
    column = [*measures.layers].index("blocks.1")
    norms = np.where(weights, 1.0, 0.1)[None].repeat(len(measures["gradient_norm"].step), axis=0)

    def most(tensors: Any, norms: Any) -> bool:
        found = with_values(measures, gradient_norm=norms).mostly_of(tensors)
        assert np.delete(found, column).all()
        return bool(found[column])

    everything, none = np.ones(len(layers), bool), ~here
    assert most(everything, norms)
    assert most(everything, np.full_like(norms, np.nan))
    assert most(none | weights, norms)
    assert not most(none | (here & ~weights), norms)
    assert not most(none, norms)
    assert not most(none, 0 * norms)
    assert most(none | weights, 0 * norms)
    for lost in (np.nan, np.inf):
        assert not most(none | weights, np.where(here, lost, norms))


def test_a_finished_run_has_every_file(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {
        *("config.json", "layout.json", "measures.npy", "provenance.json"),
        *("scalars.csv", "summary.json", "weights.safetensors", "status.json", "checkpoints"),
        *("data.json", "theory.json", "predictions.npz", ".lock"),
    }
    run = load_run(finished)
    assert run.config["model"] == {"depth": 3, "width": 6, "expansion": 2, "recompute": None}
    assert run.summary is not None
    assert run.summary.state == "finished"
    assert run.summary.steps == 8
    assert run.scalars["step"].tolist() == list(range(9))
    assert run.provenance.blas_threads == run.provenance.shards == 1
    assert run.provenance.parameters == sum(w.size for w in run.weights().values())
    known = files.read_json(finished / files.PROVENANCE).keys()
    assert {"command", "code", "packages", "blas", "seed", "dtype"} <= known
    assert run.summary.validation_loss == run.scalars["validation_loss"][-1]


def test_the_report_says_what_measuring_cost(finished: Path) -> None:
    run = load_run(finished)
    measuring, training = run.provenance.measuring_seconds, run.provenance.training_seconds
    assert measuring is not None
    assert training is not None
    assert 0 < measuring < training
    assert f"({measuring / training:.0%} spent on measuring)" in report(run)


@pytest.mark.parametrize(
    ("rate", "words"), [(0.28, "s, 0.28 steps/s ("), (95.4, "s, 95 steps/s ("), (0, "s (")]
)
def test_the_report_never_says_no_steps_a_second(finished: Path, rate: float, words: str) -> None:
    run = load_run(finished)
    slow = replace(run, provenance=replace(run.provenance, steps_per_second=rate))
    (line,) = (line for line in report(slow).splitlines() if line.startswith("time"))
    assert words in line


def test_measures_are_one_public_call(finished: Path) -> None:
    rows = np.load(finished / "measures.npy", allow_pickle=False)
    assert rows["step"].tolist() == [0, 5, 8]
    assert rows["signal_rms"].shape == (3, 4)


def test_two_runs_of_a_seed_are_byte_identical(finished: Path, tmp_path: Path) -> None:
    run_in(tmp_path / "again", config())
    for name in (
        "scalars.csv",
        "measures.npy",
        "weights.safetensors",
        "predictions.npz",
        "summary.json",
        "theory.json",
    ):
        assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes(), name


def test_measures_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    dtype: np.dtype[Any] = np.dtype([("step", np.int64), ("signal_rms", np.float64, (3,))])
    file = MeasureFile(tmp_path / "measures.npy", dtype)
    for count in range(12):
        assert len(np.load(tmp_path / "measures.npy")) == count
        file.append(count, {"signal_rms": np.full(3, float(count))})
        rows = np.load(tmp_path / "measures.npy")
        assert rows["step"].tolist() == list(range(count + 1))
    file.file.close()
    with (tmp_path / "measures.npy").open("ab") as half:  # a kill between record and header
        half.write(b"half a record")
    assert len(np.load(tmp_path / "measures.npy")) == 12


def test_a_killed_run_is_readable(copy: Path) -> None:
    (copy / "summary.json").unlink()
    (copy / "weights.safetensors").unlink()
    text = (copy / "scalars.csv").read_text()
    (copy / "scalars.csv").write_text(text[: len(text) - 15])
    run = load_run(copy)
    assert run.summary is None
    assert run.scalars["step"].tolist() == list(range(8))
    with pytest.raises(RunError, match=r"weights\.safetensors"):
        run.weights()


@pytest.mark.parametrize(
    "name",
    ["config.json", "provenance.json", "layout.json", "scalars.csv", "measures.npy", "theory.json"],
)
@pytest.mark.parametrize("content", [b"", b"\x80\x04]", b"{", b'{"a": [', b"a,b\nx,y\n"])
def test_a_damaged_file_is_named_in_one_line(copy: Path, name: str, content: bytes) -> None:
    (copy / name).write_bytes(content)
    if name == "scalars.csv" and content.isascii() and b"\n" not in content:  # no whole row yet
        assert load_run(copy).scalars["step"].size == 0
        return
    with pytest.raises(RunError) as caught:
        load_run(copy)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pickle_in_place_of_an_array_is_not_loaded(copy: Path) -> None:
    np.save(copy / "measures.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(RunError, match=r"measures\.npy"):
        load_run(copy)


def test_a_directory_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        load_run(tmp_path)


class Stopped(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Stopped:
        return cls(2026, 1, 1, tzinfo=tz)


def test_new_directories_never_collide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "datetime", Stopped)
    paths = set()
    for _ in range(5):
        with claim("run.dir", None, tmp_path) as path:
            paths.add(path)
    assert [path.name[:19] for path in paths] == ["2026-01-01_00-00-00"] * 5
    assert len(paths) == 5


def content(path: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SettingError, match=r"run\.dir=.* is not empty and holds no run"):
        run_in(tmp_path, config())
    assert content(tmp_path) == {"thesis.tex": b"mine"}


def test_a_directory_of_another_configuration_is_refused_with_the_difference(
    finished: Path,
) -> None:
    before = content(finished)
    with pytest.raises(SettingError) as caught:
        run_in(finished, config(seed=1, model={"depth": 4}))
    assert "seed=0 there, 1 here" in str(caught.value)
    assert "model.depth=3 there, 4 here" in str(caught.value)
    assert "width" not in str(caught.value)
    with pytest.raises(SettingError, match="it can only grow"):
        run_in(finished, config(trainer={"steps": 7}))
    assert content(finished) == before


def test_a_finished_run_says_so_and_does_nothing(finished: Path) -> None:
    before = content(finished)
    run = run_in(finished, config())
    assert run.summary is not None
    assert "has ended already" in NOTES[-1]
    assert content(finished) == before


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    with (
        claim("run.dir", tmp_path / "run", tmp_path) as path,
        pytest.raises(SettingError, match="in use by another run of this process"),
    ):
        run_in(path, config())


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")
    with monkeypatch.context() as patch:

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EBADF, errno.EIO])
def test_a_system_may_be_unable_to_sync_a_folder_but_must_not_fail_in_it(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if Path(f"/proc/self/fd/{handle}").is_dir():
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=r"Input") if number == errno.EIO else nullcontext():
        write_whole(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    monkeypatch.undo()
    files.flush_directory(tmp_path / "nowhere")  # as on Windows, which opens no folder


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "plots").touch()
    with pytest.raises(FileExistsError, match="plots"):
        files.make_folder(tmp_path / "plots")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("measures.npy", np.zeros(3), "it has no records"),
        ("measures.npy", np.zeros(3, [("x", float)]), "it has no records with a step"),
        ("measures.npy", np.zeros(3, [("step", float)]), "its steps are not increasing"),
        ("config.json", [1, 2], "expected a JSON object"),
        ("layout.json", {"depth": 2}, "it does not list the tensors and the depth"),
    ],
)
def test_what_is_sound_in_itself_may_be_no_file_of_a_run(
    copy: Path, name: str, content: Any, words: str
) -> None:
    if isinstance(content, np.ndarray):
        np.save(copy / name, content)
    else:
        (copy / name).write_text(json.dumps(content))
    with pytest.raises(RunError, match=rf"{name}: {words}"):
        load_run(copy)


def test_files_respect_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"")
    finally:
        os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_diverged_run_is_recorded_with_what_was_measured(tmp_path: Path) -> None:
    settings = config(trainer={"patience": 2, "clip": None}, residual={"name": "identity"})
    settings["init"] = {"name": "he", "bias_std": 1e4}
    run = run_in(tmp_path / "run", settings)
    assert run.summary is not None
    assert run.summary.state == "diverged"
    assert run.summary.divergence is not None
    assert run.summary.divergence.step == run.scalars["step"][-1] == run.measures.step[-1]
    json.loads((tmp_path / "run" / "summary.json").read_text())
