"""A logger of one's own: told each step once, however often the run is cut, and harmless."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ffn_train.config.composition import compose
from ffn_train.config.settings import SettingError
from ffn_train.interop import loggers
from ffn_train.plots.settings import flatten
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.running.guard import GuardedLogger
from ffn_train.runs import Run, files, load_run
from ffn_train.runs.checkpoint import newest_step
from tests.support.choices import settings
from tests.support.command import Forked, command, start
from tests.support.small_runs import NOTES, SMALL, config, run_in

LINES = '''
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from ffn_train.parts import Logger, choice, setting


@choice("logger", "lines")
class Lines(Logger):
    """A line of JSON for each record, in a file of the run's directory."""

    file: str = setting("the file's name", "log.jsonl")
    fails: str = setting("the method that raises", "")
    stops: bool = setting("whether it raises KeyboardInterrupt", False)
    waits: str = setting("the method that takes long", "")
    killed: int = setting("the step at which the process is killed", -1)
    before: bool = setting("whether that is before the line is written", False)

    def open(self, run, config, first):
        self.happens("open")
        assert config["logger"]["file"] == self.file
        config.clear()
        assert json.loads((run / "layout.json").read_text())["depth"] == 3
        self.path = run / self.file
        text = self.path.read_text() if self.path.exists() else ""
        lines = [x for x in text.splitlines(True) if json.loads(x)["step"] < first]
        self.path.write_text("".join(lines))

    def log(self, step, scalars, measures):
        self.happens("log")
        if step == self.killed and self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        sizes = {name: array.shape for name, array in measures.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **scalars, "measured": sizes}) + "\\n")
        for array in measures.values():
            array[...] = 0
        scalars.clear()
        if step == self.killed:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self, state):
        self.happens("close")
        self.path.with_name("state").write_text(state)

    def happens(self, method):
        if method == self.fails:
            kind = {"open": OSError, "log": SystemExit, "close": GeneratorExit}[method]
            kind = KeyboardInterrupt if self.stops else kind
            raise kind(f"no room in\\n{method}")
        if method == self.waits:
            Path("waiting").touch()
            time.sleep(60)
