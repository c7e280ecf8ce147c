"""Whether a loss or a score is the same quantity in several runs: else it has no mean or best."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ffn_train.compare.case import Case
from ffn_train.compare.values import SEED, short


def apart(cases: Sequence[Case], metric: str) -> list[str]:
    """The settings that make a metric another quantity in some of the runs than in others.

    Empty for metrics other than losses and scores, whose names end so. What is not known of a run
    makes no difference.
    """
    kind = metric.rpartition("_")[2]
    known: dict[str, set[object]] = {}
    if len(cases) > 1:
        for case in cases:
            for key, value in case.quantities.get(kind, {}).items():
                known.setdefault(key, set()).add(value)
    differing = [key for key, values in known.items() if len(values) > 1]
    if kind in ("loss", "score"):
        differing += _altered(cases)
    return [key for key in differing if key != "score"] or differing  # which follows from the task


def _altered(cases: Sequence[Case]) -> list[str]:
    """What was altered between runs of the same settings: a table's rows, between those of the same
    seed, since a split depends on that, or the content of parts.
    """
    rows: defaultdict[object, set[object]] = defaultdict(set)
    parts: defaultdict[object, set[object]] = defaultdict(set)
    for case in cases:
        same_but_seed = frozenset((k, v) for k, v in case.settings.items() if k != SEED)
        if case.data:
            rows[same_but_seed, case.seed].add(case.data)
        parts[same_but_seed].add(frozenset(case.parts.items()))
    altered = {"the rows": rows, "the content of parts": parts}
    return [what for what, seen in altered.items() if any(len(s) > 1 for s in seen.values())]


def in_words(keys: Iterable[str]) -> str:
    """``differ in loss, task and width``"""
    words = sorted(map(short, keys))
    return f"differ in {' and '.join(filter(None, [', '.join(words[:-1]), *words[-1:]]))}"


def without_mean(
    groups: Iterable[Sequence[Case]],
    metrics: Sequence[str] = ("validation_loss", "validation_score"),
) -> list[str]:
    """``no mean of losses over runs that differ in loss and task``, and the same of scores."""
    several, kinds = list(groups), {"loss": "losses", "score": "scores"}
    keys = {name: {key for cases in several for key in apart(cases, name)} for name in metrics}
    return [
        f"no mean of {kinds[name.rpartition('_')[2]]} over runs that {in_words(differing)}"
        for name, differing in keys.items()
        if differing
    ]
