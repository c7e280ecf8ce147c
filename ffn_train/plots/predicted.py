"""Predictions alone, one or several, as curves over depth: nothing was run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.plots.curves import curve, mark, marks
from ffn_train.plots.scales import depth_axis, log_axis
from ffn_train.plots.sheet import page, right_legends, sample
from ffn_train.plots.style import DOUBLE, layer_colour, look
from ffn_train.runs.measures import Floats
from ffn_train.runs.theory import band
from ffn_train.theory import Prediction

_LABEL = 0.068  # inches that a letter of a legend takes


def figure(title: str, note: str, found: Sequence[tuple[str, Prediction]]) -> Figure:
    """(a) the RMS of x_l and (b) of dLoss/dx_l, each with the band of one seed."""
    longest = max(len(label) for label, _ in found)
    with look(), np.errstate(all="ignore"):
        right = max(0.3, 0.5 + _LABEL * longest) if len(found) > 1 else 0.3
        height = max(2.55, 0.95 + 0.152 * len(found))  # for the legend's rows
        sheet, axes = page(
            title, note, width=DOUBLE, height=height, panels=2, gaps=(0.66,), right=right
        )
        colours = [layer_colour(place, len(found)) for place in range(len(found))]
        signals = [(one.log_signal_rms, one.signal_sd) for _, one in found]
        gradients = [(one.log_signal_gradient_rms, one.signal_gradient_sd) for _, one in found]
        _panel(axes[0], signals, colours, "(a)  signal", "RMS $x_l$")
        _panel(
            axes[1], gradients, colours, "(b)  signal gradients", r"RMS $\partial L/\partial x_l$"
        )
        handles = [
            sample(label, color=colour)
            for (label, _), colour in zip(found, colours, strict=True)
            if len(found) > 1
        ]
        right_legends(sheet, axes[1], ("", handles), ("", marks(*axes)))
    return sheet


def _panel(
    axes: Axes,
    curves: Sequence[tuple[Floats, Floats]],
    colours: Sequence[object],
    title: str,
    label: str,
) -> None:
    log_axis(axes, *(np.exp(log) for log, _ in curves))
    deepest = max(len(log) for log, _ in curves) - 1
    several = any(len(log) - 1 != deepest for log, _ in curves)
    for (log, sd), colour in zip(curves, colours, strict=True):
        places = np.linspace(0, 1 if several else deepest, len(log))
        low, high = band(log, sd)
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        curve(axes, places, np.exp(log), color=colour)
        mark(axes, places, np.exp(log))
    if several:
        axes.set_xlim(-0.03, 1.03)
        axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        axes.set_xlabel("relative depth $l/L$")
    else:
        depth_axis(axes, deepest, deepest, "block boundary $l$")
    axes.set_title(title)
    axes.set_ylabel(label)