'''
PARTS = "parts=[my_logger.py]"
LINES_CHOSEN = (PARTS, "logger=lines")
RESULTS = (files.SCALARS, files.MEASURES, files.WEIGHTS, files.SUMMARY, files.THEORY, files.LAYOUT)


@pytest.fixture
def part(parts_folder: Path) -> Path:
    """A file with a logger, in the working directory."""
    path = parts_folder / "my_logger.py"
    path.write_text(LINES, encoding="utf-8")
    return path


def logged(overrides: list[str], notes: list[str]) -> Run:
    """A small run with the logger."""
    return execute(build_experiment(compose([*SMALL, *LINES_CHOSEN, *overrides])), notes.append)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def results(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in RESULTS}


def test_it_is_given_what_the_files_hold(part: Path) -> None:
    run = logged(["run.dir=run"], NOTES)
    table, rows = run.scalars, lines(run.path)
    assert [row["step"] for row in rows] == list(table["step"])
    for index, row in enumerate(rows):
        known = {name: column[index] for name, column in table.items()}
        known = {name: value for name, value in known.items() if value == value}
        measured = row.pop("measured")
        assert row == known
        assert bool(measured) == (row["step"] in run.measures.step)
    assert measured["signal_rms"] == [run.measures.depth + 1]
    assert (run.path / "state").read_text() == "finished"


def test_the_run_is_the_same_with_and_without(part: Path) -> None:
    run = logged(["run.dir=run"], NOTES)
    bare = run_in(part.parent / "bare", config())
    assert results(run.path) == results(bare.path)


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("open", "OSError"),
        ("log", "SystemExit"),
        ("close", "GeneratorExit"),
        *((method, "KeyboardInterrupt") for method in ("open", "log", "close")),
    ],
)
def test_one_that_raises_is_warned_of_once_and_the_run_goes_on(
    method: str, kind: str, part: Path
) -> None:
    notes: list[str] = []
    stops = f"logger.stops={kind == 'KeyboardInterrupt'}"
    run = logged([f"logger.fails={method}", stops, "run.dir=run"], notes)
    assert notes == [
        f"warning: logger=lines failed in {method} and is not called again: {kind}: no room in"
    ]
    assert results(run.path) == results(run_in(part.parent / "bare", config()).path)
    assert not (run.path / "state").exists()


@pytest.mark.parametrize("method", ["open", "log", "close"])
def test_ctrl_c_in_a_loop_of_ones_own_passes_through_its_logger(method: str) -> None:
    logger = Mock(**{f"{method}.side_effect": KeyboardInterrupt})
    guarded = GuardedLogger(logger, NOTES.append)

    def logging() -> None:
        guarded.open(Path("run"), {}, 0)
        guarded.log({"step": 0}, {})
        guarded.close("finished")

    with pytest.raises(KeyboardInterrupt):
        logging()


def test_killed_at_every_step_it_has_each_step_once(part: Path) -> None:
    often = ["checkpoint.every=2", "measure.every=3"]
    straight = logged([*often, "run.dir=straight"], NOTES)
    steps = range(config()["trainer"]["steps"] + 1)
    composed = compose([*SMALL, *LINES_CHOSEN, *often, "run.dir=run"])
    for at, when in product(steps, (True, False)):
        deadly = {**composed, "logger": {**composed["logger"], "killed": at, "before": when}}
        run_to_death = partial(execute, build_experiment(deadly), print)
        assert Forked(run_to_death, cwd=part.parent).wait().returncode == -signal.SIGKILL
    run = logged([*often, "run.dir=run"], NOTES)
    assert lines(run.path) == lines(straight.path)
    assert results(run.path) == results(straight.path)


def test_it_may_differ_when_a_run_goes_on(part: Path) -> None:
    constant = ["schedule=constant", "run.dir=run"]
    run = logged(["trainer.steps=4", *constant], NOTES)
    part.write_text(f"{LINES}\n# changed", encoding="utf-8")
    logged(["trainer.steps=6", "logger.fails=log", *constant], NOTES)
    assert len(lines(run.path)) == 4  # the last row is taken again, now with its update
    whole = config(schedule=settings("schedule", "constant"))
    run = run_in(run.path, whole)
    assert results(run.path) == results(run_in(part.parent / "bare", whole).path)


def test_a_run_from_before_there_were_loggers_is_gone_on_with(tmp_path: Path) -> None:
    run_in(tmp_path, config(trainer={"steps": 4}))
    path = tmp_path / files.CONFIG
    before = json.loads(path.read_text(encoding="utf-8"))
    assert before.pop("logger") == {"name": "none"}
    path.write_text(json.dumps(before), encoding="utf-8")
    assert run_in(tmp_path, config()).state == "finished"
    assert build_experiment(before).logger.name == "none"
    assert not [key for key in flatten(config()) if key.startswith("logger")]


def test_its_end_says_how_the_run_ended(part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hot = ["optimizer.lr=1e30", "trainer.clip=null", "run.dir=hot"]
    assert logged(hot, NOTES).state == "diverged"
    assert (part.parent / "hot" / "state").read_text() == "diverged"
    monkeypatch.setattr("ffn_train.running.execution.write_weights", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        logged(["run.dir=broken"], NOTES)
    assert (part.parent / "broken" / "state").read_text() == "failed"


def interrupted(part: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    """The command, interrupted once its logger waits."""
    run = start(*SMALL, *LINES_CHOSEN, "run.dir=run", *overrides, cwd=part.parent)
    while run.running() and not (part.parent / "waiting").exists():
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    return run.wait(timeout=20)


@pytest.mark.parametrize(("method", "step"), [("open", None), ("log", 1)])
def test_a_signal_ends_the_run_also_while_it_waits(
    method: str, step: int | None, part: Path
) -> None:
    """The row that is being logged is complete, with its update; only the logger misses it."""
    done = interrupted(part, f"logger.waits={method}")
    path = part.parent / "run"
    assert done.returncode == 130
    assert done.stderr.startswith("ffn_train: interrupted ")
    assert load_run(path).state == "interrupted"
    assert newest_step(path) == step
    logged(["run.dir=run"], NOTES)
    assert [line["step"] for line in lines(path)] == list(range(step or 0, 9))
    assert results(path) == results(run_in(part.parent / "bare", config()).path)


def test_a_signal_while_it_closes_leaves_the_run_finished(part: Path) -> None:
    done = interrupted(part, "logger.waits=close")
    assert done.returncode == 0
    assert done.stderr == (
        "warning: logger=lines failed in close and is not called again: Interrupted: SIGINT\n"
    )
    assert load_run(part.parent / "run").state == "finished"


def test_the_jobs_of_a_sweep_have_it_and_survive_it(part: Path) -> None:
    launcher = "local" if find_spec("joblib") else "serial"
    sweep = (
        "-m",
        "seed=0,1",
        "sweep.dir=sweep",
        f"hydra/launcher={launcher}",
        "logger.fails=close",
    )
    done = command(*SMALL, *LINES_CHOSEN, *sweep, cwd=part.parent)
    assert done.returncode == 0, done.stderr
    jobs = sorted((part.parent / "sweep" / "jobs").iterdir())
    assert [len(lines(job)) for job in jobs] == [9, 9]
    for log in (part.parent / "sweep" / "logs").iterdir():
        assert log.read_text().startswith("warning: logger=lines failed in close")


def test_help_and_mistakes_know_it(part: Path) -> None:
    assert command("--help", "logger=none", cwd=part.parent).stdout.startswith("logger=none: ")
    done = command("--help", *LINES_CHOSEN, cwd=part.parent)
    assert "\n  logger.file=log.jsonl  the file's name\n" in done.stdout
    with pytest.raises(SettingError, match=r"got 'line'; did you mean lines\?"):
        compose([*SMALL, PARTS, "logger=line"])
    with pytest.raises(SettingError, match=r"logger\.fil is not a setting; did you mean logger\."):
        compose([*SMALL, *LINES_CHOSEN, "logger.fil=x"])
    with pytest.raises(SettingError, match=r"logger\.file must be text, got 3"):
        build_experiment(compose([*SMALL, *LINES_CHOSEN, "logger.file=3"]))


def test_the_guides_logger_for_a_tracker_has_each_step_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide = (Path(loggers.__file__).parent / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n# my_wandb.py\n(.*?)```", guide, re.S)
    assert len(code.splitlines()) <= 25
    part = tmp_path / "tracker.py"
    part.write_text(code, encoding="utf-8")

    class Tracker:
        """What its library keeps of a project, and what ``wandb.init`` returns."""

        def __init__(self) -> None:
            self.step = 0
            self.rows: dict[int, dict[str, float]] = {}
            self.summary: dict[str, str] = {}
            self.begun: list[tuple[str, str]] = []

        def init(self, **given: Any) -> Any:
            self.begun.append((given["id"], given["resume"]))
            return self

        def log(self, values: dict[str, float], step: int) -> None:
            assert step not in self.rows
            self.rows[step], self.step = values, step + 1

        def finish(self) -> None:
            self.step = len(self.rows)

    tracker = Tracker()
    monkeypatch.setitem(sys.modules, "wandb", tracker)
    given = [*SMALL, f"run.dir={tmp_path / 'run'}", f"parts=[{part}]", "logger=wandb"]
    for steps in ("trainer.steps=8", "trainer.steps=12"):
        overrides = [*given, "schedule=constant", steps]
        run = execute(build_experiment(compose(overrides)), NOTES.append, progress=False)
    assert tracker.begun == [("run", "allow")] * 2
    assert tracker.summary == {"state": "finished"}
    assert list(tracker.rows) == run.scalars["step"].tolist()
    assert [row["loss"] for row in tracker.rows.values()] == run.scalars["loss"].tolist()
    scalars = [row["gradient_norm"] for row in tracker.rows.values()]
    assert scalars == run.scalars["gradient_norm"].tolist()
    assert tracker.rows[0]["measures/update_norm"] > 0
    assert "measures/update_norm" not in tracker.rows[12]
