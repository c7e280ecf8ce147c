"""A comparison: the runs, the settings that differ, their groups and their layout."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ffn_train.compare.case import Case
from ffn_train.compare.discovery import find
from ffn_train.compare.groups import Group, group, levels
from ffn_train.compare.layout import Layout, lay_out
from ffn_train.compare.likeness import without_mean
from ffn_train.compare.metrics import Metric, together
from ffn_train.compare.reading import read_cases
from ffn_train.compare.values import SEED, differing, resolve_among, short
from ffn_train.compare.where import conditions
from ffn_train.config.settings import SettingError, counted, one_of
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.selection import FAR
from ffn_train.plots.settings import UNSET, Value
from ffn_train.running import Notify
from ffn_train.runs import RunError, old_names
from ffn_train.runs.finding import HELD_BACK, NOTHING, QUESTIONS
from ffn_train.view import Inline

_NAMED, _SHORT = 3, 60  # groups in a line, and their characters


@dataclass(frozen=True)
class Options(Appearance):
    """The options of a comparison; ``figures``: those to draw. None: chosen to suit the runs."""

    by: Sequence[str] | None = None
    x: str | None = None
    color: str | None = None
    panel: str | None = None
    metric: str | None = None
    where: Sequence[str] = ()
    figures: Sequence[str] | None = None


@dataclass(frozen=True, repr=False)
class Comparison:
    """The groups of runs and how figures show them.

    ``keys``: the settings grouped by; ``varied``: all settings that differ, except the seed;
    ``metrics``: those of the runs, by name; ``metric``: the one that is compared; ``skipped``: the
    number of damaged runs, ``repeated``: of those that repeat another one; ``right``: the inches
    right of the panels if ``inches`` is set.
    """

    groups: Sequence[Group]
    keys: Sequence[str]
    varied: Sequence[str]
    layout: Layout
    metrics: Mapping[str, Metric]
    metric: Metric
    skipped: int = 0
    options: Options = Options()
    right: float = 0.9
    repeated: int = 0

    @cached_property
    def cases(self) -> list[Case]:
        """All runs, in the order of the groups and, within a group, of their seeds."""
        return [case for group in self.groups for case in group.cases]

    def __repr__(self) -> str:
        by = f" by {', '.join(self.keys)}" if self.keys else ""
        return f"Comparison({self.counts}; {counted(len(self.groups), 'group')}{by})"

    def view(self) -> Inline:
        """The interactive page, as a notebook shows it."""
        from ffn_train.compare.page import html  # late: it is made from a comparison

        return Inline(html(self))

    @property
    def telling(self) -> list[str]:
        """The settings that tell the runs apart: those grouped by, all that differ, the seed."""
        return list(dict.fromkeys([*self.keys, *self.varied, SEED]))

    @cached_property
    def values(self) -> Mapping[str, Set[Value]]:
        """The values of each setting among the runs, ``UNSET`` for a run that lacks it."""
        settings = [case.settings for case in self.cases]
        keys = dict.fromkeys(key for each in settings for key in each)
        return {key: {each.get(key, UNSET) for each in settings} for key in keys}

    @cached_property
    def measured(self) -> list[Group]:
        """The groups that have results; only these are drawn."""
        return [group for group in self.groups if group.measured]

    @cached_property
    def ceiling(self) -> float:
        """The upper end of axes and colours of losses, so that an explosion does not flatten them.

        Infinite if the loss of predicting the mean is unknown.
        """
        losses = [case.trivial for case in self.cases if case.trivial > 0]
        return FAR * max(losses, default=math.inf)

    def worst(self, metric: Metric) -> float:
        """The badness at which an axis of this metric ends, for the same reason."""
        if "score" in metric.name:
            known = [case.poor for case in self.cases if not math.isnan(case.poor)]
            return max(known, default=math.inf)
        return self.ceiling if "loss" in metric.name else math.inf

    @property
    def objective(self) -> Metric:
        """The metric in which the best of several runs is the best: the compared one or, if neither
        low nor high values of that are better, the loss that is compared by default.
        """
        if self.metric.better:
            return self.metric
        return self.metrics[_metric(None, self.cases, self.metrics)]

    @property
    def over(self) -> str:
        """The settings in which a group's runs differ, in words: ``seeds and width``."""
        pooled = [short(key) for key in self.varied if key not in self.keys]
        return " and ".join([*([] if SEED in self.keys else ["seeds"]), *pooled]) or "runs"

    @property
    def verdicts(self) -> str:
        """``held back: depth in 6 (depth=64), nothing in 3; gradient flow: vanishing in 6 ...``.

        A few groups that were held back are named.
        """
        answers = []
        for question in QUESTIONS:
            where: dict[str, list[str]] = {}
            for runs in self.groups:
                for case in runs.cases:
                    if question in case.verdict:
                        where.setdefault(case.verdict[question], []).append(str(runs))
            words = []
            for kind, names in sorted(where.items(), key=lambda pair: -len(pair[1])):
                groups = [*filter(None, dict.fromkeys(names))]
                few = 0 < len(groups) <= _NAMED and len("; ".join(groups)) <= _SHORT
                named = question == HELD_BACK and kind != NOTHING and few
                which = f" ({'; '.join(groups)})" if named else ""
                words.append(f"{kind} in {len(names)}{which}")
            answers.append(f"{question}: {', '.join(words)}" if words else "")
        return "; ".join(filter(None, answers))

    @property
    def theory(self) -> str:
        """``theory does not hold in 2 of 6 runs``; "" if it holds in all."""
        compared = [case.traces for case in self.cases if case.traces]
        count = sum(not traces.theory_holds for traces in compared)
        return f"theory does not hold in {count} of {len(compared)} runs" if count else ""

    @property
    def counts(self) -> str:
        """``27 runs: 3 diverged, 24 finished``."""
        damaged = f", {self.skipped} damaged and left out" if self.skipped else ""
        return f"{counted(len(self.cases), 'run')}: {_states(self.cases)}{damaged}"

    def frame(self) -> Any:
        """The settings that differ, results and verdict of each run, as a pandas frame.

        A setting of null is that word; one that a run lacks is missing.
        """
        import pandas as pd

        return pd.DataFrame(
            {
                **{
                    key: "null" if case.settings[key] is None else case.settings[key]
                    for key in self.telling
                    if key in case.settings
                },
                "state": case.state,
                **case.verdict,
                **case.metrics,
                "directory": str(case.path),
            }
            for case in self.cases
        )

    @property
    def reservations(self) -> list[str]:
        """Caveats about the numbers, one line each."""
        name = self.metric.name
        shown = sum(case.unfinished for group in self.groups for case in group.ended)
        counts = {
            "unfinished, shown as they are now": shown,
            "unfinished, left out of the final means": sum(case.unfinished for case in self.cases)
            - shown,
            "without results": sum(case.traces is None for case in self.cases),
            f"without {name}": sum(name not in case.metrics for case in self.cases if case.traces),
            "with another's settings and seed, left out": self.repeated,
        }
        words = [f"{count} {words}" for words, count in counts.items() if count]
        return [*words, *without_mean(group.ended for group in self.groups)]


