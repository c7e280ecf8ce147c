"""Searches: an interval's best value at each point of a sweep, by Optuna."""

from __future__ import annotations

import errno
import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ffn_train.config.settings import SettingError
from ffn_train.runs import load_run
from ffn_train.runs.summary import Summary, read_summary
from ffn_train.sweep.axes import Interval
from ffn_train.sweep.manifest import read, write
from ffn_train.sweep.run import Sweep, check, run_sweep
from ffn_train.sweep.search import _text
from ffn_train.sweep.space import Space
from tests.support.small_runs import SMALL

TINY = (*SMALL[:3], "trainer.steps=30", *SMALL[4:], "hydra/launcher=serial")
INTERVAL = "optimizer.lr=tag(log,interval(0.0001,1))"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=interval(1,0.1)", "low end must be below its high end"),
        ("optimizer.lr=tag(log,interval(0,1))", "must be above 0"),
        ("optimizer.lr=interval(1)", ": write interval(LOW,HIGH), of two numbers"),
        ("model.depth=int(interval(-3,4))", "model.depth must be an integer >= 1, got -3"),
        ("model.depth=interval(-3,4)", "model.depth must be an integer >= 1, got -3"),
        ("model.depth=interval(1,4.5)", "model.depth must be an integer >= 1, got 4.5"),
        ("block.units=interval(1,4)", "block.units is not a setting"),
        ("model.dpeth=interval(1,4)", "did you mean model.depth?"),
    ],
)
def test_both_ends_are_checked_before_any_trial(override: str, message: str) -> None:
    with pytest.raises(SettingError, match=r"^[^\n]*$") as caught:
        check([*TINY, override])
    assert message in str(caught.value)


def search(sweep: Path, *overrides: str) -> Sweep:
    pytest.importorskip("optuna", reason="Optuna is not installed (extra 'search')")
    return run_sweep(check([*TINY, *overrides, f"sweep.dir={sweep}"]), lambda line: None)


@pytest.mark.parametrize(
    ("values", "crowded"),
    [
        ("interval(0.001,1)", True),
        ("interval(0.1,1)", False),
        ("interval(-1,1)", False),
        ("tag(log,interval(0.001,1))", False),
    ],
)
def test_decades_drawn_evenly_are_pointed_out(values: str, crowded: bool) -> None:
    (interval,) = Space([*TINY[:-1], f"optimizer.lr={values}"]).intervals.values()
    assert interval.crowded == crowded


def times(sweep: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sweep.glob("jobs/*/*")}


def test_each_point_has_its_search_and_its_best(tmp_path: Path) -> None:
    swept = search(tmp_path / "s", INTERVAL, "model.depth=1,3", "sweep.search.trials=6")
    assert len(swept.entries) == 12
    assert {job.status(swept.path).state for job in swept.entries} == {"finished"}
    assert len(swept.best) == 2
    for depth, line in zip(("1", "3"), swept.best, strict=True):
        of = [job for job in read(swept.path) if job.settings["model.depth"] == depth]
        runs = {job.settings["optimizer.lr"]: load_run(swept.path / job.directory) for job in of}
        best = min(runs, key=lambda lr: (runs[lr].summary or Summary()).validation_loss or math.inf)
        assert line.startswith(f"model.depth={depth}: best optimizer.lr={best}, validation loss ")
        assert line.endswith("(6 finished, 0 diverged or stopped of 6 trials)")
    # the same command asks for the same trials and finds them ended; more trials continue
    before = times(swept.path)
    assert search(tmp_path / "s", INTERVAL, "model.depth=1,3", "sweep.search.trials=6").best
    after = times(swept.path)
    assert after == before


def test_more_trials_continue_a_search(tmp_path: Path) -> None:
    few = search(tmp_path / "s", INTERVAL, "sweep.search.trials=6").entries
    more = search(tmp_path / "s", INTERVAL, "sweep.search.trials=12").entries
    assert len(more) == 12
    assert more[:6] == few


def test_a_job_that_several_trials_propose_is_one(tmp_path: Path) -> None:
    trials = ("sweep.search.trials=5", "sweep.search.at_once=1")
    swept = search(tmp_path / "s", "model.depth=interval(1,2)", *trials)
    assert sorted(job.config["model"]["depth"] for job in swept.entries) == [1, 2]
    assert swept.best[0].endswith("of 5 trials)")


@pytest.mark.parametrize(("failing", "stale"), [(2, False), (4, True)])
def test_a_manifest_that_was_written_in_the_end_is_not_stale(
    failing: int, stale: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count(1)

    def full(*content: Any) -> None:
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*content)

    monkeypatch.setattr("ffn_train.sweep.run.write", full)
    batches = ("sweep.search.trials=2", "sweep.search.at_once=1")  # a batch is written twice
    assert search(tmp_path / "s", INTERVAL, *batches).stale == stale


