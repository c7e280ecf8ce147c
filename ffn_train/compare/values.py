"""Settings that differ between runs: how their keys are named and their values sorted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

from ffn_train.config.keys import without_paths
from ffn_train.config.settings import SettingError, nearest
from ffn_train.plots.literal import legible, literal
from ffn_train.plots.settings import UNSET, Flat, Value, briefs, text

RUN = "run"  # the only key of a run whose settings are unknown
WORD = 2  # the first item of a word's sort key
SEED = "seed"
_PLAIN_SECTIONS = ("model", "trainer", "optimizer")  # left out where their keys are named


def differing(runs: Iterable[Flat]) -> list[str]:
    """The keys whose values differ, choices first.

    A setting of a choice differs only if it does between runs of the same choice:
    ``residual.scale`` exists only for ``scaled``, which ``residual`` shows already, and a missing
    activation is shown by the block.
    """
    runs = list(runs)
    keys = sorted({key for run in runs for key in run})
    with_settings = [run for run in runs if RUN not in run]  # of the others only the name is known
    choices = {key for key in keys if any(longer.startswith(f"{key}.") for longer in keys)}
    choices |= {key for key in keys if "." not in key and key not in (SEED, "dtype")}
    differ = []
    for key in keys:
        choice = key.rpartition(".")[0]
        pairs = {
            (run.get(choice, UNSET) if choice in choices else None, run.get(key, UNSET))
            for run in (runs if key == RUN else with_settings)
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


def is_wide(values: Sequence[Value], factor: float = 4) -> bool:
    """Whether ascending numbers span a factor of four, for which a scale is logarithmic."""
    low, high = values[0], values[-1]
    return is_number(low) and is_number(high) and 0 < factor * low <= high


def is_wide_above_zero(values: Sequence[Value]) -> bool:
    """Whether ascending numbers are a zero and others that span a factor of ten: on a linear scale
    the small ones would be as zero, a logarithmic one needs a place of its own for it.
    """
    return len(values) > 2 and values[0] == 0 and is_wide(values[1:], 10)


def in_brief(values: Sequence[Value], most: int, spell: Callable[[str], str] = str) -> list[str]:
    """The values of a setting in brief, without absolute paths; no two are alike."""
    return briefs(values, most, spell, without_paths)


def shown(values: Sequence[Value], most: int = 16) -> list[str]:
    """The same as a figure's texts, escaped."""
    return [literal(word) for word in in_brief(values, most, legible)]


def named(key: str) -> str:
    """A key as a figure's text, escaped."""
    return literal(short(key))


def order(value: Value) -> tuple[int, float, str]:
    """The sort key of values: unset or null, then numbers by size, then words, ``none`` first."""
    if value is None or value == UNSET:
        return (0, 0.0, text(value))
    if isinstance(value, str):
        return (WORD, float(value != "none"), value)
    return (1, float(value), "")


def short(key: str) -> str:
    """A key as a table or a legend names it."""
    section, _, name = key.partition(".")
    return name if name and section in _PLAIN_SECTIONS and "." not in name else key


def resolve(option: str, word: str, keys: Iterable[str], listed: Iterable[str] = ()) -> str:
    """The key that a word names: itself, or the only key that ends in it.

    Raises SettingError, which lists ``listed``, or else all keys, if no key fits.
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
    """The key of some run that a word names. Raises SettingError, which lists differing keys."""
    keys = {key for run in runs for key in run}
    differ = (key for key in keys if len({run.get(key, UNSET) for run in runs}) > 1)
    return resolve(option, word, keys, differ)
