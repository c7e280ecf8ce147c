"""Predictions without a run, one or several, as curves over depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ffn_train.nn.core import Floats
from ffn_train.plots.curves import curve, marks, zero
from ffn_train.plots.points import Point, looks
from ffn_train.plots.scales import depth_axis, exponent_axis
from ffn_train.plots.sheet import ROW, page, right_legends, sample
from ffn_train.plots.sheet import note as third_line
from ffn_train.plots.style import DOUBLE, INK, look
from ffn_train.runs.theory import log_band
from ffn_train.theory import Prediction


def figure(title: str, note: str, more: str, points: Sequence[tuple[Point, Prediction]]) -> Figure:
    """(a) the RMS of x_l and (b) of dLoss/dx_l, each with the band of one seed.

    ``points``: the settings that vary, and the prediction. y counts in powers of ten, so that a
    stack beyond the range of float64 is drawn like any other. ``more``: a third line of the header.
    """
    with look():
        drawn, groups = looks([point for point, _ in points])
        band = Patch(label="one seed, ±1 sd", color="#d9d9d9")
        alone = [sample("all seeds (RMS)", color=INK)] * (len(points) == 1)
        groups.append(("", [*alone, band]))
        rows = sum(len(handles) + bool(name) + 0.6 for name, handles in groups)
        sheet, axes = page(
            title,
            note,
            width=DOUBLE,
            height=max(2.55, 0.95 + ROW * rows),
            panels=2,
            gaps=(0.66,),
        )
        signals = [(each.log_signal_rms, each.signal_sd) for _, each in points]
        gradients = [(each.log_signal_gradient_rms, each.signal_gradient_sd) for _, each in points]
        _panel(axes[0], signals, drawn, "(a)  signal", "RMS $x_l$")
        _panel(axes[1], gradients, drawn, "(b)  signal gradients", r"RMS $\partial L/\partial x_l$")
        if more:
            third_line(sheet, more)
        right_legends(sheet, axes[1], *groups, ("", marks(*axes)))
    return sheet


def _panel(
    axes: Axes,
    curves: Sequence[tuple[Floats, Floats]],
    drawn: Sequence[dict[str, Any]],
    title: str,
    label: str,
) -> None:
    """Lines and bands. The axis holds the bands too, up to three times its length without them."""
    exponent_axis(axes, *(_power(log) for log, _ in curves))
    bands = np.concatenate([_power(each) for log, sd in curves for each in log_band(log, sd)])
    ends = np.array(axes.get_ylim())
    bands = np.clip(bands[np.isfinite(bands)], *(2 * ends - ends[::-1]))
    if len(bands) and (bands.min() < ends[0] or bands.max() > ends[1]):
        exponent_axis(axes, ends, bands)
    deepest = max(len(log) for log, _ in curves) - 1
    shade = min(0.15, 1.6 / len(curves))  # many bands one above the other stay transparent
    several = any(len(log) - 1 != deepest for log, _ in curves)
    for (log, sd), style in zip(curves, drawn, strict=True):
        places = np.linspace(0, 1 if several else deepest, len(log))
        low, high = map(_power, log_band(log, sd))
        axes.fill_between(places, low, high, color=style["color"], alpha=shade, linewidth=0)
        curve(axes, places, _power(log), **style)
        zero(axes, places, log == -np.inf)
    if several:
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_xlabel("relative depth $l/L$")
    else:
        depth_axis(axes, deepest, deepest, "block boundary $l$")
    axes.set_title(title)
    axes.set_ylabel(label)


def _power(log: Floats) -> Floats:
    """log10 of what is given by its natural logarithm; NaN, which is not drawn, for zero."""
    return np.where(np.isfinite(log), log / np.log(10), np.nan)
