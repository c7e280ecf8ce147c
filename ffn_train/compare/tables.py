"""The tables as CSV. Numbers are written in full precision; equal results give equal files:

groups.csv  a row per group and metric: the group's settings, its numbers of runs, and the
            statistics of the metric; where the average is geometric, as for a ratio, std and
            stderr are factors
runs.csv    a row per run: state, the settings that differ, every metric, its directory; ``nan``
            for a number that is not finite, empty for a metric that the run does not have
times.csv   a row per run: times, which differ between machines and days
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields

from ffn_train.compare.case import TIMES
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group
from ffn_train.compare.metrics import Statistics
from ffn_train.plots.settings import UNSET, Value, text
from ffn_train.runs.finding import QUESTIONS

GROUPS, RUNS, TIMES_FILE = "groups.csv", "runs.csv", "times.csv"
# the columns of a group's numbers of runs
COUNTS: Mapping[str, Callable[[Group], object]] = {
    "n": lambda group: len(group.measured),
    "n_diverged": lambda group: group.count("diverged"),
    "n_stopped": lambda group: group.count("stopped"),
    "share_lost": lambda group: group.share_lost,
    "n_unfinished": lambda group: sum(case.unfinished for case in group.measured),
    "n_without_results": lambda group: len(group.cases) - len(group.measured),
}


def tables(comparison: Comparison) -> dict[str, str]:
    """The content of each file by name."""
    return {
        GROUPS: _csv(_groups(comparison)),
        RUNS: _csv(_runs(comparison)),
        TIMES_FILE: _csv(_times(comparison)),
    }


def _groups(comparison: Comparison) -> Iterable[Sequence[object]]:
    statistics = [field.name for field in fields(Statistics)]
    numbers = "n_values", "n_not_finite"
    yield (*comparison.keys, *COUNTS, "metric", "average", *numbers, *statistics[1:-1])
    for group in comparison.groups:
        counts = [count(group) for count in COUNTS.values()]
        for name, metric in comparison.metrics.items():
            n, *values, geometric = astuple(group.statistics(metric))
            average = "geometric" if geometric else "arithmetic"
            of_metric = name, average, n, group.n_not_finite(metric), *values
            yield (*_cells(group.point, comparison.keys), *counts, *of_metric)


def _runs(comparison: Comparison) -> Iterable[Sequence[object]]:
    keys = comparison.telling
    questions = [question.replace(" ", "_") for question in QUESTIONS]
    yield (*keys, "state", *questions, *comparison.metrics, "directory")
    for case in comparison.cases:
        cells = {name: repr(value) for name, value in case.metrics.items()}
        numbers = [cells.get(name) for name in comparison.metrics]
        answers = [case.verdict.get(question, "") for question in QUESTIONS]
        yield (*_cells(case.settings, keys), case.state, *answers, *numbers, case.label)


def _times(comparison: Comparison) -> Iterable[Sequence[object]]:
    yield ("directory", *TIMES)
    for case in comparison.cases:
        yield (case.label, *(case.times.get(name) for name in TIMES))


def _cells(point: Mapping[str, Value], keys: Sequence[str]) -> list[str]:
    values = [point.get(key, UNSET) for key in keys]
    return ["" if value == UNSET else text(value) for value in values]


def _csv(rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([_cell(value) for value in row] for row in rows)
    return buffer.getvalue()


def _cell(value: object) -> str:
    """A float in the fewest digits that reproduce it; "" for NaN and None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return repr(value) if isinstance(value, float) else str(value)
