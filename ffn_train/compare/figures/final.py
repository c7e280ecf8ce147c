"""The metric against a setting: mean and spread of each group, and a dot for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.colours import Colours, colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group
from ffn_train.compare.layout import Roles
from ffn_train.compare.lost import cross, headroom, mark_diverged, tell_diverged
from ffn_train.compare.metrics import METRICS, Metric
from ffn_train.compare.panels import notes, panels, spread, together
from ffn_train.compare.values import short
from ffn_train.plots.scales import linear_axis, log_axis
from ffn_train.runs.measures import Floats

NAME = "final"


def draw(comparison: Comparison) -> Figure | None:
    """Runs that diverged are crosses at the top edge and no part of mean and spread."""
    layout, metric = comparison.layout, METRICS[comparison.metric]
    if layout.x is None:
        return None
    roles = layout.over_x
    cells = panels(comparison, roles.panels)
    colour = colours(layout, roles.color)
    words = None if layout.is_ordered(layout.x) else layout.x
    point = colours(layout, roles.color or words)  # words alone have their colour on the axis
    lost = not metric.at_start and any(group.n_diverged for group in comparison.measured)
    axis = ValueAxis(layout, layout.x)
    sheet = grid(
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {short(layout.x)}",
        notes(comparison, spread(comparison, "dots", geometric=metric.factor), roles),
        [cell.title for cell in cells],
        heights=(1.6 if len(cells) > 1 else 2.0,),
        together=together(comparison, roles.panels),
        right=colour.margin(lost),
        foot=axis.foot,
        wide=axis.crowded,
    )
    scale, values = _shown(comparison.measured, metric)
    for cell, (axes,) in zip(cells, sheet.panels, strict=True):
        scale(axes, values)
        if not len(values):
            axes.set_yticks([])  # all diverged
        axis.apply(axes)
        if lost:
            headroom(axes)
            tell_diverged(axes, cell.groups)
        for order, line in enumerate(lines := _lines(comparison, cell.groups, roles)):
            _line(axes, axis, line, (order, len(lines)), point, metric)
    sheet.share(ylabels=[metric.symbol], xlabel=short(layout.x))
    colour.explain(sheet.figure, sheet.upper_right, ("", [cross()] if lost else []))
    return sheet.figure


def _shown(groups: Sequence[Group], metric: Metric) -> tuple[Callable[..., None], Floats]:
    """The scale, logarithmic for factors and for more than a decade, and what it must hold."""
    runs = np.array([c.metrics[metric.name] for g in groups for c in g.counted(metric.name)])
    runs = runs[np.isfinite(runs)]
    found = [group.statistics(metric.name) for group in groups]
    known = np.array([*runs, *(one.high for one in found)])
    if metric.log and len(runs) and (metric.factor or runs.max() > 10 * runs.min() > 0):
        return log_axis, known  # what bars reach to below may have no place there
    return linear_axis, np.array([*known, *(one.low for one in found)])


def _lines(comparison: Comparison, groups: Sequence[Group], roles: Roles) -> list[list[Group]]:
    """The groups that share all settings but that of the axis."""
    keys = [key for key in (roles.color, *roles.panels, *roles.pooled) if key is not None]
    return [list(line.groups) for line in panels(comparison, keys, groups)]


def _line(
    axes: Axes,
    axis: ValueAxis,
    line: Sequence[Group],
    beside: tuple[int, int],
    colour: Colours,
    metric: Metric,
) -> None:
    """Means, error bars and runs; ``beside``: which of how many lines, so that they stand apart."""
    order, of = beside
    if axis.numeric:
        places = [axis.place(group.point[axis.key], order, of) for group in line]
        means = [group.statistics(metric.name).mean for group in line]
        shade = colour(line[0].point.get(colour.key or ""))
        axes.plot(places, means, color=shade, linewidth=1.0)
    for group in line:
        shade = colour(group.point.get(colour.key or ""))
        place = axis.place(group.point[axis.key], order, of)
        runs = [case.metrics[metric.name] for case in group.counted(metric.name)]
        if len(runs) > 1:
            aside = axis.place(group.point[axis.key], order + 0.4, of)
            dots = axes.plot([aside] * len(runs), runs, "o", color=shade, alpha=0.6)
            dots[0].set_markeredgewidth(0)
        if not metric.at_start:
            mark_diverged(axes, [place] * group.n_diverged, shade)
        one = group.statistics(metric.name)
        axes.errorbar(
            [place],
            [one.mean],
            [[0.0 if np.isnan(end) else abs(end - one.mean)] for end in (one.low, one.high)],
            fmt="o",
            color=shade,
            elinewidth=0.8,
            capsize=1.8,
            markersize=3.2,
        )
