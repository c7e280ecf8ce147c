"""Small runs that the tests share: a resolved configuration, and a run made from it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from ffn_train.config.composition import compose
from ffn_train.running.execution import execute
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import Run

SMALL = (
    "model.depth=3",
    "model.width=6",
    "model.expansion=2",
    "trainer.steps=8",
    "trainer.batch_size=16",
    "measure.every=5",
    "evaluate.every=4",
    "plot.when=never",
    "task.rows=80",
    "threads=1",
)


NOTES: list[str] = []  # what the runs notified, newest last


@cache
def _composed() -> dict[str, Any]:
    return compose(SMALL)


def config(**changes: Any) -> dict[str, Any]:
    """A small run's configuration; a section's changes are merged into it, a choice is replaced."""
    result = {k: dict(v) if isinstance(v, dict) else v for k, v in _composed().items()}
    for key, value in changes.items():
        if isinstance(value, Mapping) and "name" not in value:
            result[key].update(value)
        else:
            result[key] = value
    return result


def run_in(path: Path, settings: dict[str, Any]) -> Run:
    """Execute a run in a directory of its own."""
    return execute(build_experiment({**settings, "run": {"dir": str(path)}}), notify=NOTES.append)
