"""A run's settings as flat keys and values, and how a figure's header and metadata write them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from ffn_train.config.combinations import unused
from ffn_train.config.keys import lasting, without_paths
from ffn_train.plots.literal import legible

Value = str | int | float | bool | None
Flat = Mapping[str, Value]

UNSET = "(unset)"
# the settings that a header names, in this order, and the word before each value
_NAMED = {
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
_USUAL = {"block": "feedforward", "norm": "none", "loss": "mse", "task": "table"}  # not named
_LONGEST = 40  # letters of a value


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """Dotted keys; a choice is ``residual`` = its name, its settings are ``residual.scale`` ...

    Settings that change no number are left out, as are choices without an effect.
    """
    without = tuple(f"{group}." for group in unused(config))
    return {
        key.removesuffix(".name"): value
        if value is None or isinstance(value, (str, int, float))
        else json.dumps(value, ensure_ascii=False)
        for key, value in lasting(config, "rounding", "source").items()
        if not key.startswith(without)
    }


def text(value: Value) -> str:
    """A value as on the command line; equal numbers are written the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def brief(value: Value, most: int, spell: Callable[[str], str]) -> str:
    """A value as figures and the terminal show it: four digits, and a dash if unset.

    A word of more than ``most`` letters is shortened in its middle; ``spell`` writes each of its
    letters, perhaps as several.
    """
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    word = "-" if value == UNSET else text(value)
    letters = [spell(letter) for letter in word]
    if sum(map(len, letters)) <= most:
        return "".join(letters)

    def first(parts: Sequence[str]) -> list[str]:
        room = max((most - 1) // 2, len(parts[0]))
        ends = accumulate(map(len, parts))
        return [part for part, end in zip(parts, ends, strict=True) if end <= room]

    return "".join([*first(letters), "…", *reversed(first(letters[::-1]))])


def briefs(
    values: Sequence[Value],
    most: int,
    spell: Callable[[str], str] = str,
    part: Callable[[Value], Value] = lambda value: value,
) -> list[str]:
    """Each value as ``brief`` writes it, or what ``part`` makes of it; of those that then look the
    same, numbers get as many digits as tell them apart, and words are numbered.
    """
    alike: dict[str, list[Value]] = {}
    for value in sorted(set(values), key=text):
        alike.setdefault(brief(part(value), most, spell), []).append(value)
    words: dict[Value, str] = {}
    for word, same in alike.items():
        words |= zip(same, _apart(word, same) if len(same) > 1 else [word], strict=True)
    return [words[value] for value in values]


def _apart(word: str, values: Sequence[Value]) -> Sequence[str]:
    numbered = [f"{word} ({number})" for number, _ in enumerate(values, 1)]
    if not all(isinstance(value, (int, float)) for value in values):
        return numbered
    spelled = ([f"{value:.{digits}g}" for value in values] for digits in range(5, 18))
    return next((words for words in spelled if len({*words}) == len(words)), numbered)


def in_words(settings: Flat) -> list[str]:
    """``depth 4``, ``residual scaled``, ``sgd``, ``lr 0.1``, ``table.csv``: what a header names."""
    return [
        f"{before}{brief(without_paths(settings[key], key), _LONGEST, legible)}"
        for key, before in _NAMED.items()
        if settings.get(key) not in (None, UNSET, _USUAL.get(key))
    ]


def joined(words: Sequence[str]) -> str:
    """``depth 4 · width 8``; a line breaks behind a dot alone."""
    return "\xa0· ".join(word.replace(" ", "\xa0") for word in words)


def as_overrides(values: Mapping[str, Sequence[Value]]) -> str:
    """All settings as overrides of a command, with file names in place of paths."""
    words = {key: ",".join(text(without_paths(v, key)) for v in values[key]) for key in values}
    return " ".join(shlex.quote(f"{key}={word}") for key, word in words.items())
