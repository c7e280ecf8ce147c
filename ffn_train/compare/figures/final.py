"""The metric against a setting: mean and spread of each group, and a dot for each run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.groups import Group
from ffn_train.compare.lost import cross, headroom, mark_lost, note_lost
from ffn_train.compare.metrics import Metric
from ffn_train.compare.panels import panels, spread
from ffn_train.compare.values import short
from ffn_train.nn.core import Floats
from ffn_train.plots.scales import linear_axis, log_axis

NAME = "final"


def draw(comparison: Comparison) -> Figure | None:
    """Runs that diverged are crosses at the top edge and no part of mean and spread."""
    layout, roles = comparison.layout, comparison.layout.over_x
    metric = comparison.metric
    if layout.x is None:
        return None
    axis = ValueAxis(layout, layout.x)
    colour = Colours(layout, roles.color)
    # words alone have their colour on the axis
    shade = colour if roles.color or axis.numeric else Colours(layout, layout.x)
    page, cells = sheet(
        comparison,
        roles,
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {short(layout.x)}",
        spread(comparison, "dots", geometric=metric.factor),
        heights=[1.8],
        foot=axis.foot,
        wide=axis.crowded,
    )
    lost = not metric.at_start and any(group.n_lost for group in comparison.measured)
    scale, values = _shown(comparison.measured, metric)
    for cell, (axes,) in zip(cells, page.panels, strict=True):
        scale(axes, values)
        if not len(values):
            axes.set_yticks([])  # all diverged
        axis.apply(axes)
        if lost:
            headroom(axes)
            note_lost(axes, cell.groups)
        lines = panels(comparison, roles.keys, cell.groups)  # that share all but the axis's setting
        for order, line in enumerate(lines):
            _line(axes, axis, line.groups, (order, len(lines)), shade, metric)
    page.share(metric.symbol, xlabel=short(layout.x))
    colour.explain(page.upper_right, ("", [cross()] if lost else []))
    return page.figure


def _shown(groups: Sequence[Group], metric: Metric) -> tuple[Callable[..., None], Floats]:
    """The scale, logarithmic for factors and for more than a decade, and what it must hold."""
    runs = np.array([c.metrics[metric.name] for g in groups for c in g.counted(metric)])
    runs = runs[np.isfinite(runs)]
    means = [group.statistics(metric) for group in groups]
    highest = np.array([*runs, *(mean.high for mean in means)])
    if metric.log and len(runs) and (metric.factor or runs.max() > 10 * runs.min() > 0):
        return log_axis, highest  # what bars reach to below may have no place there
    return linear_axis, np.array([*highest, *(mean.low for mean in means)])


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
    places = [axis.place(group.point[axis.key], order, of) for group in line]
    means = [group.statistics(metric) for group in line]
    if axis.numeric:
        axes.plot(places, [m.mean for m in means], color=colour.of(line[0]), linewidth=1.0)
    for group, place, mean in zip(line, places, means, strict=True):
        look: Any = {"color": colour.of(group)}
        runs = [case.metrics[metric.name] for case in group.counted(metric)]
        if len(runs) > 1:
            aside = [axis.place(group.point[axis.key], order + 0.4, of)] * len(runs)
            axes.plot(aside, runs, "o", alpha=0.6, markeredgewidth=0, **look)
        if group.n_lost and not metric.at_start:
            top = axes.get_ylim()[1]
            mark_lost(axes, [place] * group.n_lost, [top] * group.n_lost, look["color"])
        look |= {"fmt": "o", "elinewidth": 0.8, "capsize": 1.8, "markersize": 3.2}
        axes.errorbar([place], [mean.mean], np.reshape(mean.bars, (2, 1)), **look)
