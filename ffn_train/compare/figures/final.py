"""The metric against a setting: mean and spread of each group, and a dot for each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.colours import Colours, colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group
from ffn_train.compare.lost import cross, headroom, mark_diverged, tell_diverged
from ffn_train.compare.metrics import METRICS, Metric
from ffn_train.compare.panels import notes, panels, spread
from ffn_train.compare.values import Value, short
from ffn_train.plots.scales import linear_axis, log_axis
from ffn_train.runs.reader import Floats

NAME = "final"


def draw(comparison: Comparison) -> Figure | None:
    """Runs that diverged are crosses at the top edge and no part of mean and spread."""
    layout, metric = comparison.layout, METRICS[comparison.metric]
    if layout.x is None:
        return None
    roles = layout.over_x
    cells = panels(comparison.groups, roles.panels)
    colour = colours(layout, roles.color)
    words = None if layout.is_ordered(layout.x) else layout.x
    point = colours(layout, roles.color or words)  # words alone have their colour on the axis
    lost = any(group.n_diverged for group in comparison.groups)
    sheet = grid(
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {short(layout.x)}",
        notes(comparison, spread(comparison, "dots"), roles),
        [cell.title for cell in cells],
        height=1.6 if len(cells) > 1 else 2.0,
        right=colour.margin(lost),
    )
    values = _shown(comparison.groups, metric)
    decades = metric.log and len(values) and values.min() > 0 and values.max() > 10 * values.min()
    axis = ValueAxis(layout, layout.x)
    for cell, (axes,) in zip(cells, sheet.panels, strict=True):
        (log_axis if decades else linear_axis)(axes, values)
        axis.apply(axes)
        if lost:
            headroom(axes)
        tell_diverged(axes, cell.groups)
        _panel(axes, axis, cell.groups, point, metric.name)
    sheet.share(ylabels=[metric.symbol], xlabel=short(layout.x))
    colour.explain(sheet.figure, sheet.upper_right, ("", [cross()] if lost else []))
    return sheet.figure


def _shown(groups: Sequence[Group], metric: Metric) -> Floats:
    """What the axis must hold: each run, and the ends of the error bars."""
    runs = [case.metrics[metric.name] for group in groups for case in group.sound]
    found = [group.statistics(metric.name) for group in groups]
    ends = [one.mean + sign * one.std for one in found for sign in (-1, 1)]
    values = np.array([*runs, *(end for end in ends if end > 0 or not metric.log)])
    shown: Floats = values[np.isfinite(values)]
    return shown


def _panel(
    axes: Axes, axis: ValueAxis, groups: Sequence[Group], colour: Colours, metric: str
) -> None:
    """A line through the means of the groups that share all settings but that of the axis."""
    lines: dict[tuple[Value, ...], list[Group]] = {}
    for group in groups:
        other = tuple(value for key, value in group.point.items() if key != axis.key)
        lines.setdefault(other, []).append(group)
    for order, line in enumerate(lines.values()):
        places = [axis.place(group.point[axis.key], order, len(lines)) for group in line]
        found = [group.statistics(metric) for group in line]
        if axis.numeric:
            shade = colour(line[0].point.get(colour.key or ""))
            axes.plot(places, [one.mean for one in found], color=shade, linewidth=1.0)
        for place, group, one in zip(places, line, found, strict=True):
            shade = colour(group.point.get(colour.key or ""))
            runs = [case.metrics[metric] for case in group.sound]
            if len(runs) > 1:
                beside = axis.place(group.point[axis.key], order + 0.4, len(lines))
                dots = axes.plot([beside] * len(runs), runs, "o", color=shade, alpha=0.6)
                dots[0].set_markeredgewidth(0)
            mark_diverged(axes, [place] * group.n_diverged, shade)
            spread = 0.0 if np.isnan(one.std) else one.std
            look = {"color": shade, "elinewidth": 0.8, "capsize": 1.8, "markersize": 3.2}
            axes.errorbar([place], [one.mean], [spread], fmt="o", **look)
