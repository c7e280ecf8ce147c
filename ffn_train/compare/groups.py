"""Groups of runs that differ only in their seed, or in settings that are not grouped by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ffn_train.compare.case import Case
from ffn_train.compare.likeness import apart
from ffn_train.compare.metrics import Metric, Statistics, statistics
from ffn_train.compare.values import WORD, order, short
from ffn_train.plots.settings import UNSET, Value, text


@dataclass(frozen=True)
class Group:
    """The runs with the same values of the settings that are grouped by."""

    point: Mapping[str, Value]
    cases: Sequence[Case]

    def __str__(self) -> str:
        """Its settings: ``lr=0.1 depth=4``; "" without any."""
        return " ".join(f"{short(key)}={text(value)}" for key, value in self.point.items())

    @cached_property
    def measured(self) -> list[Case]:
        """The runs that have results."""
        return [case for case in self.cases if case.traces is not None]

    @property
    def sound(self) -> list[Case]:
        """The runs that have results and are not lost."""
        return [case for case in self.measured if not case.lost]

    @property
    def ended(self) -> list[Case]:
        """The sound runs that have ended; while there is none, all sound runs as they are now."""
        return [case for case in self.sound if not case.unfinished] or self.sound

    @property
    def n_lost(self) -> int:
        return sum(case.lost for case in self.cases)

    @property
    def share_lost(self) -> float:
        """The share of lost runs among those that have results; NaN if none has."""
        return self.n_lost / len(self.measured) if self.measured else float("nan")

    def count(self, state: str) -> int:
        """How many of the runs are in a state; early stopping leaves them in one of its own."""
        return sum(case.words == state for case in self.cases)

    def counted(self, metric: Metric) -> list[Case]:
        """The runs whose metric is averaged: of those that have it, the ones in ``ended``; none if
        it is not the same quantity in all of these.

        A metric measured before the first update counts for all: excluding lost runs for their
        later divergence would be selection bias.
        """
        cases = self.measured if metric.at_start else self.ended
        cases = [case for case in cases if metric.name in case.metrics]
        return [] if apart(cases, metric.name) else cases

    def statistics(self, metric: Metric, *, log: bool = False) -> Statistics:
        """Statistics of the runs that count; geometric for a factor or on a ``log`` axis."""
        values = [case.metrics[metric.name] for case in self.counted(metric)]
        return statistics(values, geometric=metric.factor or log)

    def n_not_finite(self, metric: Metric) -> int:
        """How many of the runs that count have a value that is not finite."""
        return len(self.counted(metric)) - self.statistics(metric).n

    @cached_property
    def numbers(self) -> list[tuple[str, str]]:
        """The results of its runs; groups and runs with equal ``numbers`` look the same."""
        return [(case.state, str(sorted(case.metrics.items()))) for case in self.measured]


def differences(groups: Iterable[Group], metric: Metric) -> list[str]:
    """The settings that make a metric another quantity in some of the groups than in others."""
    return apart([case for group in groups for case in group.ended], metric.name)


def levels(cases: Sequence[Case], keys: Sequence[str]) -> dict[str, list[Value]]:
    """The values of each key: numbers by size, words in the order of their sweep."""
    return {key: _in_order(cases, key) for key in keys}


def _in_order(cases: Sequence[Case], key: str) -> list[Value]:
    first: dict[Value, int] = {}
    for case in cases:
        value = case.settings.get(key, UNSET)
        first[value] = min(first.get(value, case.rank), case.rank)

    def rank(value: Value) -> tuple[int, int, float, str]:
        kind, size, word = order(value)
        return (kind, first[value] if kind == WORD else 0, size, word)

    return sorted(first, key=rank)


def group(
    cases: Sequence[Case], keys: Sequence[str], levels: Mapping[str, Sequence[Value]]
) -> list[Group]:
    """The groups in the order of their values, the runs of each in the order of their seeds."""
    members: dict[tuple[Value, ...], list[Case]] = {}
    for case in cases:
        members.setdefault(tuple(case.settings.get(key, UNSET) for key in keys), []).append(case)
    groups = [
        Group(dict(zip(keys, values, strict=True)), _by_seed(members[values])) for values in members
    ]
    return in_order(groups, keys, levels)


def in_order(
    groups: Iterable[Group], keys: Sequence[str], levels: Mapping[str, Sequence[Value]]
) -> list[Group]:
    """The groups sorted by these keys, the last varying fastest."""
    places = {key: {value: at for at, value in enumerate(levels[key])} for key in keys}
    return sorted(groups, key=lambda group: [places[key][group.point[key]] for key in keys])


def _by_seed(cases: Sequence[Case]) -> list[Case]:
    return sorted(cases, key=lambda case: (order(case.seed), case.label))
