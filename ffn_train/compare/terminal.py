"""The table of groups for a terminal: aligned, sorted, and no column that says the same twice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.groups import Group
from ffn_train.compare.metrics import METRICS
from ffn_train.compare.values import Value, brief, is_number, short

WIDTH = 100
_LONGEST = 24  # characters of a setting's value
_GAP = "  "
_FIRST = (  # of the metrics, where there is no room for all
    "best_validation_loss",
    "validation_r2",
    "least_squares_r2",
    "gradient_ratio_start",
    "gradient_ratio_end",
    "growth_per_block_start",
    "growth_per_block_end",
    "train_loss",
)
_ROWS = 200  # from here on the file serves better


@dataclass(frozen=True)
class Column:
    """``heading`` and a cell for each group; ``left``: words are aligned on their left."""

    heading: tuple[str, str]
    cells: Sequence[str]
    left: bool = False

    @property
    def width(self) -> int:
        return max(map(len, (*self.heading, *self.cells)))


def table(comparison: Comparison) -> str:
    """A line per group; what does not fit beside the first columns is left to groups.csv."""
    groups = comparison.groups[:_ROWS]
    settings = [_setting(key, groups) for key in comparison.keys]
    settings = [column for column in settings if len(set(column.cells)) > 1 or len(groups) == 1]
    shown = [*settings, *_counts(groups)]
    notes = []
    for column in _numbers(comparison, groups):
        if sum(c.width + len(_GAP) for c in (*shown, column)) - len(_GAP) <= WIDTH:
            shown.append(column)
    common = _least_squares(groups)
    if common:
        notes.append(common)
    left = len(comparison.groups) - len(groups)
    if left:
        notes.append(f"and {left} more groups in groups.csv")
    notes.append("; ".join([comparison.counts, *comparison.reservations]))
    rows = zip(*(_aligned(column) for column in shown), strict=True)
    return "\n".join([*(_GAP.join(row).rstrip() for row in rows), *notes])


def _aligned(column: Column) -> list[str]:
    cells = [*column.heading, *column.cells]
    if column.left:
        return [cell.ljust(column.width) for cell in cells]
    return [cell.rjust(column.width) for cell in cells]


def _setting(key: str, groups: Sequence[Group]) -> Column:
    values: list[Value] = [group.point[key] for group in groups]
    left = not all(is_number(value) for value in values)
    return Column(("", short(key)), [brief(value, _LONGEST) for value in values], left)


def _counts(groups: Sequence[Group]) -> list[Column]:
    def column(heading: tuple[str, str], count: Callable[[Group], int]) -> Column:
        return Column(heading, [str(count(group)) for group in groups])

    columns = [
        column(("", "n"), lambda group: len(group.measured)),
        column(("", "diverged"), lambda group: group.n_diverged),
        column(("", "unfinished"), lambda group: sum(c.unfinished for c in group.cases)),
        column(("no", "results"), lambda group: sum(c.traces is None for c in group.cases)),
    ]
    return columns[:2] + [c for c in columns[2:] if set(c.cells) != {"0"}]


def _numbers(comparison: Comparison, groups: Sequence[Group]) -> list[Column]:
    """The columns of numbers, those that are asked for first in front."""

    def column(metric: str) -> Column:
        found = [group.statistics(metric) for group in groups]
        plain = METRICS[metric].log
        cells = [_number(one.mean) if plain else _share(one.mean) for one in found]
        if metric == comparison.metric:
            errors = ["" if math.isnan(one.std) else f" ± {_number(one.std, 2)}" for one in found]
            width = max(map(len, errors))
            cells = [cell + error.ljust(width) for cell, error in zip(cells, errors, strict=True)]
        return Column(METRICS[metric].heading, cells)

    names = [comparison.metric, *_FIRST, *METRICS]
    if _least_squares(groups):
        names = [name for name in names if name != "least_squares_r2"]
    return [column(name) for name in dict.fromkeys(names)]


def _least_squares(groups: Sequence[Group]) -> str:
    """The one R² of least squares, in words, where all groups share it."""
    found = [group.statistics("least_squares_r2").mean for group in groups if group.measured]
    means = {_number(mean) for mean in found}
    return f"R² of least squares: {means.pop()} in every group" if len(means) == 1 else ""


def _share(value: float) -> str:
    """An R², of which a thousandth is enough."""
    return f"{value:.3f}" if abs(value) < 100 else _number(value)


def _number(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}g}"
