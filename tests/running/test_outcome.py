"""A run is what its files say: kept when it is interrupted, and whatever becomes of its figures."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tqdm import tqdm

from ffn_train import record
from ffn_train.nn.optim.sgd import SGD
from ffn_train.report.text import report
from ffn_train.running import execution, recording
from ffn_train.running.interruption import Interrupted
from ffn_train.running.resumption import last_usable
from ffn_train.runs import RunError, files, load_run
from ffn_train.runs.checkpoint import (
    Checkpoint,
    checkpoints,
    newest_step,
    read_checkpoint,
    write_checkpoint,
)
from ffn_train.runs.outcome import training_loss
from ffn_train.runs.writer import RunWriter
from ffn_train.train.gradient import BatchGradient
from ffn_train.train.stopping import Progress
from ffn_train.train.trainer import Trainer
from tests.support.choices import settings
from tests.support.command import command, process
from tests.support.small_runs import NOTES, SMALL, config, run_in

RESULTS = (files.SCALARS, files.MEASURES, files.WEIGHTS, files.SUMMARY)


def results(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in RESULTS}


def slow(
    patch: pytest.MonkeyPatch, owner: type, method: str, count: int, number: int = signal.SIGTERM
) -> None:
    """Let the call of this count bring a signal and take longer than a step is waited for."""
    original: Callable[..., Any] = getattr(owner, method)
    calls = 0

    def slowly(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        result = original(*arguments, **keywords)
        if calls == count:
            os.kill(os.getpid(), number)
            for _ in range(120):
                time.sleep(0.01)
        return result

    patch.setattr(owner, method, slowly)


@pytest.mark.parametrize(
    ("owner", "method", "count", "step"),
    [
        (BatchGradient, "take", 4, 3),  # in the passes of step 3: nothing has come of it yet
        (Trainer, "validate", 2, 4),  # at step 4, before its update
        (SGD, "step", 4, 4),  # in the update of step 3, which is brought to its end
        (RunWriter, "record", 4, 4),  # between that update and the row's place in the file
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_long_step_is_left_where_nothing_is_torn(
    owner: type,
    method: str,
    count: int,
    step: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_in(tmp_path / "straight", config())
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        slow(patch, owner, method, count)
        with pytest.raises(Interrupted) as caught:
            run_in(path, config())
    assert caught.value.checkpoint == newest_step(path) == step
    assert load_run(path).state == "interrupted"
    assert load_run(path).scalars["step"].tolist() == list(range(step))
    run_in(path, config())
    assert results(path) == results(tmp_path / "straight")


def test_a_step_that_is_taken_again_counts_once_as_exploded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild = config(trainer={"patience": 6, "clip": None}, residual={"name": "identity"})
    wild["init"] = {"name": "he", "bias_std": 1e4}
    wild["optimizer"] = wild["optimizer"] | {"lr": 0.0}
    run_in(tmp_path / "straight", wild)
    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        slow(patch, Trainer, "validate", 2)
        with pytest.raises(Interrupted):
            run_in(path, wild)
    assert run_in(path, wild).state == "stopped"
    assert results(path) == results(tmp_path / "straight")


def test_a_run_can_be_resumed_up_to_its_last_row(tmp_path: Path) -> None:
    run_in(tmp_path / "whole", config())
    assert last_usable(tmp_path / "whole") == 8
    wild = config(trainer={"clip": None}, optimizer={**settings("optimizer", "sgd"), "lr": 1e9})
    diverged = run_in(tmp_path / "diverged", wild)
    assert diverged.summary is not None
    assert diverged.summary.divergence is not None
    assert last_usable(tmp_path / "diverged") == diverged.summary.divergence.step < 8
    (tmp_path / "whole" / files.SUMMARY).unlink()
    (tmp_path / "whole" / files.CONFIG).write_text('{"trainer": {}}')
    with pytest.raises(RunError, match=r"it has no trainer\.steps"):
        last_usable(tmp_path / "whole")


def test_the_bar_comes_after_the_announcement_and_not_at_all_for_a_short_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(recording, "_bar", lambda: (partial(tqdm, file=terminal), True))
    monkeypatch.setattr(recording, "SHOWN", 1e6)
    run_in(tmp_path / "short", config())
    assert not terminal.getvalue().strip()
    monkeypatch.setattr(recording, "SHOWN", 0.0)
    run_in(tmp_path / "long", config())
    assert "/8 " in terminal.getvalue()


def test_the_announcement_does_not_break_into_the_bar() -> None:
    assert execution.PROMPT < recording.SHOWN


def test_not_every_row_need_be_logged(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config(log={"every": 3}, evaluate={"every": 4}))
    assert run.scalars["step"].tolist() == [0, 3, 4, 5, 6, 8]  # 5 and 8 are measured
    assert run.scalars["loss"][3] == run_in(tmp_path / "all", config()).scalars["loss"][5]


def test_figures_that_are_there_are_not_drawn_again(tmp_path: Path) -> None:
    drawing = config(plot={"when": "always", "figures": ["loss"]})
    run_in(tmp_path, drawing)
    figure = tmp_path / files.PLOTS / "loss.png"
    figure.write_bytes(b"mine")
    run_in(tmp_path, drawing)
    assert figure.read_bytes() == b"mine"


def test_what_is_said_of_a_checkpoint_is_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        slow(patch, BatchGradient, "take", 1, signal.SIGINT)
        done = command(*SMALL, "run.dir=run", cwd=tmp_path)
    assert done.returncode == 130
    again = "interrupted before the first checkpoint; to start again: python -m ffn_train "
    assert again in done.stderr
    assert done.stderr.endswith(" run.dir=run\n")
    assert newest_step(tmp_path / "run") is None
    with monkeypatch.context() as patch:
        slow(patch, BatchGradient, "take", 3, signal.SIGINT)
        done = command(*SMALL, "run.dir=run", cwd=tmp_path)
    assert "ffn_train: interrupted at step 2; to go on: python -m ffn_train " in done.stderr
    assert done.stderr.endswith(" run.dir=run\n")
    assert newest_step(tmp_path / "run") == 2


@pytest.mark.parametrize(
    ("writes", "words"), [(1, "starts again: it has no checkpoint"), (2, "goes on at step 2")]
)
def test_a_full_disk_promises_no_checkpoint_that_is_not_there(
    writes: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def full(path: Path, checkpoint: Checkpoint) -> None:
        nonlocal count
        count += 1
        if count == writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_checkpoint(path, checkpoint)

    monkeypatch.setattr(recording, "write_checkpoint", full)
    done = command(*SMALL, "checkpoint.every=2", "run.dir=run", cwd=tmp_path)
    assert done.returncode == 1
    again = f"once that is fixed, the same command with run.dir=run {words}"
    assert done.stderr == f"ffn_train: run: No space left on device; {again}\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "full"), f"OSError: [Errno {errno.ENOSPC}] full"),
        (ValueError("no such font"), "ValueError: no such font"),
        (files.RunError("m: no step has been measured yet"), "m: no step has been measured yet"),
        (MemoryError(), "MemoryError: MemoryError"),
        (SystemExit(0), "SystemExit: 0"),
    ],
)
def test_figures_that_fail_are_warned_of(
    error: BaseException, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a run"

    def draw(*_: object, **__: object) -> None:
        assert (path / files.SUMMARY).is_file()
        raise error

    monkeypatch.setattr(execution, "draw", draw)
    run = run_in(path, config(plot={"when": "always"}))
    assert run.state == load_run(path).state == "finished"
    draws = f"once that is fixed, to draw them: python -m ffn_train.plots '{path}'"
    assert NOTES[-1] == f"warning: figures left out: {reason}; {draws}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_drawing_leaves_a_finished_run(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(execution, "draw", draw)
    run = run_in(tmp_path / "run", config(plot={"when": "always"}))
    assert run.state == load_run(tmp_path / "run").state == "finished"
    assert NOTES[-1].startswith(f"figures interrupted by {number.name}; ")


def test_the_same_command_draws_the_figures_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "run"
    figures = {"when": "always", "figures": ["loss", "signal"], "formats": ["svg"]}
    run_in(path, config(plot=figures))
    loss, signals = (path / files.PLOTS / f"{name}.svg" for name in figures["figures"])
    before = loss.read_bytes()
    loss.unlink()
    signals.write_bytes(b"")
    run_in(path, config(plot={**figures, "when": "never"}))
    assert not loss.exists()
    run_in(path, config(plot=figures))
    assert loss.read_bytes() == before
    assert signals.read_bytes() == b""  # it is there


def test_a_notebooks_backend_is_not_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://nowhere.backend_inline")
    done = process(*SMALL, "plot.when=always", "plot.figures=[loss]", "run.dir=run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "run" / files.PLOTS / "loss.png").is_file()


def test_neither_a_closed_stderr_nor_an_ascii_stdout_fails_a_run(tmp_path: Path) -> None:
    arguments = [*SMALL, "run.dir=run", "model.depth=20", "residual=identity"]  # which is warned of
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-m", "ffn_train", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0
    assert "\nR\\xb2 " in done.stdout
    assert load_run(tmp_path / "run").state == "finished"
    assert (tmp_path / "run" / files.LOCK).read_bytes() == b""  # it has not become stderr


def test_a_full_stderr_fails_no_run(tmp_path: Path) -> None:
    arguments = [*SMALL, "run.dir=run", "model.depth=20", "residual=identity"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ffn_train", *arguments], cwd=tmp_path, stderr=full
        )
    assert load_run(tmp_path / "run").state == "finished"
    assert done.returncode == 0


DIVERGING = {
    "residual": {"name": "identity"},
    "optimizer": {**settings("optimizer", "sgd"), "lr": 1e6},
    "schedule": settings("schedule", "constant"),
    "checkpoint": {"every": 1},
    "trainer": {"clip": None},
}


def test_a_diverged_state_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run = run_in(path, config(**DIVERGING))
    assert run.summary is not None
    assert run.summary.divergence is not None
    assert run.state == "diverged"
    step = run.summary.divergence.step
    assert 0 < step < 8
    assert newest_step(path) == step
    before = results(path)
    longer = config(**{**DIVERGING, "trainer": {"clip": None, "steps": 12}})

    # as a version did that saved the state after the last row, too
    newest = read_checkpoint(checkpoints(path)[-1])
    logs = replace(
        newest.logs,
        scalars_bytes=(path / files.SCALARS).stat().st_size,
        measures_rows={files.MEASURES: len(np.load(path / files.MEASURES))},
        digests={},
    )
    late = Checkpoint(step + 1, newest.parameters, newest.memory, Progress(), logs)
    write_checkpoint(path, late)

    run = run_in(path, longer)
    assert run.summary is not None
    assert run.summary.divergence is not None
    assert run.summary.divergence.step == step
    assert results(path)[files.SCALARS] == before[files.SCALARS]
    assert results(path)[files.WEIGHTS] == before[files.WEIGHTS]


def test_checkpoints_of_the_same_state_have_the_same_bytes(tmp_path: Path) -> None:
    run_in(tmp_path / "run", config())
    file = checkpoints(tmp_path / "run")[-1]
    checkpoint, content = read_checkpoint(file), file.read_bytes()
    for _ in range(20):
        write_checkpoint(tmp_path / "run", checkpoint)
        assert file.read_bytes() == content


def test_all_is_on_the_disk_before_the_summary_says_that_the_run_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power loss leaves: the names since a directory's last fsync may be gone, too."""
    path = tmp_path / "new" / "run"
    flushed: dict[str, int] = {}  # the size that a file had when it was last flushed
    renamed: list[str] = []  # names that are not on the disk yet
    fsync, replace, mkdir = os.fsync, os.replace, os.mkdir

    def flush(number: int) -> None:
        where = os.readlink(f"/proc/self/fd/{number}")
        flushed[where] = os.fstat(number).st_size
        renamed[:] = [name for name in renamed if os.path.dirname(name) != where]
        fsync(number)

    def rename(source: str, target: Path) -> None:
        if target.name == files.SUMMARY:
            for name in (files.SCALARS, files.MEASURES):
                assert flushed[str(path / name)] == (path / name).stat().st_size
        if target.parent.name == files.CHECKPOINTS:
            assert not any(Path(name).parent == path.parent for name in renamed)
        assert flushed[source] == Path(source).stat().st_size
        renamed.append(str(target))
        replace(source, target)

    def make(target: Any, *arguments: Any, **keywords: Any) -> None:
        mkdir(target, *arguments, **keywords)
        renamed.append(str(target))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", flush)
        patch.setattr(os, "replace", rename)
        patch.setattr(os, "mkdir", make)
        run_in(path, config(checkpoint={"every": 2}))
    assert renamed == [str(path / files.STATUS)]  # which the summary makes superfluous


