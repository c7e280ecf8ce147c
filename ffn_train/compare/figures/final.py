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
from ffn_train.compare.lost import cross, mark_diverged
from ffn_train.compare.metrics import METRICS
from ffn_train.compare.panels import OVER_SEEDS, notes, panels
from ffn_train.compare.values import Value, short
from ffn_train.plots.scales import linear_axis, log_axis

NAME = "final"


def draw(comparison: Comparison) -> Figure | None:
    """Runs that diverged are crosses at the top edge and no part of mean and spread."""
    layout, metric = comparison.layout, METRICS[comparison.metric]
    if layout.x is None:
        return None
    roles = layout.over_x
    cells = panels(comparison.groups, roles.panels)
    colour = colours(layout, roles.color)
    several = any(len(group.sound) > 1 for group in comparison.groups)
    sheet = grid(
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {short(layout.x)}",
        notes(comparison, f"{OVER_SEEDS}; dots: each run" if several else "one run each", roles),
        [cell.title for cell in cells],
        height=1.6 if len(cells) > 1 else 2.0,
        right=colour.margin,
    )
    values = np.array([case.metrics[metric.name] for g in comparison.groups for case in g.sound])
    values = values[np.isfinite(values)]
    decades = metric.log and len(values) and values.min() > 0 and values.max() > 10 * values.min()
    axis = ValueAxis(layout, layout.x)
    for cell, (axes,) in zip(cells, sheet.panels, strict=True):
        (log_axis if decades else linear_axis)(axes, values)
        axis.apply(axes)
        _panel(axes, axis, cell.groups, colour, metric.name)
    sheet.share(ylabels=[metric.symbol], xlabel=short(layout.x))
    lost = any(group.n_diverged for group in comparison.groups)
    colour.explain(sheet.figure, sheet.upper_right, ("", [cross()] if lost else []))
    return sheet.figure


def _panel(
    axes: Axes, axis: ValueAxis, groups: Sequence[Group], colour: Colours, metric: str
) -> None:
    """A line through the means of the groups that share all settings but that of the axis."""
    lines: dict[tuple[Value, ...], list[Group]] = {}
    for group in groups:
        other = tuple(value for key, value in group.point.items() if key != axis.key)
        lines.setdefault(other, []).append(group)
    for order, line in enumerate(lines.values()):
        shade = colour(None if colour.key is None else line[0].point[colour.key])
        places = [axis.place(group.point[axis.key], order, len(lines)) for group in line]
        found = [group.statistics(metric) for group in line]
        mean, std = [np.array([getattr(f, name) for f in found]) for name in ("mean", "std")]
        for place, group in zip(places, line, strict=True):
            runs = [case.metrics[metric] for case in group.sound]
            if len(runs) > 1:
                beside = axis.place(group.point[axis.key], order + 0.4, len(lines))
                look = {"color": shade, "alpha": 0.6, "markeredgewidth": 0}
                axes.plot([beside] * len(runs), runs, "o", **look)
            mark_diverged(axes, [place] * group.n_diverged, shade)
        axes.plot(places, mean, marker="o", markersize=3.2, color=shade, linewidth=1.0)
        spread = np.nan_to_num(std)
        axes.errorbar(places, mean, spread, fmt="none", ecolor=shade, elinewidth=0.8, capsize=1.8)