def test_a_diverged_trial_is_pruned(tmp_path: Path) -> None:
    swept = search(
        tmp_path / "s",
        *("optimizer.lr=interval(1000,2000)", "trainer.clip=null", "residual=identity"),
        *("activation=relu", "sweep.search.trials=2", "sweep.search.at_once=2"),
    )
    assert swept.best == ["no trial finished (0 finished, 2 diverged or stopped of 2 trials)"]


def test_whole_numbers_stay_whole(tmp_path: Path) -> None:
    swept = search(tmp_path / "s", "model.depth=interval(1,4)", "sweep.search.trials=3")
    assert all(isinstance(job.config["model"]["depth"], int) for job in swept.entries)


@pytest.mark.parametrize(
    ("override", "whole"),
    [
        ("model.depth=interval(1,4)", True),
        ("++model.depth=tag(log,interval(1,4))", True),
        ("trainer.early_stopping=interval(1,4)", True),  # or null
        ("task.rows=interval(64,128)", True),
        ("seed=interval(1,4)", True),
        ("optimizer.lr=int(interval(1,4))", True),
        ("optimizer.lr=interval(1,4)", False),
        ("init.bias_std=interval(0,1)", False),
    ],
)
def test_settings_of_whole_numbers_are_searched_in_these(override: str, whole: bool) -> None:
    (interval,) = Space([*TINY[:-1], override]).intervals.values()
    assert interval.whole == whole


def test_a_setting_that_is_overridden_with_plus_signs_is_searched() -> None:
    jobs = Space([*TINY[:-1], "++optimizer.lr=interval(0.125,0.25)"]).jobs()
    assert [job.config["optimizer"]["lr"] for job in jobs] == [0.125, 0.25]


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.123456, 0.0001, 1.0, "0.1235"),
        (0.100013456, 0.10001, 0.10002, "0.10001346"),
        (123456.4321, 123456.0, 123457.0, "123456.43"),
        (0.000123431, 0.00012343, 1.0, "0.00012343"),  # four digits are below the interval
        (0.99999, 0.1, 0.99999, "0.99999"),  # above
        (3, 1, 4, "3"),
    ],
)
def test_a_value_is_written_in_as_few_digits_as_stay_in_its_interval(
    value: float, low: float, high: float, text: str
) -> None:
    assert _text(value, Interval(low, high, log=False)) == text


def test_the_trials_of_a_narrow_interval_are_jobs_of_their_own(tmp_path: Path) -> None:
    narrow = "optimizer.lr=interval(0.10001,0.10002)"
    swept = search(tmp_path / "s", narrow, "sweep.search.trials=3")
    rates = {job.config["optimizer"]["lr"] for job in swept.entries}
    assert len(rates) == 3
    assert all(0.10001 <= rate <= 0.10002 for rate in rates)
    assert swept.best[0].partition("=")[2].partition(",")[0] in map(str, rates)


def test_losses_that_are_not_finite_are_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_loss(path: Path) -> Summary | None:
        summary = read_summary(path)
        return summary and replace(summary, validation_loss=math.nan)

    monkeypatch.setattr("ffn_train.sweep.search.read_summary", without_loss)
    swept = search(tmp_path / "s", INTERVAL, "sweep.search.trials=2", f"seed={2**32 + 1}")
    (line,) = swept.best
    assert line == (
        "2 finished, none with a finite loss (2 finished, 0 diverged or stopped of 2 trials)"
    )


def test_a_search_ends_with_the_first_job_that_fails_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ValueError("on purpose")

    monkeypatch.setattr("ffn_train.sweep.job.execute", failing)
    trials = ("sweep.search.trials=6", "sweep.search.at_once=2")
    swept = search(tmp_path / "fast", INTERVAL, *trials, "fail_fast=true")
    assert [job.status(swept.path).state for job in swept.entries] == ["failed", "pending"]
    assert swept.best == ["no trial finished (0 finished, 0 diverged or stopped of 2 trials)"]
    swept = search(tmp_path / "all", INTERVAL, *trials)
    assert [job.status(swept.path).state for job in swept.entries] == ["failed"] * 6


def test_the_trials_of_a_search_are_not_extended(tmp_path: Path) -> None:
    search(tmp_path, INTERVAL, "sweep.search.trials=2")
    pattern = "holds a search of 30 steps, and its trials are not extended to 60"
    with pytest.raises(SettingError, match=pattern):
        search(tmp_path, INTERVAL, "sweep.search.trials=2", "trainer.steps=60")
