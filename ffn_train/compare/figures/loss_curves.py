"""Loss over steps: the mean of each group, its spread over seeds, and each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.case import Case, Curve
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.groups import Group
from ffn_train.compare.header import spread
from ffn_train.compare.likeness import apart
from ffn_train.compare.lost import (
    cross,
    mark_beyond,
    mark_lost,
    mark_zero,
    note_lost,
    triangle,
    zero,
)
from ffn_train.compare.panels import uncrowded
from ffn_train.compare.stretched import dotted, mark_stretched, stretched
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import BINS, LONG, QUANTILES, curve
from ffn_train.plots.scales import limit, log_axis, step_axis
from ffn_train.plots.selection import bounded, evenly

NAME = "loss_curves"

_MARKERS = 8  # of a curve
_FIRST = 1e3  # a lost run's first loss is shown up to this multiple of the other runs' losses


def draw(comparison: Comparison) -> Figure | None:
    """The validation loss (for ``--metric train_loss`` the training loss), y logarithmic.

    A run that diverges is excluded from its group's mean and drawn to a cross at its last step.
    Losses beyond 10 times that of predicting the mean are marked along the top edge, means of 0
    along the lower one.
    """
    name = "train_loss" if "train" in comparison.metric.name else "validation_loss"
    if not any(len(_curve(case, name)[0]) for case in comparison.cases if case.traces):
        name = "train_loss"  # no run was evaluated
    comparison, words = uncrowded(comparison)
    roles, options = comparison.layout.curves, comparison.options
    colours = Colours(comparison.layout, roles.color, markers=options.markers)
    summaries = {
        id(group): summary
        for group in comparison.measured
        if (summary := _summary(group, name)) is not None
    }
    long = any(summary.long for summary in summaries.values())
    phrases = [spread(comparison, "thin", geometric=True)] if summaries else []
    if long:
        phrases = [
            "geometric means over a fiftieth of the steps; bands: 10 to 90 % of the losses there",
            "thin: each run" if any(len(group.sound) > 1 for group in comparison.measured) else "",
        ]
    if any(summary.partial for summary in summaries.values()):
        phrases.append("means only at the steps that all runs of a group share")
    title = "Validation loss" if name == "validation_loss" else "Training loss"
    page, cells = sheet(comparison, roles, title, [*phrases, words], heights=[1.6])
    limits, beyond = _limits(comparison, name, list(summaries.values())), False
    for cell, (axes,) in zip(cells, page.panels, strict=True):
        log_axis(axes, limits)
        step_axis(axes, range(int(max(_lasts(cell.groups), default=0)) + 1))
        limit(axes, options)
        strength = min(1.0, 12 / len(cell.groups))
        for group in cell.groups:
            summary, look = summaries.get(id(group)), colours.look(group)
            if summary is not None:
                beyond |= _draw(axes, summary, look, strength)
            _draw_lost(axes, group, name, look["color"], strength)
        note_lost(axes, cell.groups)
        mark_stretched(axes, cell.groups)
    page.share("loss $L$", xlabel="step")
    entries: list[Artist] = [cross()] if any(case.lost for case in comparison.cases) else []
    entries += [triangle()] * beyond
    entries += [zero()] * any((summary.mean == 0).any() for summary in summaries.values())
    entries += [dotted()] * bool(stretched(comparison.groups))
    colours.explain(page.upper_right, ("", entries))
    return page.figure


@dataclass(frozen=True)
class Summary:
    """The curves of a group's runs: their geometric mean, a band around it and each run.

    ``runs``: each to its own end. The band is a geometric standard deviation over the averaged
    runs; for long curves, whose points cover many steps, the 10 to 90 % quantiles of all their
    losses. NaN if neither is defined. ``partial``: the mean lacks some of the averaged runs' steps.
    """

    steps: Floats
    mean: Floats
    low: Floats
    high: Floats
    runs: Sequence[Curve]
    long: bool
    partial: bool

    @classmethod
    def of(cls, curves: Sequence[Curve], averaged: Sequence[Curve]) -> Summary:
        """Of the ``curves``; mean and band of some of them, at the steps that all of these have."""
        common = reduce(np.intersect1d, [steps for steps, _ in averaged] or [np.zeros(0)])
        long = max(len(steps) for steps, _ in curves) >= LONG
        span = max(float(np.ptp(steps)) for steps, _ in curves) if long else 0.0
        logs = np.log([values[np.isin(steps, common)] for steps, values in averaged])
        bins = _bins(common, span)
        means = np.array([logs[:, each].mean(axis=1) for each in bins]).reshape(
            -1, len(averaged) or 1
        )
        mean = means.mean(axis=1)
        if long:
            quantiles = [np.quantile(logs[:, each], QUANTILES) for each in bins]
            low, high = np.array(quantiles).reshape(-1, 2).T
        else:
            one = np.full(len(mean), np.nan)
            std = means.std(axis=1, ddof=1) if len(averaged) > 1 else one
            low, high = mean - std, mean + std
        return cls(
            np.array([common[each].mean() for each in bins]),
            np.exp(mean),
            np.exp(low),
            np.exp(high),
            [_thin(curve, span) for curve in curves],
            long,
            any(len(steps) > len(common) for steps, _ in averaged),
        )


def _summary(group: Group, name: str) -> Summary | None:
    """Of the runs that are not lost; the mean of those whose final losses count."""
    curves = [line for case in group.sound if len((line := _curve(case, name))[0])]
    ended = [] if apart(group.ended, name) else group.ended
    averaged = [line for case in ended if len((line := _curve(case, name))[0])]
    return Summary.of(curves, averaged) if curves else None


def _bins(steps: Floats, span: float) -> list[Any]:
    """The places of the points of each fiftieth of the ``span``; of each point if that is 0."""
    count = round(BINS * float(np.ptp(steps)) / span) if span and len(steps) else len(steps)
    count = min(max(count, 1), len(steps))
    return np.array_split(np.arange(len(steps)), count) if count else []


def _thin(run: Curve, span: float) -> Curve:
    """A run's points, or their geometric means over each fiftieth of the ``span``."""
    steps, values = run
    bins, logs = _bins(steps, span), np.log(values)
    return (
        np.array([steps[each].mean() for each in bins]),
        np.exp([logs[each].mean() for each in bins]),
    )


