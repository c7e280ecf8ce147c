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

from contestants import COMPILED, CONTESTANTS, EAGER

HERE = Path(__file__).parent
FIRST_RUNS = 3  # at most: each compiles everything

COLUMNS = ("what", "seconds", "seconds_least", "seconds_most")

Command = tuple[list[str], dict[str, str]]  # {} stands for the run's directory; environment


def end_to_end(*, rounds: int) -> list[dict[str, Any]]:
    """All in turn; the median, least and most seconds. Then the phases of ours, medians."""
    engines = ["numpy"] if CONTESTANTS[COMPILED].missing else ["numpy", "compiled"]
    with tempfile.TemporaryDirectory() as folder:
        kept = {"NUMBA_CACHE_DIR": f"{folder}/compiled"}  # by the round that is not counted
        commands = _commands(engines, kept)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for round_ in range(rounds + 1):
            for order, (name, command) in enumerate(commands.items()):
                seconds = _seconds(command, f"{folder}/{order}-{round_}")
                if round_:  # the first one reads everything from disk
                    times[name].append(seconds)
        if "compiled" in engines:
            times[f"{_name('compiled')}, the first time"] = [
                _seconds(
                    (_ours("compiled"), {"NUMBA_CACHE_DIR": f"{folder}/empty{round_}"}),
                    f"{folder}/first{round_}",
                )
                for round_ in range(min(rounds, FIRST_RUNS))
            ]
        found = [_row(name, values) for name, values in times.items()]
        start = [_seconds((_python("-c", "pass"), {}), "") for _ in range(rounds)]
        found.append(_row("phase: the interpreter's start", start))
        for engine in engines:
            places = [f"{folder}/phases-{engine}-{round_}" for round_ in range(rounds)]
            laps = [_laps(place, engine, kept) for place in places]
            label = "phase" if engine == "numpy" else f"phase, {engine}"
            found += [_row(f"{label}: {name}", [lap[name] for lap in laps]) for name in laps[0]]
    return found


def _commands(engines: Sequence[str], kept: dict[str, str]) -> dict[str, Command]:
    commands: dict[str, Command] = {_name(engine): (_ours(engine), kept) for engine in engines}
    if not CONTESTANTS[EAGER].missing:
        script = _python(str(HERE / "pytorch_script.py"), "{}")
        commands["the same in PyTorch"] = (script, {})
        commands["the same in PyTorch, one thread"] = (script, {"OMP_NUM_THREADS": "1"})
    return commands


def _name(engine: str) -> str:
    return "python -m ffn_train" + (f" engine={engine}" if engine != "numpy" else "")


def _ours(engine: str) -> list[str]:
    return _python("-m", "ffn_train", "run.dir={}", f"engine={engine}")


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _seconds(command: Command, place: str) -> float:
    words, extra = command
    started = time.perf_counter()
    subprocess.run(
        [word.replace("{}", place) for word in words],
        check=True,
        capture_output=True,
        env={**os.environ, **extra},
    )
    return time.perf_counter() - started


def _laps(place: str, engine: str, extra: dict[str, str]) -> dict[str, float]:
    out = subprocess.run(
        _python(str(HERE / "phases.py"), place, f"engine={engine}"),
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **extra},
    ).stdout
    laps: dict[str, float] = json.loads(out.splitlines()[-1])
    return laps


def _row(what: str, seconds: Sequence[float]) -> dict[str, Any]:
    return {
        "what": what,
        "seconds": median(seconds),
        "seconds_least": min(seconds),
        "seconds_most": max(seconds),
    }
