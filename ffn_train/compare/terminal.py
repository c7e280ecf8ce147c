"""The table of groups for a terminal: aligned, sorted, and no column that says the same twice."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group
from ffn_train.compare.layout import together
from ffn_train.compare.metrics import Metric
from ffn_train.compare.tables import counts
from ffn_train.compare.values import Value, are_numbers, brief, short
from ffn_train.report.table import aligned

_LONGEST = 24  # characters of a setting's value
BASELINE = "baseline_score"
_FIRST = (  # of the metrics, where there is no room for all
    "best_validation_loss",
    "validation_score",
    BASELINE,
    "gradient_ratio_start",
    "gradient_ratio_end",
    "growth_per_block_start",
    "growth_per_block_end",
    "train_loss",
)
_ROWS = 200  # from here on the file serves better
_FACTORS = {  # what the headings of factors mean
    "ratio": "ratio |dL/dx_0| / |dL/dx_L|",
    "growth": "growth per block",
}


@dataclass(frozen=True)
class Column:
    """``heading`` and a cell for each group; ``left``: words are aligned on their left."""

    heading: tuple[str, str]
    cells: Sequence[str]
    left: bool = False

    @property
    def width(self) -> int:
        return max(map(len, (*self.heading, *self.cells)))

    @property
    def name(self) -> str:
        return " ".join(word for word in self.heading if word)


def table(comparison: Comparison, width: int = sys.maxsize) -> str:
    """A line per group, in so many characters, and what is to be known of the columns.

    What does not fit beside the first columns is named and left to groups.csv. The metric asked for
    always has its column.
    """
    groups = comparison.groups[:_ROWS]
    names = _metrics(comparison, groups)
    metrics = comparison.metrics
    plain = {name: _number_column(metrics[name], groups) for name in names}
    asked = _number_column(comparison.metric, groups, spread=True)
    settings, partners = _settings(comparison, groups, width - asked.width - 2)
    beside = [*settings, *_counts(groups)]
    numbers, left = {comparison.metric.name: asked}, []
    for name in names[1:]:
        if _across([*beside, *numbers.values(), plain[name]]) <= width:
            numbers[name] = plain[name]
        else:
            left.append(plain[name].name)
    for name in numbers:  # spreads are for the room that is left
        wider = {**numbers, name: _number_column(metrics[name], groups, spread=True)}
        if _across([*beside, *wider.values()]) <= width:
            numbers = wider
    columns = [*beside, *numbers.values()]
    rows = zip(*([*column.heading, *column.cells] for column in columns), strict=True)
    words = [index for index, column in enumerate(columns) if column.left]
    notes = [partners, *_legend(comparison, numbers, groups), _baseline(comparison, groups)]
    if left:
        beyond = ", ".join(left)
        notes.append(f"left out to fit the terminal: {beyond} (all columns are in groups.csv)")
    hidden = len(comparison.groups) - len(groups)
    notes.append(f"and {hidden} more groups in groups.csv" if hidden else "")
    notes.append("; ".join([comparison.counts, *comparison.reservations]))
    notes.append("; ".join(filter(None, [comparison.verdicts, comparison.theory])))
    lines = [line for note in notes for line in textwrap.wrap(note, max(width, 40))]
    return "\n".join([*aligned(rows, left=words), *lines])


def _across(columns: Sequence[Column]) -> int:
    """The characters that columns take side by side."""
    return sum(column.width + 2 for column in columns) - 2


def _legend(
    comparison: Comparison, shown: Mapping[str, Column], groups: Sequence[Group]
) -> list[str]:
    """What the headings mean, what stands beside the means, and which values are in none."""
    metrics = {name: comparison.metrics[name] for name in shown}
    heads = {metric.heading[0] for metric in metrics.values()}
    factors = ", ".join(meaning for head, meaning in _FACTORS.items() if head in heads)
    cells = " ".join(cell for column in shown.values() for cell in column.cells)
    several = any(group.statistics(m).n > 1 for group in groups for m in metrics.values())
    meanings = []
    if factors:
        factors += ": geometric mean" * several + " ×/÷ standard deviation" * ("×/÷" in cells)
        meanings.append(factors)
    if "±" in cells:
        meanings.append("± standard deviation")
    over = f" over {comparison.over}" * ("±" in cells or "×/÷" in cells)
    lines = ["; ".join(meanings) + over]
    lines += [f"losses {unit}" for unit in sorted({m.unit for m in metrics.values() if m.unit})]
    for name, column in shown.items():
        metric = metrics[name]
        missing = sum(_not_finite(group, metric) for group in groups)
        if missing:
            lines.append(f"{column.name}: {missing} not finite and in no mean")
        if metric.factor and any(group.statistics(metric).mean == 0 for group in groups):
            lines.append(f"{column.name}: the mean is 0 where that of a run is")
    return lines


def _not_finite(group: Group, metric: Metric) -> int:
    """How many of a group's runs that count have no finite value, where others have one."""
    known = group.statistics(metric).n
    return len(group.counted(metric)) - known if known else 0


