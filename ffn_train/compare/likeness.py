"""Whether a loss or a score is the same quantity in several runs: else it has no mean or best."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ffn_train.compare.case import Case
from ffn_train.compare.values import short


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
    if kind in ("loss", "score") and _of_other_rows(cases):
        differing.append("the rows")
    return [key for key in differing if key != "score"] or differing  # which follows from the task


def _of_other_rows(cases: Sequence[Case]) -> bool:
    """Whether a table had other rows in a run of the same settings and seed."""
    rows: dict[object, set[str]] = {}
    for case in cases:
        if case.data:
            rows.setdefault(frozenset(case.settings.items()), set()).add(case.data)
    return any(len(digests) > 1 for digests in rows.values())


def in_words(keys: Iterable[str]) -> str:
    """``differ in loss and task``"""
    return f"differ in {' and '.join(sorted(map(short, keys)))}"


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