class NothingToCompare(SettingError):
    """There is no run that could be compared; ``skipped`` are damaged."""

    def __init__(self, message: str, skipped: int) -> None:
        super().__init__(message)
        self.skipped = skipped


def collect(
    roots: Sequence[str | Path], options: Options, notify: Notify, processes: int = 1
) -> Comparison:
    """Read the runs below the directories and group them; damaged runs are reported and left out.

    ``processes``: see ``read_cases``.
    Raises SettingError if an option does not fit the runs, or if there are no runs.
    """
    cases, skipped = [], 0
    for case in read_cases(find(roots, notify), processes):
        if isinstance(case, RunError):
            notify(f"damaged run left out: {case}")
            skipped += 1
        else:
            cases.append(case)
    where = ", ".join(map(str, roots))
    if not cases:
        raise NothingToCompare(f"no run to compare in {where}", skipped)
    return compare(cases, options, where, skipped)


def compare(cases: Sequence[Case], options: Options, where: str, skipped: int = 0) -> Comparison:
    """Group runs that have been read. Raises SettingError."""
    settings = [case.settings for case in cases]
    filters = conditions(options.where, settings)
    cases = [case for case in cases if all(each.holds(case.settings) for each in filters)]
    found, cases = len(cases), _distinct(cases)
    if not cases:
        raise SettingError(f"no run in {where} meets --where {' '.join(options.where)}")
    if not any(case.traces for case in cases):
        raise SettingError(f"no run in {where} has results yet ({_states(cases)})")
    settings = [case.settings for case in cases]
    varied = [key for key in differing(settings) if key != SEED]
    keys = varied
    if options.by is not None:
        keys = list(dict.fromkeys(resolve_among("--by", word, settings) for word in options.by))
    metrics = together(metric for case in cases for metric in case.declared)
    metric = metrics[_metric(options.metric, cases, metrics)]
    values = levels(cases, keys)
    groups = group(cases, keys, values)
    points = [each.point for each in groups]
    requested = {"x": options.x, "color": options.color, "panel": options.panel}
    layout = lay_out(points, values, requested)
    repeated = found - len(cases)
    return Comparison(
        groups, keys, varied, layout, metrics, metric, skipped, options, repeated=repeated
    )


def _states(cases: Sequence[Case]) -> str:
    """``3 diverged, 24 finished``."""
    states = Counter(case.words for case in cases)
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _distinct(cases: Sequence[Case]) -> list[Case]:
    """The runs without repetitions, which are no samples of their own: of several with the same
    settings, known seed, rows and parts one that has ended, if any.
    """
    first: dict[object, Case] = {}
    for case in sorted(cases, key=lambda case: (case.traces is None, case.unfinished)):
        same = frozenset(case.settings.items()), case.data, frozenset(case.parts.items())
        first.setdefault(case.path if case.seed is None else same, case)
    return [*first.values()]


def _metric(requested: str | None, cases: Sequence[Case], metrics: Mapping[str, Metric]) -> str:
    """The name of the requested metric, which may be an old name, or else of the default."""
    if requested is not None:
        return one_of("--metric", old_names.NAMES.get(requested, requested), metrics)
    measured = [case.metrics for case in cases if case.traces]
    validated = all("validation_loss" in each for each in measured) and any(
        math.isfinite(each["validation_loss"]) for each in measured
    )
    usual = ("validation_loss", "train_loss") if validated else ("train_loss", "validation_loss")
    return next(name for name in (*usual, *metrics) if name in metrics)
