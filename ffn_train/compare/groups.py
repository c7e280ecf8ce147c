"""Runs that differ in their seed alone, or in whatever else is not grouped by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.compare.case import Case
from ffn_train.compare.metrics import METRICS, Statistics, statistics
from ffn_train.compare.values import UNSET, Value, order, short, text


@dataclass(frozen=True)
class Group:
    """The runs at one point of the settings that are grouped by."""

    point: Mapping[str, Value]
    cases: Sequence[Case]

    @property
    def measured(self) -> list[Case]:
        """The runs that have results."""
        return [case for case in self.cases if case.traces is not None]

    @property
    def sound(self) -> list[Case]:
        """The runs that have results and did not diverge."""
        return [case for case in self.measured if not case.diverged]

    @property
    def n_diverged(self) -> int:
        return sum(case.diverged for case in self.cases)

    @property
    def share_diverged(self) -> float:
        """Of the runs that have results; NaN where none has."""
        return self.n_diverged / len(self.measured) if self.measured else float("nan")

    def counted(self, metric: str) -> list[Case]:
        """The runs whose metric counts: those that did not diverge.

        What is measured before the first update precedes all divergence and counts of all runs: to
        leave some out for what became of them later would be to select.
        """
        return self.measured if METRICS[metric].at_start else self.sound

    def statistics(self, metric: str) -> Statistics:
        """Of the runs that count; geometric for a factor."""
        values = [case.metrics[metric] for case in self.counted(metric)]
        return statistics(values, geometric=METRICS[metric].factor)

    @property
    def label(self) -> str:
        """The point in words, without what does not exist there."""
        return label(self.point)


def label(point: Mapping[str, Value]) -> str:
    """``depth=4 residual=none``."""
    words = [f"{short(k)}={text(v)}" for k, v in point.items() if v != UNSET]
    return " ".join(words)


def group(cases: Sequence[Case], keys: Sequence[str]) -> list[Group]:
    """The groups in the order of their values, the runs of each in the order of their seeds."""
    found: dict[tuple[Value, ...], list[Case]] = {}
    for case in cases:
        found.setdefault(tuple(case.settings.get(key, UNSET) for key in keys), []).append(case)
    return [
        Group(dict(zip(keys, values, strict=True)), _by_seed(found[values]))
        for values in sorted(found, key=lambda values: [order(value) for value in values])
    ]


def _by_seed(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: (order(case.seed), case.label))
