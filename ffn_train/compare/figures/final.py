"""The metric against a setting: mean and spread of each group, and a dot for each run.

Over a learning rate, or another number that was searched, a ring marks the best of each curve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.groups import Group, differences
from ffn_train.compare.header import spread
from ffn_train.compare.lost import (
    cross,
    headroom,
    mark_beyond,
    mark_lost,
    mark_zero,
    note_lost,
    triangle,
    zero,
)
from ffn_train.compare.metrics import Metric, Statistics
from ffn_train.compare.panels import panels
from ffn_train.compare.values import named
from ffn_train.nn.core import Floats
from ffn_train.plots.scales import limit, linear_axis, log_axis
from ffn_train.plots.selection import bounded
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
    """The metric against the setting on the axis; None if no setting differs or nothing is known.

    Runs that diverged are crosses at the top edge and excluded from mean and spread; losses and
    scores with more than 10 times the error of predicting the mean are triangles at the edge beyond
    which they are, zeros on a logarithmic axis at the lower edge.
    """
    layout, roles, options = comparison.layout, comparison.layout.over_x, comparison.options
    metric = comparison.metric
    if layout.x is None:
        return None
    axis = ValueAxis(layout, layout.x)
    looks = {"markers": options.markers, "dashed": axis.numeric}
    colours = Colours(layout, roles.color, **looks)
    # words get colours even without a colour key
    shades = colours if roles.color or axis.numeric else Colours(layout, layout.x, **looks)
    log, values = _scale(comparison, metric)
    lost = not metric.at_start and any(group.n_lost for group in comparison.measured)
    if not len(values) and not lost:
        return None
    page, cells = sheet(
        comparison,
        roles,
        f"{metric.symbol[0].upper()}{metric.symbol[1:]} against {named(layout.x)}",
        [spread(comparison, "small dots", geometric=log)] if len(values) else [],
        heights=[1.8],
        foot=axis.foot,
        wide=axis.crowded,
    )
    beyond = ringed = False
    for cell, (axes,) in zip(cells, page.panels, strict=True):
        (log_axis if log else linear_axis)(axes, values)
        axis.apply(axes)
        limit(axes, options if axis.numeric else replace(options, xlim=None))
        if not len(values):
            axes.set_yticks([])  # all diverged
        if lost:
            headroom(axes)
            note_lost(axes, cell.groups)
        lines = panels(comparison, roles.keys, cell.groups)  # sharing all but the axis's setting
        for order, line in enumerate(lines):
            points = [
                _Point(
                    group,
                    axis.place(group.point[layout.x], order, len(lines)),
                    axis.place(group.point[layout.x], order + 0.4, len(lines)),
                    group.statistics(metric, log=log),
                )
                for group in line.groups
            ]
            if axis.numeric:
                trend = {**shades.look(line.groups[0]), "marker": ""}
                means = np.clip([point.mean.mean for point in points], *axes.get_ylim())
                axes.plot([point.x for point in points], means, linewidth=1.0, **trend)
            for look, alike in _by_look(points, shades):
                beyond |= _draw(axes, alike, metric, look)
            if layout.optimised and metric.better:
                ringed |= _mark_best(axes, metric, points)
    page.share(metric.symbol, xlabel=named(layout.x))
    entries = [(ringed, sample("best of a curve", **_RING)), (lost, cross()), (beyond, triangle())]
    entries.append((log and not values.all(), zero()))
    colours.explain(page.upper_right, ("", [entry for present, entry in entries if present]))
    return page.figure


def _scale(comparison: Comparison, metric: Metric) -> tuple[bool, Floats]:
    """Whether the axis is logarithmic (for factors and ranges above a decade), and the values that
    it must show: the finite runs and the bars of means, of losses and scores down to the worst.
    """
    groups = comparison.measured
    every = np.array([c.metrics[metric.name] for g in groups for c in g.counted(metric)])
    sign, worst = metric.badness(1.0), comparison.worst(metric)
    runs = sign * bounded(sign * every[np.isfinite(every)], worst)
    log = len(runs) > 0 and bool(metric.factor or runs.max() > 10 * runs.min() > 0) and metric.log
    worst = max(worst, np.max(sign * runs, initial=-np.inf))  # where most runs are worse
    means = [group.statistics(metric, log=log) for group in groups]
    shown = [mean for mean in means if metric.badness(mean.mean) <= worst]
    ends = np.array([end for mean in shown for end in (mean.low, mean.high)])
    return log, np.concatenate([runs, ends[sign * ends <= worst]])


class _Point(NamedTuple):
    """A group, the x of its mean and of its runs, and its statistics."""

    group: Group
    x: float
    runs_x: float
    mean: Statistics


def _by_look(
    points: Iterable[_Point], colours: Colours
) -> Iterable[tuple[dict[str, Any], list[_Point]]]:
    """The points of each look; drawing them together is much faster."""
    looks: dict[str, tuple[dict[str, Any], list[_Point]]] = {}
    for point in points:
        look = colours.look(point.group)
        looks.setdefault(str(look), (look, []))[1].append(point)
    return looks.values()


def _mark_best(axes: Axes, metric: Metric, points: Sequence[_Point]) -> bool:
    """Draw a ring around the best of the means, if there are several and it is within the axis;
    returns whether it is drawn. What is another quantity in some groups has no best.
    """
    known = [point for point in points if point.mean.n]
    if len(known) < 2 or differences([point.group for point in points], metric):
        return False
    best = min(known, key=lambda point: metric.badness(point.mean.mean))
    if best.mean.mean > axes.get_ylim()[1]:
        return False
    axes.plot([best.x], [best.mean.mean], zorder=4, **_RING)
    return True


def _draw(axes: Axes, points: list[_Point], metric: Metric, look: dict[str, Any]) -> bool:
    """Draw the groups' means, error bars and runs; returns whether a run is beyond the axis."""
    colour, top = look["color"], axes.get_ylim()[1]
    runs = [[case.metrics[metric.name] for case in p.group.counted(metric)] for p in points]
    x = [p.x for p, values in zip(points, runs, strict=True) for _ in values]
    flat = [value for values in runs for value in values]
    beyond = mark_beyond(axes, x, flat, colour)
    mark_zero(axes, x, flat, colour)
    several = [(p, values) for p, values in zip(points, runs, strict=True) if len(values) > 1]
    if several:
        axes.plot(
            [p.runs_x for p, values in several for _ in values],
            [value for _, values in several for value in values],
            "o",
            color=colour,
            alpha=0.6,
            markersize=2.2,
            markeredgewidth=0,
        )
    lost = [] if metric.at_start else [p.x for p in points for _ in range(p.group.n_lost)]
    if lost:
        mark_lost(axes, lost, [top] * len(lost), colour)
    low, high = axes.get_ylim()
    within = [p.mean.bars if low <= p.mean.mean <= high else None for p in points]
    bars = np.array([ends or (np.nan, np.nan) for ends in within]).T
    axes.errorbar(
        [p.x for p in points],
        [p.mean.mean for p in points],
        bars if np.isfinite(bars).any() else None,
        fmt=look["marker"] or "o",  # without a marker a single run would be invisible
        color=colour,
        elinewidth=0.8,
        capsize=1.8,
        markersize=3.4,
    )
    return beyond
