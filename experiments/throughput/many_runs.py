"""A sweep of many small runs: overhead of a run, both cores' use, and the wait before the first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

RUNS, SECONDS = 60, 2.0  # of the sweep on all cores: so many runs, of about so many seconds
FIXED = ("activation=relu", "checkpoint.every=null")

COLUMNS = ("what", "value", "unit")


def many_runs(*, runs: int = RUNS, seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Figures with their units.

    Overhead: the time from one run's end to the next one's, less its training, one run after the
    other, without the first. Ideal: the cores times the rate of one run after the other.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small = _sweep(place / "small", 9, 400, serial=True)
        steps = max(1, round(seconds * median(one["steps_per_second"] for one in small)))
        alone = _sweep(place / "alone", 5, steps, serial=True)
        started = time.perf_counter()
        _sweep(place / "all", runs, steps, serial=False)
        wall = time.perf_counter() - started
        each = median(_gaps(alone))
        cores = len(os.sched_getaffinity(0))
        groups = ("residual=none,identity,scaled", "norm=none,pre_layer", "seed=range(0,67)")
        rows = {
            "overhead of a run": (median(_overheads(small)), "s"),
            "a run, one after the other": (each, "s"),
            f"{runs} runs on {cores} cores": (wall, "s"),
            "share of the ideal rate": (runs * each / cores / wall, ""),
            "400 jobs that differ in the seed: until the first starts": (
                _wait(place / "seeds", "seed=range(0,400)"),
                "s",
            ),
            "402 jobs over two groups: until the first starts": (
                _wait(place / "groups", *groups),
                "s",
            ),
        }
    return [{"what": what, "value": value, "unit": unit} for what, (value, unit) in rows.items()]


def _command(sweep: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "ffn_train", "-m", f"sweep.dir={sweep}", *FIXED, *overrides]


def _sweep(sweep: Path, runs: int, steps: int, *, serial: bool) -> list[dict[str, Any]]:
    """Run it; of each run, in the order in which they ended: training seconds, rate, end."""
    launcher = ["hydra/launcher=serial"] if serial else []
    command = _command(sweep, f"seed=range(0,{runs})", f"trainer.steps={steps}", *launcher)
    subprocess.run(command, check=True, capture_output=True)
    found = []
    for path in sweep.glob("jobs/*/summary.json"):
        origin = json.loads((path.parent / "provenance.json").read_text(encoding="utf-8"))
        found.append({**origin, "end": path.stat().st_mtime})
    if len(found) != runs:
        raise RuntimeError(f"{runs - len(found)} of {runs} runs did not end")
    return sorted(found, key=lambda one: one["end"])


def _gaps(ended: list[dict[str, Any]]) -> list[float]:
    return [after["end"] - one["end"] for one, after in pairwise(ended)]


def _overheads(ended: list[dict[str, Any]]) -> list[float]:
    trained = [one["training_seconds"] for one in ended[1:]]
    return [gap - seconds for gap, seconds in zip(_gaps(ended), trained, strict=True)]


def _wait(sweep: Path, *overrides: str) -> float:
    """Seconds until the first job has its directory; the sweep is then ended."""
    started = time.perf_counter()
    process = subprocess.Popen(
        _command(sweep, *overrides, "trainer.steps=2000"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not any(sweep.glob("jobs/*/status.json")):
            if process.poll() is not None:
                raise RuntimeError("the sweep ended before a job began")
            time.sleep(0.01)
        return time.perf_counter() - started
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