def test_the_training_loss_is_the_mean_over_the_last_rows(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config(trainer={"steps": 30}))
    assert run.summary is not None
    losses, validation = run.scalars["loss"], run.scalars["validation_loss"]
    assert run.summary.train_loss == pytest.approx(losses[-20:].mean(), rel=1e-12)
    assert run.summary.best_validation_step == run.scalars["step"][np.nanargmin(validation)]
    printed = report(run).splitlines()[0]
    assert f"training {losses[-20:].mean():.3g}   validation {validation[-1]:.3g}   " in printed
    best = f"best validation loss {np.nanmin(validation):.3g}, at step "
    assert f"{best}{run.summary.best_validation_step}   " in printed
    assert printed.endswith("(in squared standard deviations of the target)")


@pytest.mark.parametrize("last", [1, 19, 20, 21, 150, 400, 1000])
def test_where_every_step_has_a_row_the_training_loss_is_that_of_the_last_20(
    tmp_path: Path, last: int
) -> None:
    losses = np.random.default_rng(last).exponential(size=last + 1)
    run = run_in(tmp_path / "run", config())
    run = replace(run, scalars={"step": np.arange(last + 1.0), "loss": losses})
    assert training_loss(run) == losses[-20:].mean()


@pytest.mark.parametrize(
    ("steps", "rows"),
    [
        ((0, 70), 1),
        ((0, 50, 51, 70), 2),  # of the last 20 steps
        (range(0, 2001, 25), 8),  # of the last 10 % of the run
        (range(0, 100_001, 50), 20),
    ],
)
def test_rows_of_long_before_the_end_are_not_in_the_training_loss(
    tmp_path: Path, steps: Sequence[int], rows: int
) -> None:
    losses = 1 / (1 + np.array(steps, dtype=float))
    run = run_in(tmp_path / "run", config())
    run = replace(run, scalars={"step": np.array(steps), "loss": losses})
    assert training_loss(run) == losses[-rows:].mean()


def test_a_longer_interval_of_the_log_does_not_raise_the_training_loss(tmp_path: Path) -> None:
    sparse = {name: {"every": 1000} for name in ("log", "evaluate", "measure")}
    run = run_in(tmp_path / "run", config(trainer={"steps": 70}, **sparse))
    assert run.scalars["step"].tolist() == [0, 70]
    assert run.summary is not None
    assert run.summary.train_loss == run.scalars["loss"][-1]


def test_a_validation_loss_that_was_never_computed_is_not_called_infinite(tmp_path: Path) -> None:
    columns = ["loss", "validation_loss"]
    shapes = {"blocks.0.weight": (2, 2)}
    with record(tmp_path, tensors=shapes, blocks="blocks.*", scalars=columns) as recorder:
        recorder.log(0, {"loss": 1.0})
    run = load_run(tmp_path)
    assert run.summary is not None
    assert run.summary.best_validation_loss is None
    assert "not finite" not in report(run)
