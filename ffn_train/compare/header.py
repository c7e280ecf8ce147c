"""What a figure's header and its file's metadata say: how it was made, and what tells it apart."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import PurePath

from ffn_train.compare.case import STRETCHED
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.layout import Roles, together
from ffn_train.compare.values import RUN, UNSET, Value, brief, order, short, text

# what a header says of the settings that all runs share, in this order, and what goes before it
_SAID = {
    "model.depth": "depth ",
    "model.width": "width ",
    "residual": "residual ",
    "block": "",
    "activation": "",
    "norm": "norm ",
    "init": "init ",
    "optimizer": "",
    "optimizer.lr": "lr ",
    "schedule": "",
    "loss": "",
    "task": "",
    "task.path": "",
    "task.target": "target ",
    "trainer.steps": "steps ",
    "trainer.epochs": "epochs ",
}
_USUAL = {"block": "feedforward", "norm": "none", "loss": "mse", "task": "csv"}  # not said
_PATHS = ("task.path", "parts")
_LONGEST = 40  # letters of a value


def notes(comparison: Comparison, shown: Iterable[str], roles: Roles | None = None) -> list[str]:
    """The lines below a figure's title: what is shown, what is not told apart, what is missing,
    and what all runs share.
    """
    pooled = "" if roles is None else ", ".join(map(short, roles.pooled))
    shown = [*shown, f"curves of one colour differ in {pooled}" if pooled else ""]
    lines = ["; ".join(filter(None, shown)), together(comparison.layout.partners)]
    return [
        line for line in [*lines, "; ".join(comparison.reservations), shared(comparison)] if line
    ]


def spread(comparison: Comparison, each: str = "", *, geometric: bool = False) -> str:
    """What points and bands are, and what stands for each run beside them."""
    several = [group.numbers for group in comparison.measured if len(group.measured) > 1]
    if not several:
        return "one run each" if len(comparison.measured) > 1 else ""
    if all(len(set(numbers)) == 1 for numbers in several):
        return "runs that are equal drawn as one"
    mean = "geometric mean ×/÷ its" if geometric else "mean ±"
    runs = f"; {each}: each run" if each else ""
    return f"{mean} standard deviation over {comparison.over}{runs}"


def shared(comparison: Comparison) -> str:
    """``depth 4 · width 16 · residual scaled · sgd · lr 0.1 · sinusoid · steps 60 · seeds 0-2``."""
    said = []
    for key, before in _SAID.items():
        values = {case.settings.get(key, UNSET) for case in comparison.cases}
        value = values.pop()
        if not values and value not in (None, UNSET, _USUAL.get(key)):
            said.append(f"{before}{brief(_name(key, value), _LONGEST)}")
    seeds = sorted({case.seed for case in comparison.cases if case.seed is not None}, key=order)
    words = [*said, _seeds(seeds)] if seeds else said
    return "\xa0· ".join(word.replace(" ", "\xa0") for word in words)  # a line breaks after a dot


def overrides(comparison: Comparison) -> str:
    """All settings of the runs as a command would give them, with file names in place of paths."""
    settings = [case.settings for case in comparison.cases]
    keys = sorted({key for each in settings for key in each} - {STRETCHED, RUN})
    values = {key: {each[key] for each in settings if key in each} for key in keys}
    words = {
        key: ",".join(text(_name(key, v)) for v in sorted(values[key], key=order)) for key in keys
    }
    return " ".join(shlex.quote(f"{key}={word}") for key, word in words.items())


def _name(key: str, value: Value) -> Value:
    """A value; of a path the file's name, of a list of paths the files' names."""
    if key not in _PATHS or not isinstance(value, str):
        return value
    if value.startswith("["):
        return json.dumps([PurePath(str(path)).name for path in json.loads(value)])
    return PurePath(value).name


def _seeds(seeds: Sequence[Value]) -> str:
    """``seed 0``, ``seeds 0-2``, ``seeds 1, 5`` or ``12 seeds``."""
    if len(seeds) == 1:
        return f"seed {text(seeds[0])}"
    steps = {b - a for a, b in pairwise(seeds) if isinstance(a, int) and isinstance(b, int)}
    if steps == {1}:
        return f"seeds {text(seeds[0])}-{text(seeds[-1])}"
    return f"seeds {', '.join(map(text, seeds))}" if len(seeds) <= 6 else f"{len(seeds)} seeds"
