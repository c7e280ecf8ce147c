"""The table of groups for a terminal: aligned, sorted and without redundant columns."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group, differences
from ffn_train.compare.layout import together
from ffn_train.compare.likeness import apart, in_words
from ffn_train.compare.metrics import Metric
from ffn_train.compare.tables import COUNTS
from ffn_train.compare.values import are_numbers, in_brief, short
from ffn_train.plots.settings import Value
from ffn_train.report.table import aligned

_LONGEST = 24  # characters of a setting's value
TEST, BASELINE = "test_score", "baseline_score"
_FIRST = (  # these metrics come first if there is no room for all
    TEST,
    "best_validation_loss",
    "validation_score",
    BASELINE,
    "gradient_ratio_start",
    "gradient_ratio_end",
    "growth_per_block_start",
    "growth_per_block_end",
    "train_loss",
)
_COUNTED = {
    "n": ("", "n"),
    "n_diverged": ("", "diverged"),
    "n_stopped": ("", "stopped"),
    "n_unfinished": ("", "unfinished"),
    "n_without_results": ("no", "results"),
}
_ROWS = 200  # further groups are only in the file
_FACTORS = {  # what the headings of factors mean
    "ratio": "ratio |dL/dx_0| / |dL/dx_L|",
    "growth": "growth per block",
}


@dataclass(frozen=True)
class Column:
    """``heading`` and a cell for each group; ``left``: aligned to the left, for words."""

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
    """A line per group, at most ``width`` characters long, and notes on the columns.

    Columns that do not fit are named and left to groups.csv. The compared metric always has a
    column.
    """
    groups = comparison.groups[:_ROWS]
    names = _metrics(comparison, groups)
    metrics = comparison.metrics
    plain = {name: _number_column(metrics[name], groups) for name in names}
    compared = _number_column(comparison.metric, groups, spread=True)
    settings, partners = _settings(comparison, groups, width - compared.width - 2)
    fixed = [*settings, *_counts(groups)]
    numbers, omitted = {comparison.metric.name: compared}, []
    for name in names[1:]:
        if _across([*fixed, *numbers.values(), plain[name]]) <= width:
            numbers[name] = plain[name]
        else:
            omitted.append(plain[name].name)
    for name in numbers:  # spreads are added while there is room
        wider = {**numbers, name: _number_column(metrics[name], groups, spread=True)}
        if _across([*fixed, *wider.values()]) <= width:
            numbers = wider
    columns = [*fixed, *numbers.values()]
    rows = zip(*([*column.heading, *column.cells] for column in columns), strict=True)
    words = [index for index, column in enumerate(columns) if column.left]
    notes = [partners, *_legend(comparison, numbers, groups), _baseline(comparison, groups)]
    if omitted:
        beyond = ", ".join(omitted)
        notes.append(f"left out to fit the terminal: {beyond} (all columns are in groups.csv)")
    hidden = len(comparison.groups) - len(groups)
    notes.append(f"and {hidden} more groups in groups.csv" if hidden else "")
    notes.append(_best(comparison))
    notes.append("; ".join([comparison.counts, *comparison.reservations]))
    notes.append("; ".join(filter(None, [comparison.verdicts, comparison.theory])))
    lines = [line for note in notes for line in textwrap.wrap(note, max(width, 40))]
    return "\n".join([*aligned(rows, left=words), *lines])


def _best(comparison: Comparison) -> str:
    """The group of the best mean, by its settings; "" for a metric without a better end. Runs of it
    that the mean leaves out because they were lost, or that go on, are told.

    If the metric is another quantity in some runs, there is none, and the words say why.
    """
    metric = comparison.metric
    known = [(group.statistics(metric).mean, group) for group in comparison.measured]
    known = [(mean, group) for mean, group in known if math.isfinite(mean)]
    if len(known) < 2 or not metric.better:
        return ""
    end = "lowest" if metric.better == "lower" else "highest"
    if keys := differences(comparison.measured, metric):
        return f"no {end} {metric.symbol}: the runs {in_words(keys)}"
    mean, group = min(known, key=lambda pair: metric.badness(pair[0]))
    words = [f"{mean:.3g}"]
    if group.n_lost:
        words.append(f"{group.n_lost} of {len(group.measured)} diverged or stopped")
    if any(case.unfinished for case in group.ended):
        words.append("unfinished")
    return f"{end} {metric.symbol}: {group} ({', '.join(words)})"


def _across(columns: Sequence[Column]) -> int:
    """The width of columns side by side, in characters."""
    return sum(column.width + 2 for column in columns) - 2


def _legend(
    comparison: Comparison, columns: Mapping[str, Column], groups: Sequence[Group]
) -> list[str]:
    """What the headings and spreads mean, and which values are excluded from the means."""
    metrics = {name: comparison.metrics[name] for name in columns}
    heads = {metric.heading[0] for metric in metrics.values()}
    factors = ", ".join(meaning for head, meaning in _FACTORS.items() if head in heads)
    cells = " ".join(cell for column in columns.values() for cell in column.cells)
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
    if TEST in columns:  # the baseline's is among them
        lines.append(f"all scores but {columns[TEST].name} are of the validation rows")
    for name, column in columns.items():
        metric = metrics[name]
        missing = sum(g.n_not_finite(metric) for g in groups if g.statistics(metric).n)
        if missing:
            lines.append(f"{column.name}: {missing} not finite and in no mean")
        if metric.factor and any(group.statistics(metric).mean == 0 for group in groups):
            lines.append(f"{column.name}: the mean is 0 where that of a run is")
    return lines


def _settings(
    comparison: Comparison, groups: Sequence[Group], width: int
) -> tuple[list[Column], str]:
    """The settings that differ, and a note of those left out for lack of room.

    Those that only change together with another one are left out first.
    """
    columns = {key: _setting(key, groups) for key in comparison.keys}
    if len(groups) > 1:
        columns = {key: column for key, column in columns.items() if len(set(column.cells)) > 1}
    partners = comparison.layout.partners
    redundant = [key for key in columns if key in partners and partners[key] in columns]
    if _across([*columns.values(), *_counts(groups)]) <= width or not redundant:
        return list(columns.values()), ""
    remaining = [column for key, column in columns.items() if key not in redundant]
    return remaining, together({key: partners[key] for key in redundant})


def _setting(key: str, groups: Sequence[Group]) -> Column:
    values: list[Value] = [group.point[key] for group in groups]
    cells = in_brief(values, _LONGEST)
    return Column(("", short(key)), cells, left=not are_numbers(values))


def _counts(groups: Sequence[Group]) -> list[Column]:
    columns = [
        Column(heading, [str(COUNTS[name](group)) for group in groups])
        for name, heading in _COUNTED.items()
    ]
    return columns[:2] + [column for column in columns[2:] if set(column.cells) != {"0"}]


def _metrics(comparison: Comparison, groups: Sequence[Group]) -> list[str]:
    """The metrics: the compared one, then those of ``_FIRST``, then the others."""
    compared = comparison.metric.name
    shared = compared != BASELINE and bool(_baseline(comparison, groups))
    names = dict.fromkeys([compared, *_FIRST, *comparison.metrics])
    return [n for n in names if n in comparison.metrics and not (shared and n == BASELINE)]


def _number_column(metric: Metric, groups: Sequence[Group], *, spread: bool = False) -> Column:
    """A metric's means, with their spread if that is requested and known."""
    means = [group.statistics(metric) for group in groups]
    cells = [_number(m.mean) if metric.log else _share(m.mean) for m in means]
    for index, group in enumerate(groups):
        if not means[index].n and group.counted(metric):  # only values that are not finite
            cells[index] = "not finite"
    if spread:
        sign, digits = ("×/÷", 3) if metric.factor else ("±", 2)
        errors = [f" {sign} {_number(m.std, digits)}" if m.bars else "" for m in means]
        longest = max(map(len, errors))
        cells = [cell + error.ljust(longest) for cell, error in zip(cells, errors, strict=True)]
    return Column(metric.heading, cells)


def _baseline(comparison: Comparison, groups: Sequence[Group]) -> str:
    """The score of the baseline in words if all groups share it, else ""."""
    metric = comparison.metrics.get(BASELINE)
    if metric is None:
        return ""
    means = {_number(group.statistics(metric).mean) for group in groups if group.measured}
    name, symbol = metric.heading
    shared = len(means) == 1 and not apart(comparison.cases, BASELINE)
    return f"{symbol} of {name}: {means.pop()} in every group" if shared else ""


def _share(value: float) -> str:
    """A score to a thousandth."""
    return f"{value:z.3f}" if abs(value) < 100 else _number(value)


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}"