def _settings(
    comparison: Comparison, groups: Sequence[Group], width: int
) -> tuple[list[Column], str]:
    """The settings that differ; those that only change together with another give way first."""
    columns = {key: _setting(key, groups) for key in comparison.keys}
    if len(groups) > 1:
        columns = {key: column for key, column in columns.items() if len(set(column.cells)) > 1}
    partners = comparison.layout.partners
    given = [key for key in columns if key in partners and partners[key] in columns]
    if _across([*columns.values(), *_counts(groups)]) <= width or not given:
        return list(columns.values()), ""
    kept = [column for key, column in columns.items() if key not in given]
    return kept, together({key: partners[key] for key in given})


def _setting(key: str, groups: Sequence[Group]) -> Column:
    values: list[Value] = [group.point[key] for group in groups]
    cells = [brief(value, _LONGEST) for value in values]
    return Column(("", short(key)), cells, left=not are_numbers(values))


def _counts(groups: Sequence[Group]) -> list[Column]:
    rows = [counts(group) for group in groups]
    headings = {
        "n": 0,
        "diverged": 1,
        "stopped": 2,
        "unfinished": 4,
        "results": 5,
    }  # places among the counts
    columns = [
        Column(("no" * (name == "results"), name), [str(row[place]) for row in rows])
        for name, place in headings.items()
    ]
    return columns[:2] + [column for column in columns[2:] if set(column.cells) != {"0"}]


def _metrics(comparison: Comparison, groups: Sequence[Group]) -> list[str]:
    """The metrics, the one that is asked for and those that are read first in front."""
    asked = comparison.metric.name
    shared = asked != BASELINE and bool(_baseline(comparison, groups))
    names = dict.fromkeys([asked, *_FIRST, *comparison.metrics])
    return [n for n in names if n in comparison.metrics and not (shared and n == BASELINE)]


def _number_column(metric: Metric, groups: Sequence[Group], *, spread: bool = False) -> Column:
    """A metric's means, with their spread if that is asked for and known."""
    means = [group.statistics(metric) for group in groups]
    cells = [_number(m.mean) if metric.log else _share(m.mean) for m in means]
    for place, group in enumerate(groups):
        if not means[place].n and group.counted(metric):  # it has the metric, and no number
            cells[place] = "not finite"
    if spread:
        sign, digits = ("×/÷", 3) if metric.factor else ("±", 2)
        errors = [f" {sign} {_number(m.std, digits)}" if m.bars else "" for m in means]
        longest = max(map(len, errors))
        cells = [cell + error.ljust(longest) for cell, error in zip(cells, errors, strict=True)]
    return Column(metric.heading, cells)


def _baseline(comparison: Comparison, groups: Sequence[Group]) -> str:
    """The score of the baseline, in words, where all groups share it."""
    metric = comparison.metrics.get(BASELINE)
    if metric is None:
        return ""
    means = {_number(group.statistics(metric).mean) for group in groups if group.measured}
    name, symbol = metric.heading
    return f"{symbol} of {name}: {means.pop()} in every group" if len(means) == 1 else ""


def _share(value: float) -> str:
    """A score, of which a thousandth is enough."""
    return f"{value:z.3f}" if abs(value) < 100 else _number(value)


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}"
