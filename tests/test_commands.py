"""What all commands have in common: one line when interrupted, one line for a mistaken option."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from runs_for_tests import SMALL, config

from ffn_train import threads
from ffn_train.commands import running
from ffn_train.experiment import build_experiment


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


WORK = {  # command -> its arguments and what it does, where Ctrl-C finds it
    "gradcheck": ((), "ffn_train.gradcheck.check_stack"),
    "theory": ((), "ffn_train.commands.theory.predictions"),
    "reproduce": (("order_to_chaos",), "ffn_train.reproduce.study.run"),
    "compare": (("somewhere",), "ffn_train.compare.collect"),
    "plots": (("somewhere",), "ffn_train.commands.plots.load_run"),
}


@pytest.mark.parametrize("name", WORK)
def test_an_interrupted_command_says_so_in_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, work = WORK[name]
    monkeypatch.setattr(work, interrupt)
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        running.run(name)
    assert ended.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == f"ffn_train.{name}: interrupted"


def test_more_threads_than_allowed_cores_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    (warning,) = build_experiment(config(threads=2)).warnings
    assert warning.startswith("threads=2 with 1 core allowed to this process: ")
    assert warning.endswith("threads=1 or auto fits")
    for fits in (1, "auto"):
        assert build_experiment(config(threads=fits)).warnings == []
    large = {"batch": 512, "width": 512, "hidden": 2048}
    assert threads.choose("auto", **large) == threads.Threads(blas=1, shards=1)


def test_a_sweep_warns_of_threads_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    jobs = [text for text in SMALL if not text.startswith("threads")]
    jobs += ["threads=2", "seed=0,1", f"sweep.dir={tmp_path / 's'}", "hydra/launcher=serial"]
    monkeypatch.setattr(sys, "argv", ["ffn_train", "-m", *jobs])
    with pytest.raises(SystemExit) as ended:
        running.run("train")
    assert ended.value.code == 0
    assert capsys.readouterr().err.count("warning: threads=2 with 1 core allowed") == 1