def _lasts(groups: Sequence[Group]) -> list[float]:
    """The last step of each run; of a lost run also its planned last step."""
    cases = [case for group in groups for case in group.measured]
    lasts = [float(_curve(case, "train_loss")[0][-1]) for case in cases]
    planned = [case.settings.get("trainer.steps") for case in cases if case.lost]
    return [*lasts, *(float(steps) for steps in planned if isinstance(steps, int))]


def _limits(comparison: Comparison, name: str, summaries: Sequence[Summary]) -> Floats:
    """The losses that the axis must show: up to the ceiling, those of the runs that did not
    diverge, if there are any, and the first of a lost run unless it would flatten the rest.
    """
    lost = [case for case in comparison.cases if case.lost and case.traces]
    firsts = np.array([value for case in lost for value in _curve(case, name)[1][:1]])
    rows = [row for s in summaries for row in (s.mean, s.high, *(y for _, y in s.runs))]
    rows += [s.low[s.mean <= comparison.ceiling] for s in summaries]
    if not rows:
        return bounded(np.concatenate([_curve(case, name)[1] for case in lost]), comparison.ceiling)
    losses = bounded(np.concatenate(rows), comparison.ceiling)
    highest = np.max(losses, where=np.isfinite(losses), initial=0)
    return np.concatenate([losses, firsts[firsts <= min(comparison.ceiling, _FIRST * highest)]])


def _draw(axes: Axes, summary: Summary, look: dict[str, Any], strength: float) -> bool:
    """Draw band, runs and, on top, the mean; returns whether the mean exceeds the axis.

    ``strength``: opacity of band and runs, lower for many groups.
    """
    colour = look["color"]
    axes.fill_between(
        summary.steps,
        summary.low,
        summary.high,
        color=colour,
        alpha=0.18 * strength,
        linewidth=0,
        zorder=1.5,
    )
    if len(summary.runs) > 1:
        lines = [np.column_stack(run) for run in summary.runs]
        thin = {"alpha": 0.45 * strength, "linewidths": 0.5, "zorder": 1.8}
        axes.add_collection(LineCollection(lines, colors=[colour], **thin), autolim=False)
    every = evenly(range(len(summary.steps)), _MARKERS)
    curve(
        axes,
        summary.steps,
        summary.mean,
        markevery=every,
        markersize=2.6,
        linewidth=0.7 + 0.6 * strength,
        zorder=2.5,
        **look,
    )
    mark_zero(axes, summary.steps, summary.mean, colour)
    return mark_beyond(axes, summary.steps[every], summary.mean[every], colour)


def _draw_lost(axes: Axes, group: Group, name: str, colour: ColorType, strength: float) -> None:
    """Draw the lost runs, each to a cross."""
    lost = [_until_lost(axes, case, name) for case in group.measured if case.lost]
    if not lost:
        return
    thin = {"alpha": max(0.8 * strength, 0.4), "linewidths": 0.8, "clip_on": False}
    lines = [np.column_stack(points) for points in lost]
    axes.add_collection(LineCollection(lines, colors=[colour], **thin), autolim=False)
    ends = np.array([(steps[-1], losses[-1]) for steps, losses in lost])
    mark_lost(axes, ends[:, 0], ends[:, 1], colour)


def _curve(case: Case, name: str) -> Curve:
    assert case.traces is not None
    return case.traces.curves[name]


def _until_lost(axes: Axes, case: Case, name: str) -> Curve:
    """The curve of a lost run to its last step, clipped to the axis.

    A last loss that is unknown or not a number is drawn at the top.
    """
    steps, losses = _curve(case, name)
    assert case.traces is not None
    last = case.traces.last
    if last is not None and (not len(steps) or steps[-1] < last):
        steps, losses = np.append(steps, last), np.append(losses, np.inf)
    low, top = axes.get_ylim()
    return steps, np.where(losses <= top, np.maximum(losses, low), top)
