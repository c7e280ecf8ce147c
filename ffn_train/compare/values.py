"""Settings as flat keys and values: how they are named, told apart, written and put in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from ffn_train.config.combinations import unused
from ffn_train.config.keys import lasting
from ffn_train.config.settings import SettingError, nearest
from ffn_train.plots.literal import literal

Value = str | int | float | bool | None
Flat = Mapping[str, Value]

UNSET = "(unset)"
RUN = "run"  # what stands for all settings of a run that does not tell them
WORD = 2  # what the order of a word begins with
SEED = "seed"
_PLAIN_SECTIONS = ("model", "trainer", "optimizer")  # whose keys are known without them


def flatten(config: Mapping[str, Any]) -> dict[str, Value]:
    """Dotted keys; a choice is ``residual`` = its name, its settings are ``residual.scale`` ...

    What changes no number is left out, and so is a choice that has no effect.
    """
    without = tuple(f"{group}." for group in unused(config))
    return {
        key.removesuffix(".name"): value
        if value is None or isinstance(value, (str, int, float))
        else json.dumps(value)
        for key, value in lasting(config, "rounding", "source").items()
        if not key.startswith(without)
    }


def differing(runs: Iterable[Flat]) -> list[str]:
    """The keys whose values differ, choices first.

    A setting of a choice differs only if it does between runs of the same choice: that
    ``residual.scale`` exists for ``scaled`` alone is told by ``residual`` already, and that an
    activation is missing by the block.
    """
    runs = list(runs)
    keys = sorted({key for run in runs for key in run})
    told = [run for run in runs if RUN not in run]  # of the others nothing but the name is known
    choices = {key for key in keys if any(other.startswith(f"{key}.") for other in keys)}
    choices |= {key for key in keys if "." not in key and key not in (SEED, "dtype")}
    differ = []
    for key in keys:
        choice = key.rpartition(".")[0]
        pairs = {
            (run.get(choice, UNSET) if choice in choices else None, run.get(key, UNSET))
            for run in (runs if key == RUN else told)
            if key != "activation" or key in run
        }
        if len(pairs) > len({same for same, _ in pairs}):
            differ.append(key)
    return sorted(differ, key=lambda key: (key not in choices, key))


def is_number(value: Value) -> TypeGuard[float]:
    """Whether a value can stand on an axis."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def are_numbers(values: Iterable[Value]) -> bool:
    """Whether values have an order and distances."""
    return all(is_number(value) for value in values)


def is_wide(values: Sequence[Value]) -> bool:
    """Whether ascending numbers span a factor of four, for which a scale is logarithmic."""
    low, high = values[0], values[-1]
    return is_number(low) and is_number(high) and 0 < 4 * low <= high


def text(value: Value) -> str:
    """A value as on the command line; equal numbers are written the same."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def brief(value: Value, most: int = 16) -> str:
    """A value as figures and the terminal show it: four digits, and a dash for what is unset.

    A word of more than so many letters loses its middle.
    """
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    word = "-" if value == UNSET else text(value)
    half = (most - 1) // 2
    return word if len(word) <= most else f"{word[:half]}…{word[-half:]}"


def shown(value: Value, most: int = 16) -> str:
    """A value in a figure, whatever letters it has."""
    return literal(brief(value, most))


def named(key: str) -> str:
    """A key in a figure."""
    return literal(short(key))


def order(value: Value) -> tuple[int, float, str]:
    """What values are sorted by: what is unset or null, then numbers by size, then words.

    Of the words ``none`` is the first.
    """
    if value is None or value == UNSET:
        return (0, 0.0, text(value))
    if isinstance(value, str):
        return (WORD, float(value != "none"), value)
    return (1, float(value), "")


def short(key: str) -> str:
    """A key as a table or a legend names it."""
    section, _, name = key.partition(".")
    return name if section in _PLAIN_SECTIONS and "." not in name else key


def resolve(option: str, word: str, keys: Iterable[str], listed: Iterable[str] = ()) -> str:
    """The key that a word names: itself, or the only one that ends in it.

    Raises SettingError; where no key is named, with those ``listed``, or else all keys.
    """
    keys = sorted(keys)
    named = [key for key in keys if key == word] or [k for k in keys if k.endswith(f".{word}")]
    if len(named) == 1:
        return named[0]
    if named:
        raise SettingError(f"{option} {word} may be any of {', '.join(named)}; write it in full")
    keys = sorted(listed) or keys
    allowed = ", ".join(keys) or "nothing: no setting differs"
    hint = nearest(word, [*keys, *(key.rpartition(".")[2] for key in keys)])
    raise SettingError(f"{option} must name one of {allowed}, got {word!r}{hint}")


def resolve_among(option: str, word: str, runs: Sequence[Flat]) -> str:
    """The key of some run that a word names. Raises SettingError, which lists those that differ."""
    keys = {key for run in runs for key in run}
    differ = (key for key in keys if len({run.get(key, UNSET) for run in runs}) > 1)
    return resolve(option, word, keys, differ)
