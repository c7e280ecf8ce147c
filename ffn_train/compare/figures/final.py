"""The metric against a setting: mean and spread of each group, and a dot for each run.

Over a learning rate, or another number that was searched, the best of each curve has a ring.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis, limit
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.groups import Group
from ffn_train.compare.header import spread
from ffn_train.compare.lost import (
    bounded,
    cross,
    headroom,
    mark_beyond,
    mark_lost,
    note_lost,
    triangle,
)
from ffn_train.compare.metrics import Metric, Statistics
from ffn_train.compare.panels import panels
from ffn_train.compare.values import named
from ffn_train.nn.core import Floats
from ffn_train.plots.scales import linear_axis, log_axis
from ffn_train.plots.sheet import sample
from ffn_train.plots.style import INK

NAME = "final"

_RING: Any = {
    "marker": "o",
    "linestyle": "none",
    "markersize": 7.5,
    "markerfacecolor": "none",
    "markeredgewidth": 0.9,
    "color": INK,
}


def draw(comparison: Comparison) -> Figure | None:
    """Runs that diverged are crosses at the top edge and no part of mean and spread; losses beyond
    10 times that of predicting the mean are triangles there.
    """
    layout, roles, options = comparison.layout, comparison.layout.over_x, comparison.options
    metric = comparison.metric
    if layout.x is None:
        return None
    axis = ValueAxis(layout, layout.x)
    looks = {"markers": options.markers, "dashed": axis.numeric}
    colours = Colours(layout, roles.color, **looks)
    # words alone have their colour on the axis
    shades = colours if roles.color or axis.numeric else Colours(layout, layout.x, **looks)
    log, values = _scale(comparison, metric)
    page, cells = sheet(
        comparison,
        roles,
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {named(layout.x)}",
        [spread(comparison, "small dots", geometric=log)] if len(values) else [],
        heights=[1.8],
        foot=axis.foot,
        wide=axis.crowded,
    )
    lost = not metric.at_start and any(group.n_lost for group in comparison.measured)
    best = layout.optimised and "loss" in metric.name
    beyond = False
    for cell, (axes,) in zip(cells, page.panels, strict=True):
        (log_axis if log else linear_axis)(axes, values)
        axis.apply(axes)
        limit(axes, options)
        if not len(values):
            axes.set_yticks([])  # all diverged
        if lost:
            headroom(axes)
            note_lost(axes, cell.groups)
        lines = panels(comparison, roles.keys, cell.groups)  # that share all but the axis's setting
        for order, line in enumerate(lines):
            places = [axis.place(g.point[layout.x], order, len(lines)) for g in line.groups]
            means = [group.statistics(metric, log=log) for group in line.groups]
            if axis.numeric:
                trend = {**shades.look(line.groups[0]), "marker": ""}
                axes.plot(places, [mean.mean for mean in means], linewidth=1.0, **trend)
            for group, place, mean in zip(line.groups, places, means, strict=True):
                aside = axis.place(group.point[layout.x], order + 0.4, len(lines))
                beyond |= _group(axes, group, (place, aside), mean, metric, shades.look(group))
            found = [
                (mean.mean, place) for mean, place in zip(means, places, strict=True) if mean.n
            ]
            if best and len(found) > 1 and (least := min(found))[0] <= axes.get_ylim()[1]:
                axes.plot([least[1]], [least[0]], zorder=4, **_RING)
    page.share(metric.symbol, xlabel=named(layout.x))
    entries = [(best, sample("best of a curve", **_RING)), (lost, cross()), (beyond, triangle())]
    colours.explain(page.upper_right, ("", [entry for there, entry in entries if there]))
    return page.figure


def _scale(comparison: Comparison, metric: Metric) -> tuple[bool, Floats]:
    """Whether the axis is logarithmic, for factors and for more than a decade, and what it must
    hold: the finite runs and bars, of a loss up to the ceiling.
    """
    groups = comparison.measured
    runs = np.array([c.metrics[metric.name] for g in groups for c in g.counted(metric)])
    ceiling = comparison.ceiling if "loss" in metric.name else np.inf
    runs = bounded(runs[np.isfinite(runs)], ceiling)
    log = len(runs) > 0 and bool(metric.factor or runs.max() > 10 * runs.min() > 0) and metric.log
    means = [group.statistics(metric, log=log) for group in groups]
    ends = np.array([end for mean in means for end in (mean.low, mean.high)])
    return log, np.concatenate([runs, bounded(ends[np.isfinite(ends)], ceiling)])


def _group(
    axes: Axes,
    group: Group,
    places: tuple[float, float],
    mean: Statistics,
    metric: Metric,
    look: dict[str, Any],
) -> bool:
    """The group's mean and error bar, and its runs aside; whether one is beyond the axis."""
    (place, aside), colour, top = places, look["color"], axes.get_ylim()[1]
    runs = [case.metrics[metric.name] for case in group.counted(metric)]
    beyond = mark_beyond(axes, [place] * len(runs), runs, colour)
    if len(runs) > 1:
        axes.plot(
            [aside] * len(runs),
            runs,
            "o",
            color=colour,
            alpha=0.6,
            markersize=2.2,
            markeredgewidth=0,
        )
    if group.n_lost and not metric.at_start:
        mark_lost(axes, [place] * group.n_lost, [top] * group.n_lost, colour)
    bars = None if mean.bars is None else np.reshape(mean.bars, (2, 1))
    marker = look["marker"] or "o"  # without it one run would not be seen
    axes.errorbar(
        [place],
        [mean.mean],
        bars,
        fmt=marker,
        color=colour,
        elinewidth=0.8,
        capsize=1.8,
        markersize=3.4,
    )
    return beyond
