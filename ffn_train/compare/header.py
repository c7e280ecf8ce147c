"""The header of a figure and the metadata of its file: what it shows, and of which runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from ffn_train.compare.case import STRETCHED
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.layout import Roles, together
from ffn_train.compare.values import RUN, SEED, order, short
from ffn_train.plots.settings import UNSET, Value, as_overrides, in_words, joined, text


def notes(comparison: Comparison, phrases: Iterable[str], roles: Roles | None = None) -> list[str]:
    """The lines below a figure's title: what is shown, which settings look the same, what is
    missing, and the settings that all runs share.
    """
    pooled = "" if roles is None else ", ".join(map(short, roles.pooled))
    phrases = [*phrases, f"curves of one colour differ in {pooled}" if pooled else ""]
    lines = ["; ".join(filter(None, phrases)), together(comparison.layout.partners)]
    return [
        line for line in [*lines, "; ".join(comparison.reservations), shared(comparison)] if line
    ]


def spread(comparison: Comparison, each: str = "", *, geometric: bool = False) -> str:
    """What points and bands mean; ``each``: the mark of a single run."""
    several = [group.numbers for group in comparison.measured if len(group.measured) > 1]
    if not several:
        return "one run each" if len(comparison.measured) > 1 else ""
    if all(len(set(numbers)) == 1 for numbers in several):
        return "identical runs drawn as one"
    mean = "geometric mean ×/÷ its" if geometric else "mean ±"
    runs = f"; {each}: each run" if each else ""
    return f"{mean} standard deviation over {comparison.over}{runs}"


def shared(comparison: Comparison) -> str:
    """``depth 4 · width 16 · residual scaled · sgd · lr 0.1 · sinusoid · steps 60 · seeds 0-2``."""
    same = {key: values for key, values in comparison.values.items() if len(values) == 1}
    common = {key: next(iter(values)) for key, values in same.items()}
    seeds = sorted(comparison.values.get(SEED, set()) - {None, UNSET}, key=order)
    return joined([*in_words(common), *([_seeds(seeds)] if seeds else [])])


def overrides(comparison: Comparison) -> str:
    """All settings of the runs as overrides of a command, with file names in place of paths."""
    keys = sorted(comparison.values.keys() - {STRETCHED, RUN})
    values = {key: comparison.values[key] - {UNSET} for key in keys}
    return as_overrides({key: sorted(values[key], key=order) for key in keys})


def _seeds(seeds: Sequence[Value]) -> str:
    """``seed 0``, ``seeds 0-2``, ``seeds 1, 5`` or ``12 seeds``."""
    if len(seeds) == 1:
        return f"seed {text(seeds[0])}"
    steps = {b - a for a, b in pairwise(seeds) if isinstance(a, int) and isinstance(b, int)}
    if steps == {1}:
        return f"seeds {text(seeds[0])}-{text(seeds[-1])}"
    return f"seeds {', '.join(map(text, seeds))}" if len(seeds) <= 6 else f"{len(seeds)} seeds"
