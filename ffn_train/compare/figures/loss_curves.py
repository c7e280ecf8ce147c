"""Loss over steps: the mean of each group, its spread over seeds, and each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.case import Case, Curve
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.groups import Group
from ffn_train.compare.lost import cross, mark_lost, note_lost
from ffn_train.compare.panels import spread
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import curve
from ffn_train.plots.loss import smoothed
from ffn_train.plots.scales import log_axis, step_axis

NAME = "loss_curves"

_BEYOND = 1e3  # times the losses of the other runs


def draw(comparison: Comparison) -> Figure | None:
    """The validation loss (for ``--metric train_loss`` the training loss), y logarithmic.

    A run that diverges leaves the mean of its group alone and is drawn to a cross at its last step,
    along the top edge where its loss is beyond it.
    """
    name = "train_loss" if "train" in comparison.metric.name else "validation_loss"
    roles = comparison.layout.curves
    colour = Colours(comparison.layout, roles.color)
    diverged = any(case.lost for case in comparison.cases)
    shown = spread(comparison, "thin") + "; along the top edge: beyond the axis" * diverged
    measured = [case.traces.curves[name] for case in comparison.cases if case.traces]
    if name == "train_loss" and any(smoothed(*points)[1] is not points[1] for points in measured):
        shown += "; points: means over a fiftieth of the steps"
    title = "Validation loss" if name == "validation_loss" else "Training loss"
    page, cells = sheet(comparison, roles, title, shown, heights=[1.6])
    limits = _limits(comparison, name)
    for cell, (axes,) in zip(cells, page.panels, strict=True):
        log_axis(axes, limits)
        step_axis(axes, _steps(cell.groups))
        strength = min(1.0, 12 / len(cell.groups))
        for group in cell.groups:
            _group(axes, group, name, colour.of(group), strength)
        note_lost(axes, cell.groups)
    page.share("loss $L$", xlabel="step")
    colour.explain(page.upper_right, ("", [cross()] if diverged else []))
    return page.figure


def _steps(groups: Sequence[Group]) -> Floats:
    """Zero and the last step of each run; of one that diverged the last of those it was to make."""
    cases = [case for group in groups for case in group.measured]
    lasts = [case.traces.curves["train_loss"][0][-1] for case in cases if case.traces]
    planned = [case.settings.get("trainer.steps") for case in cases if case.lost]
    return np.array([0.0, *sorted([*lasts, *(float(n) for n in planned if isinstance(n, int))])])


def _limits(comparison: Comparison, name: str) -> Floats:
    """The losses that the axis must hold: of the runs that did not diverge, if there are any.

    Of the others the first loss, unless it is so large that the rest would be flat beside it.
    """
    cases = [case for case in comparison.cases if case.traces]
    sound = [case for case in cases if not case.lost] or cases
    losses = np.concatenate([_curve(case, name)[1] for case in sound])
    first = np.array([v for case in cases if case.lost for v in _curve(case, name)[1][:1]])
    most = _BEYOND * np.max(losses, where=np.isfinite(losses), initial=0)
    return np.concatenate([losses, first[first <= most]])


def _group(axes: Axes, group: Group, name: str, colour: ColorType, strength: float) -> None:
    """``strength``: of what stands beside the mean; many groups would hide each other."""
    sound = [_curve(case, name) for case in group.sound]
    lost = [_until_lost(axes, case, name) for case in group.measured if case.lost]
    beside = [(sound if len(sound) > 1 else [], {"alpha": 0.45 * strength, "linewidths": 0.5})]
    beside += [(lost, {"alpha": max(0.8 * strength, 0.4), "linewidths": 0.8, "clip_on": False})]
    for curves, look in beside:
        lines = LineCollection([np.column_stack(c) for c in curves], colors=[colour], **look)
        axes.add_collection(lines, autolim=False)
    if lost:
        ends = np.array([(steps[-1], losses[-1]) for steps, losses in lost])
        mark_lost(axes, ends[:, 0], ends[:, 1], colour)
    if sound:
        steps, mean, std = mean_curve(sound)
        width = 0.6 + 0.6 * strength
        curve(axes, steps, mean, color=colour, markersize=2.0, linewidth=width)
        if len(sound) > 1:
            band = (mean - std, mean + std)  # what lies below zero is beyond a log axis
            axes.fill_between(steps, *band, color=colour, alpha=0.18 * strength, linewidth=0)


def _curve(case: Case, name: str) -> Curve:
    assert case.traces is not None
    steps, values = case.traces.curves[name]
    return smoothed(steps, values) if name == "train_loss" else (steps, values)


def mean_curve(curves: list[Curve]) -> tuple[Floats, Floats, Floats]:
    """Mean and standard deviation at the steps that all of the curves have."""
    common = curves[0][0]
    for steps, _ in curves[1:]:
        common = np.intersect1d(common, steps)
    table = np.array([values[np.isin(steps, common)] for steps, values in curves])
    std = table.std(axis=0, ddof=1) if len(curves) > 1 else np.full(len(common), np.nan)
    return common, table.mean(axis=0), std


def _until_lost(axes: Axes, case: Case, name: str) -> Curve:
    """The curve of a run that diverged, to its last step, within the axis.

    At that step the loss may not be known, or not be a number: it is beyond every other.
    """
    assert case.traces is not None
    steps, losses = _curve(case, name)
    last = case.traces.curves["train_loss"][0][-1]
    if not len(steps) or steps[-1] < last:
        steps, losses = np.append(steps, last), np.append(losses, np.inf)
    low, top = axes.get_ylim()
    return steps, np.where(losses <= top, np.maximum(losses, low), top)
