"""Exact resume: a run that was cut anywhere ends with the bytes of one that was not."""

from __future__ import annotations

import errno
import itertools
import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.report import conclusion
from ffn_train.running import execution, recording
from ffn_train.running.execution import execute
from ffn_train.running.expectation import expectation
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.running.interruption import Interrupted
from ffn_train.runs import Run, RunError, files, load_run, records
from ffn_train.runs.checkpoint import checkpoints, read_checkpoint, write_checkpoint
from ffn_train.train.trainer import Trainer
from ffn_train.using.model import model_of
from tests.harness.operations import Disk, read_directory, recorded
from tests.support.choices import files as choices_of
from tests.support.choices import settings
from tests.support.command import Forked, command, start
from tests.support.small_runs import NOTES, config, run_in

RESULTS = (files.SCALARS, files.MEASURES, files.WEIGHTS, files.SUMMARY, files.THEORY)
OFTEN = {"checkpoint": {"every": 2}, "measure": {"every": 3}}


def results(path: Path) -> dict[str, bytes]:
    names = (*RESULTS, *([files.BEST] if (path / files.BEST).exists() else []))
    return {name: (path / name).read_bytes() for name in names}


class Cut(Exception):
    """Stands for the end of the process."""


def cut_run(path: Path, rows: int, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let a run write so many rows and then break off between two of them."""
    fit = Trainer.fit

    def broken(self: Trainer, state: Any, **options: Any) -> Any:
        for count, record in enumerate(fit(self, state, **options)):
            if count == rows:
                raise Cut
            yield record

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", broken)
        with pytest.raises(Cut):
            run_in(path, config(**changes))


@pytest.mark.parametrize(
    ("every", "saved"),
    [("auto", [400, 800, 1000]), (200, [200, 400, 600, 800, 1000]), (None, [1000])],
)
def test_quick_steps_are_saved_a_second_apart_unless_a_number_is_given(
    every: Any, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []

    def noted(path: Path, checkpoint: Any) -> None:
        steps.append(checkpoint.step)
        write_checkpoint(path, checkpoint)

    clock = SimpleNamespace(
        monotonic=itertools.count(0, 0.5).__next__
    )  # asked at each 200 steps and save
    monkeypatch.setattr(recording, "time", clock)
    monkeypatch.setattr(recording, "write_checkpoint", noted)
    run_in(tmp_path, config(trainer={"steps": 1000}, checkpoint={"every": every}))
    assert steps == saved


VARIANTS: dict[str, dict[str, Any]] = {
    **{f"optimizer={n}": {"optimizer": settings("optimizer", n)} for n in choices_of("optimizer")},
    "nesterov": {"optimizer": {**settings("optimizer", "sgd"), "nesterov": True}},
    "no momentum": {"optimizer": {**settings("optimizer", "sgd"), "momentum": 0.0}},
    **{f"schedule={n}": {"schedule": settings("schedule", n)} for n in choices_of("schedule")},
    **{
        f"task={n}": {"task": {**settings("task", n), "rows": 80}}
        for n in choices_of("task")
        if n != "table"
    },
    "rezero": {"residual": settings("residual", "rezero")},
    "float64": {"dtype": "float64"},
    "best weights": {"trainer": {"keep": "best"}, "evaluate": {"every": 1}},
    "early stopping": {
        "trainer": {"keep": "best", "early_stopping": 2},
        "task": {**settings("task", "sinusoid"), "rows": 40, "noise": 5.0, "test": 0.2},
        "evaluate": {"every": 1},
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_is_straight(variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {**OFTEN, **VARIANTS[variant]}
    run_in(tmp_path / "straight", config(**changes))
    path = tmp_path / "run"
    for count in (2, 1, 3):  # at a checkpoint, between two, and behind one
        cut_run(path, count, monkeypatch, **changes)
    run = run_in(path, config(**changes))
    assert run.summary is not None
    assert results(path) == results(tmp_path / "straight")


STEPS = (2, 3, 4, 5, 6, 9)
MORE = 3  # steps by which a run is extended


@cache
def tiny(steps: int, every: int | None) -> Experiment:
    changes: dict[str, Any] = {
        "model": {"depth": 1, "width": 2},
        "schedule": settings("schedule", "constant"),
        "measure": {"every": 2},
        "evaluate": {"every": 3},
    }
    run = {"trainer": {"steps": steps}, "checkpoint": {"every": every}}
    return build_experiment(config(**changes, **run))


def run_tiny(path: Path, steps: int, every: int | None) -> Run:
    """A tiny run of so many steps, or what is left to do of it."""
    return execute(replace(tiny(steps, every), directory=path), NOTES.append)


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, bytes]]:
    """The results of a run that nothing interrupted, by its steps."""

    @cache
    def of(steps: int) -> dict[str, bytes]:
        path = tmp_path_factory.mktemp("straight")
        run_tiny(path, steps, None)
        return results(path)

    return of


def killed(
    path: Path, steps: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Path], Run]:
    """A run, and what a kill before each of its rows, its weights and its summary leaves of it."""
    left: list[Path] = []
    fit = Trainer.fit

    def copy() -> None:
        left.append(path.with_name(f"{path.name}-{steps}-{len(left)}"))
        shutil.copytree(path, left[-1])

    def rows(self: Trainer, state: Any, **options: Any) -> Any:
        for record in fit(self, state, **options):
            copy()
            yield record

    def after_copy(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any) -> Any:
            copy()
            return function(*arguments)

        return called

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", rows)
        for module, name in ((execution, "write_weights"), (conclusion, "sealed")):
            patch.setattr(module, name, after_copy(getattr(module, name)))
        return left, run_tiny(path, steps, every)


@pytest.mark.parametrize("every", [1, 2, 3, 5])
def test_whatever_a_kill_leaves_ends_as_a_straight_run(
    every: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    straight: Callable[[int], dict[str, bytes]],
) -> None:
    """Killed runs are completed or extended, finished ones extended, and those killed again.

    The last row takes no update, so that a checkpoint from behind it would lack one. Of the moments
    of each run half are tried, drawn by lot.
    """
    lot = random.Random(every)
    predicted = expectation(tiny(STEPS[0], every), NOTES.append)
    monkeypatch.setattr(execution, "expectation", lambda *given: predicted)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for steps in STEPS:
        path = tmp_path / f"run{steps}"
        left, _ = killed(path, steps, every, monkeypatch)
        assert len(left) == steps + 3
        assert results(path) == straight(steps)
        saved = [read_checkpoint(checkpoint).step for checkpoint in checkpoints(path)]
        assert saved == [*range(every, steps, every), steps][-2:]
        for copy in lot.sample(left, len(left) // 2):
            to = lot.choice((steps, steps + MORE))
            run_tiny(copy, to, every)
            assert results(copy) == straight(to), copy
        left, run = killed(path, steps + MORE, every, monkeypatch)
        assert len(left) == MORE + 3
        assert f"was finished at step {steps}, now goes on to {steps + MORE}" in NOTES[-1]
        assert run.config["trainer"]["steps"] == steps + MORE
        assert results(path) == straight(steps + MORE)
        copy = lot.choice(left)
        run_tiny(copy, steps + MORE, every)
        assert results(copy) == straight(steps + MORE), copy


def test_the_log_is_cut_back_to_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_run(tmp_path / "run", 6, monkeypatch, checkpoint={"every": 4}, measure={"every": 1})
    assert read_checkpoint(checkpoints(tmp_path / "run")[-1]).step == 4
    assert len(load_run(tmp_path / "run").measures.step) == 6
    run = run_in(tmp_path / "run", config(checkpoint={"every": 4}, measure={"every": 1}))
    assert run.scalars["step"].tolist() == list(range(9))
    assert run.measures.step.tolist() == list(range(9))
    assert any("continues at step 4" in note for note in NOTES)


def test_measures_that_numpy_saved_anew_are_gone_on_with(tmp_path: Path) -> None:
    """Their header has another length, so that the records stand elsewhere in the file."""
    path = tmp_path / "run"
    run_in(path, config(**OFTEN))
    records = np.load(path / files.MEASURES)
    np.save(path / files.MEASURES, records)
    assert (path / files.MEASURES).read_bytes()[:8] == b"\x93NUMPY\x01\x00"
    run_in(path, config(**{**OFTEN, "trainer": {"steps": 12}}))
    again = np.load(path / files.MEASURES)
    assert again[: len(records) - 1].tobytes() == records[:-1].tobytes()
    assert again["step"].tolist() == [0, 3, 6, 9, 12]


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    run_in(tmp_path / "run", config(**OFTEN))
    steps = [read_checkpoint(path).step for path in checkpoints(tmp_path / "run")]
    assert steps == [6, 8]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_used(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "straight", config(**OFTEN))
    path = tmp_path / "run"
    cut_run(path, 7, monkeypatch, **OFTEN)
    newest = checkpoints(path)[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    damages: dict[str, bytes | bytearray] = {
        "cut": content[:-9],
        "flipped": content,
        "empty": b"",
        "foreign": b"\x80\x04K\x01.",
    }
    newest.write_bytes(damages[damage])
    with pytest.raises(RunError, match="step-"):
        read_checkpoint(newest)
    NOTES.clear()
    run_in(path, config(**OFTEN))
    assert any(f"using the checkpoint before: {newest}: " in note for note in NOTES)
    assert any("continues at step 4" in note for note in NOTES)
    assert results(path) == results(tmp_path / "straight")


def test_without_a_usable_checkpoint_a_run_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "straight", config(**OFTEN))
    path = tmp_path / "run"
    cut_run(path, 7, monkeypatch, **OFTEN)
    for checkpoint in checkpoints(path):
        checkpoint.write_bytes(b"")
    run_in(path, config(**OFTEN))
    assert "starting again from step 0" in NOTES[-1]
    assert results(path) == results(tmp_path / "straight")


def test_a_finished_run_whose_checkpoints_do_not_match_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_in(path, config(**OFTEN))
    rows = (path / files.SCALARS).read_bytes()
    (path / files.SCALARS).write_bytes(rows.replace(b"\n0,", b"\n00,"))
    before = results(path)
    with pytest.raises(SettingError, match=r"has ended, and no checkpoint .* has changed since"):
        run_in(path, config(**OFTEN, trainer={"steps": 12}))
    assert results(path) == before


def test_a_number_may_be_typed_in_another_way(tmp_path: Path) -> None:
    as_float, as_integer = (
        {"trainer": {"clip": one, "steps": 12}, "optimizer": {"weight_decay": zero}}
        for one, zero in ((1.0, 0.0), (1, 0))
    )
    assert config(**as_float) == config(**as_integer)  # for Python
    for first, second in ((as_float, as_integer), (as_integer, as_float)):
        path = tmp_path / f"{first['trainer']['clip']}"
        short = {**first, "trainer": {**first["trainer"], "steps": 8}}
        run_in(path, config(**OFTEN, **short))
        run_in(path, config(**OFTEN, **second))
        assert NOTES[-1] == f"{path} was finished at step 8, now goes on to 12"


def test_a_finished_run_without_checkpoints_is_left_alone(tmp_path: Path) -> None:
    run_in(tmp_path, config(**OFTEN))
    shutil.rmtree(tmp_path / files.CHECKPOINTS)
    before = results(tmp_path)
    with pytest.raises(SettingError, match=r"no checkpoint can be used .* it has none"):
        run_in(tmp_path, config(**OFTEN, trainer={"steps": 12}))
    assert results(tmp_path) == before


def test_what_has_not_ended_may_take_fewer_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_run(tmp_path, 7, monkeypatch, **OFTEN, trainer={"steps": 1000})
    with pytest.raises(SettingError, match=r"1000 there, 5 here \(it has taken 6\)"):
        run_in(tmp_path, config(**OFTEN, trainer={"steps": 5}))
    run = run_in(tmp_path, config(**OFTEN, trainer={"steps": 9}))
    assert any("the schedule is compressed to 9 steps: at step 6" in note for note in NOTES)
    assert (run.state, run.scalars["step"].tolist()) == ("finished", list(range(10)))
    assert [leg.steps for leg in run.provenance.legs] == [1000, 9]


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("how", ["damaged", "other rows"])
def test_checkpoints_that_are_not_gone_on_from_displace_no_new_one(
    how: str, lost: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    cut_run(path, 7, monkeypatch, **OFTEN)
    if how == "damaged":
        for checkpoint in checkpoints(path)[-lost:]:  # of steps 4 and 6
            checkpoint.write_bytes(b"")
    else:
        rows = (path / files.SCALARS).read_bytes().splitlines(keepends=True)
        rows[{1: 6, 2: 2}[lost]] = b"9,9\n"
        (path / files.SCALARS).write_bytes(b"".join(rows))
    left = {1: 4, 2: 0}[lost]
    fit = Trainer.fit

    def interrupted(self: Trainer, state: Any, **options: Any) -> Any:
        for record in fit(self, state, **options):
            if record.step == left:
                os.kill(os.getpid(), signal.SIGINT)
            yield record

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", interrupted)
        with pytest.raises(Interrupted) as caught:
            run_in(path, config(**OFTEN))
    kept = {1: [4, 5], 2: [1]}[lost]
    assert caught.value.checkpoint == kept[-1]
    assert [read_checkpoint(p).step for p in checkpoints(path)] == kept
    run_in(path, config(**OFTEN))
    assert f"{path} continues at step {kept[-1]}" in NOTES


def test_damaged_settings_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run_in(path, config())
    (path / files.CONFIG).write_text("{", encoding="utf-8")
    done = command("trainer.steps=9", f"run.dir={path}", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ffn_train: {path / files.CONFIG}: ")


def test_settings_without_steps_are_another_run(tmp_path: Path) -> None:
    run_in(tmp_path, config())
    path = tmp_path / files.CONFIG
    path.write_text(json.dumps({**json.loads(path.read_text()), "trainer": None}))
    with pytest.raises(SettingError, match=r"trainer\.steps=None there, 8 here"):
        run_in(tmp_path, config())


def test_other_threads_or_numpy_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    cut_run(path, 5, monkeypatch, **OFTEN)
    provenance = load_run(path).provenance
    packages = {**(provenance.packages or {}), "numpy": "1.0"}
    other = replace(provenance, packages=packages, blas_threads=7)
    records.write(path / files.PROVENANCE, other)
    NOTES.clear()
    run_in(path, config(**OFTEN))
    assert any("BLAS threads was 7, is 1" in note and "last bits" in note for note in NOTES)
    assert any("numpy was 1.0" in note for note in NOTES)


def states(path: Path) -> str:
    state = load_run(path).state
    assert state is not None
    return state


def test_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    cut_run(path, 5, monkeypatch, **OFTEN)
    assert states(path) == "failed"
    run_in(path, config(**OFTEN))
    assert states(path) == "finished"


def test_an_extended_run_has_the_weights_of_its_new_end_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, longer = tmp_path / "run", {**OFTEN, "trainer": {"steps": 12, "keep": "best"}}
    run_in(path, config(**{**longer, "trainer": {"steps": 8, "keep": "best"}}))
    cut_run(path, 2, monkeypatch, **longer)
    which: Any
    for which, name in (("last", files.WEIGHTS), ("best", files.BEST)):
        assert (path / name).exists()  # from before
        with pytest.raises(RunError, match=f"has not ended: {name} .* run.dir={path} goes on"):
            load_run(path).weights(which)
    with pytest.raises(RunError, match="has not ended"):
        model_of(load_run(path))
    run = run_in(path, config(**longer))
    assert {*run.weights()} == {*run.weights("best")}


def test_an_interrupted_run_writes_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "straight", config())
    path = tmp_path / "run"
    fit = Trainer.fit

    def interrupted(self: Trainer, state: Any, **options: Any) -> Any:
        for record in fit(self, state, **options):
            if record.step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield record

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", interrupted)
        with pytest.raises(Interrupted) as caught:
            run_in(path, config())
    assert caught.value.signal == signal.SIGTERM
    assert caught.value.path == path
    assert read_checkpoint(checkpoints(path)[-1]).step == 4
    assert states(path) == "interrupted"
    run_in(path, config())
    assert results(path) == results(tmp_path / "straight")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_full_disk_is_one_clear_error_and_spares_the_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_in(tmp_path / "straight", config(**OFTEN))
    path = tmp_path / "run"
    count = 0

    def full(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_checkpoint(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(recording, "write_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            run_in(path, config(**OFTEN))
    assert [read_checkpoint(p).step for p in checkpoints(path)] == [2, 4]
    assert states(path) == "failed"
    run_in(path, config(**OFTEN))
    assert results(path) == results(tmp_path / "straight")


def test_a_directory_removed_under_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    fit = Trainer.fit

    def removing(self: Trainer, state: Any, **options: Any) -> Any:
        for record in fit(self, state, **options):
            if record.step == 3:
                shutil.rmtree(path)
            yield record

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "fit", removing)
        with pytest.raises(FileNotFoundError) as caught:
            run_in(path, config(**OFTEN))
    assert str(path) in str(caught.value)


def test_a_power_loss_that_keeps_the_summary_keeps_the_results(tmp_path: Path) -> None:
    with recorded(tmp_path) as operations:
        run_in(tmp_path / "run", config())
    disk = Disk({})
    for operation in operations:
        disk.apply(operation)
        if operation.target == f"run/{files.SUMMARY}":
            break
    left = [make() for _, make in disk.losses()]
    ended = [content for content in left if f"run/{files.SUMMARY}" in content]
    assert ended != left
    for content in ended:
        assert {f"run/{name}" for name in (files.WEIGHTS, files.PREDICTIONS)} <= {*content}


def test_a_power_loss_in_an_extension_brings_no_summary_of_before_back(tmp_path: Path) -> None:
    """Beside the new settings the old summary would contradict them, and be refused for good."""
    run_in(tmp_path / "run", config())
    before = read_directory(tmp_path)
    with recorded(tmp_path) as operations:
        run_in(tmp_path / "run", config(trainer={"steps": 12}))
    disk, changed, summary = Disk(before), f"run/{files.CONFIG}", f"run/{files.SUMMARY}"
    for operation in operations:
        disk.apply(operation)
        if operation.target == changed:
            break
    left = [make() for _, make in disk.losses()]
    assert any(content[changed] != before[changed] for content in left)
    for content in left:
        assert content[changed] == before[changed] or summary not in content


LONG = ("model.depth=3", "model.width=8", "task.rows=200", "plot.when=never", "threads=1")


def wait_for_steps(path: Path, process: Forked) -> None:
    """Until the run has logged some rows."""
    while process.running():
        log = path / files.SCALARS
        if log.exists() and log.stat().st_size > 2000:
            return
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_with_one_line(number: int, status: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    endless = (*LONG, "engine=numpy", "trainer.steps=1000000")  # compiling has a line of its own
    run = start(f"run.dir={path}", *endless, cwd=tmp_path)
    wait_for_steps(path, run)
    run.send_signal(number)
    done = run.wait(timeout=20)
    assert done.returncode == status
    (line,) = done.stderr.splitlines()
    assert re.match(r"ffn_train: interrupted at step \d+; to go on: python -m ffn_train ", line)
    assert f"run.dir={path}" in line
    assert read_checkpoint(checkpoints(path)[-1]).step > 0
    assert states(path) == "interrupted"


def test_a_second_signal_leaves_at_once_and_loses_nothing(tmp_path: Path) -> None:
    straight = tmp_path / "straight"
    often = (*LONG, "checkpoint.every=7", "trainer.steps=1000")
    assert command(f"run.dir={straight}", *often, cwd=tmp_path).returncode == 0
    path = tmp_path / "run"
    run = start(f"run.dir={path}", *often, cwd=tmp_path)
    wait_for_steps(path, run)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)
    assert run.wait(timeout=20).returncode == 130
    assert command(f"run.dir={path}", *often, cwd=tmp_path).returncode == 0
    assert results(path) == results(straight)
