"""The signal gradient over relative depth, at the start and at the end: a line per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.case import Case, Traces
from ffn_train.compare.colours import Colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import sheet
from ffn_train.compare.header import spread
from ffn_train.compare.lost import mark_zero, note_lost, zero
from ffn_train.compare.panels import uncrowded
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import curve
from ffn_train.plots.expected import ratio_axis
from ffn_train.plots.scales import limit, log_axis
from ffn_train.plots.selection import evenly
from ffn_train.plots.style import INK, MUTED
from ffn_train.runs.theory import band, log_band

NAME = "gradient_flow"

_HEIGHT, _STRIP = 1.4, 0.5  # inches
_MARKERS = 9  # of a curve
_DASHED: Any = {"color": INK, "linewidth": 0.8, "dashes": (4, 2), "zorder": 4}
_ONE_SEED: Any = {"color": "#9a9a9a", "alpha": 0.28, "linewidth": 0, "zorder": 1}


def draw(comparison: Comparison) -> Figure | None:
    """RMS dL/dx_l relative to l = L against l/L, above at the start and below at the end;
    None if no run has measured it.

    All runs count at the start; at the end, those whose final metrics count. A prediction is drawn
    with the start, and a strip of measured/predicted below it.
    """
    if not any(case.traces and case.traces.flow.size for case in comparison.cases):
        return None
    comparison, words = uncrowded(comparison)
    roles = comparison.layout.curves
    # only theory is dashed
    colours = Colours(
        comparison.layout, roles.color, markers=comparison.options.markers, dashed=False
    )
    theory = any(expected(group.measured) for group in comparison.measured)
    page, cells = sheet(
        comparison,
        roles,
        r"Gradient flow: $|\partial L/\partial x_l|$ relative to that at $l=L$",
        [
            spread(comparison, geometric=True),
            "dashed: theory, RMS over seeds; grey: two seeds in three" * theory,
            comparison.theory,
            words,
        ],
        heights=[_HEIGHT, *[_STRIP] * theory, _HEIGHT],
    )
    flows: list[Floats] = [np.zeros(1)]
    ratios: list[Floats] = []
    for cell, (start, *strips, end) in zip(cells, page.panels, strict=True):
        for axes in (start, *strips, end):
            axes.axhline(1, color=MUTED, linewidth=0.6)
            axes.set_xlim(-0.03, 1.03)
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            axes.set_yscale("log")
        for group in cell.groups:
            look, prediction = colours.look(group), expected(group.measured)
            first = relative_flow(group.measured, 0)
            last = relative_flow(group.ended, -1)
            flows += [*_draw_flow(start, first, look), *_draw_flow(end, last, look)]
            if prediction is not None:
                flows += log_band(*prediction)
                ratios += _draw_theory(start, strips[0], first, prediction, look)
        note_lost(end, cell.groups)
    norms = [np.exp(logs) for logs in flows]
    for start, *strips, end in page.panels:
        log_axis(start, *norms)
        log_axis(end, *norms)
        limit(start, comparison.options)
        limit(end, comparison.options)
        for strip in strips:
            ratio_axis(strip, *ratios)
    page.share(
        "at the start", *["meas./pred."] * theory, "at the end", xlabel="relative depth $l/L$"
    )
    vanished = any(np.isneginf(logs).any() for logs in flows)
    colours.explain(page.upper_right, ("", [zero()] * vanished))
    return page.figure


def relative_flow(cases: Sequence[Case], row: int) -> Floats:
    """log RMS dL/dx_l relative to l = L: (runs, places), at the first measured step or the last."""
    flows = [traces.flow[row] for traces in _with_flow(cases, row)]
    return _stacked([np.log(flow / flow[-1]) for flow in flows])


def expected(cases: Sequence[Case]) -> tuple[Floats, Floats] | None:
    """Theory's log RMS of dL/dx_l relative to l = L and its sd of one seed, (places,) each.

    The mean over the runs whose flow is drawn at the start, each predicted from its own batch; None
    unless each of them has a prediction.
    """
    predictions = [traces.expected for traces in _with_flow(cases, 0)]
    known = [prediction for prediction in predictions if prediction is not None]
    if not known or len(known) < len(predictions):
        return None
    log, sd = (_stacked(rows).mean(axis=0) for rows in zip(*known, strict=True))
    return log, sd


def _with_flow(cases: Sequence[Case], row: int) -> list[Traces]:
    """The traces of the runs whose flow was measured and is above 0 at l = L."""
    traces = [case.traces for case in cases if case.traces is not None]
    return [each for each in traces if len(each.flow) and each.flow[row, -1] > 0]


def _stacked(rows: Sequence[Floats]) -> Floats:
    """Rows from l/L = 0 to 1 as (rows, places), interpolated at the places of the longest."""
    places = np.linspace(0, 1, max(map(len, rows), default=0))
    table = [
        row if len(row) == len(places) else np.interp(places, np.linspace(0, 1, len(row)), row)
        for row in rows
    ]
    return np.array(table).reshape(len(rows), len(places))


def _draw_flow(axes: Axes, logs: Floats, look: dict[str, Any]) -> Sequence[Floats]:
    """Draw the curve of a group's runs and the band around it; returns their logarithms."""
    if not len(logs):
        return []
    places, mean = np.linspace(0, 1, logs.shape[1]), logs.mean(axis=0)
    every = evenly(range(len(places)), _MARKERS)
    curve(axes, places, np.exp(mean), markevery=every, markersize=2.6, **look)
    mark_zero(axes, places[every], np.exp(mean)[every], look["color"])
    if len(logs) == 1:
        return [mean]
    std = logs.std(axis=0, ddof=1)
    low, high = mean - std, mean + std
    axes.fill_between(places, *np.exp([low, high]), color=look["color"], alpha=0.2, linewidth=0)
    return [mean, low, high]


def _draw_theory(
    panel: Axes, strip: Axes, logs: Floats, prediction: tuple[Floats, Floats], look: dict[str, Any]
) -> Sequence[Floats]:
    """Draw theory's curve and band of a group, and measured over predicted, which is returned."""
    log, sd = prediction
    places = np.linspace(0, 1, len(log))
    panel.fill_between(places, *band(log, sd), **_ONE_SEED)
    panel.plot(places, np.exp(log), **_DASHED)
    ratio, limits = np.exp(logs.mean(axis=0) - log), band(np.zeros_like(sd), sd)
    strip.fill_between(places, *limits, **_ONE_SEED)
    every = evenly(range(len(ratio)), _MARKERS)
    curve(strip, places, ratio, markevery=every, **look)
    mark_zero(strip, places[every], ratio[every], look["color"])
    return [ratio, *limits]
