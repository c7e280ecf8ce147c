"""The default run from process start to exit, against the same experiment scripted in PyTorch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from contestants import CONTESTANTS, EAGER

HERE = Path(__file__).parent

COLUMNS = ("what", "seconds", "seconds_least", "seconds_most")


def end_to_end(*, rounds: int) -> list[dict[str, Any]]:
    """Both in turn; the median, least and most seconds. Then the phases of ours, medians."""
    with tempfile.TemporaryDirectory() as folder:
        commands = {"python -m ffn_train": ([*_python("-m", "ffn_train"), "run.dir={}"], {})}
        if CONTESTANTS[EAGER].installed:
            script = str(HERE / "pytorch_script.py")
            commands["the same in PyTorch"] = (_python(script, "{}"), {})
            one = {"OMP_NUM_THREADS": "1"}
            commands["the same in PyTorch, one thread"] = (_python(script, "{}"), one)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for round_ in range(rounds + 1):
            for name, (command, extra) in commands.items():
                place = f"{folder}/{len(times[name])}-{len(name)}-{round_}"
                seconds = _seconds([word.replace("{}", place) for word in command], extra)
                if round_:  # the first one reads everything from disk
                    times[name].append(seconds)
        found = [_row(name, values) for name, values in times.items()]
        start = [_seconds(_python("-c", "pass"), {}) for _ in range(rounds)]
        laps = [_laps(f"{folder}/phases{round_}") for round_ in range(rounds)]
    return [
        *found,
        _row("phase: the interpreter's start", start),
        *(_row(f"phase: {name}", [lap[name] for lap in laps]) for name in laps[0]),
    ]


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _seconds(command: Sequence[str], extra: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **extra})
    return time.perf_counter() - started


def _laps(place: str) -> dict[str, float]:
    command = _python(str(HERE / "phases.py"), place)
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    laps: dict[str, float] = json.loads(out.splitlines()[-1])
    return laps


def _row(what: str, seconds: Sequence[float]) -> dict[str, Any]:
    return {
        "what": what,
        "seconds": median(seconds),
        "seconds_least": min(seconds),
        "seconds_most": max(seconds),
    }
