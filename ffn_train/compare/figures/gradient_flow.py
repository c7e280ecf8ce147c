"""The signal gradient over relative depth, at the start and at the end: a line per group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.case import Case
from ffn_train.compare.colours import colours
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group
from ffn_train.compare.lost import tell_diverged
from ffn_train.compare.panels import notes, panels, spread, together
from ffn_train.plots.curves import curve
from ffn_train.plots.expected import ratio_axis
from ffn_train.plots.scales import log_axis
from ffn_train.plots.style import INK, MUTED
from ffn_train.runs.measures import Floats
from ffn_train.runs.predictions import band

NAME = "gradient_flow"

START, END = "start", "end"
_HEIGHT, _STRIP = 1.4, 0.5  # inches
_DASHED: Any = {"color": INK, "linewidth": 0.8, "dashes": (4, 2), "zorder": 4}
_ONE_SEED: Any = {"color": "#9a9a9a", "alpha": 0.28, "linewidth": 0, "zorder": 1}


def draw(comparison: Comparison) -> Figure | None:
    """RMS dL/dx_l relative to l = L against l/L, above at the start and below at the end.

    At the start all runs count; at the end those that did not diverge. Where theory predicts the
    start it is drawn with it, and between the two stands a strip of measured/predicted.
    """
    roles = comparison.layout.curves
    cells = panels(comparison, roles.panels)
    colour = colours(comparison.layout, roles.color)
    theory = any(expected(group.measured) for group in comparison.measured)
    shown = spread(comparison, geometric=True)
    sheet = grid(
        r"Gradient flow: $|\partial L/\partial x_l|$ relative to that at $l=L$",
        notes(
            comparison, shown + ("; dashed and grey: theory, ± 1 sd of one seed" * theory), roles
        ),
        [cell.title for cell in cells],
        heights=(_HEIGHT, *([_STRIP] * theory), _HEIGHT),
        together=together(comparison, roles.panels),
        right=colour.margin(),
    )
    flows = [
        flow(group_cases(group, moment), moment)
        for group in comparison.measured
        for moment in (START, END)
    ]
    known = np.concatenate([np.ravel(one) for one in flows if one is not None] or [np.ones(1)])
    strips: list[Floats] = []
    for cell, stack in zip(cells, sheet.panels, strict=True):
        for axes in stack:
            axes.axhline(1, color=MUTED, linewidth=0.6)
            axes.set_xlim(-0.03, 1.03)
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
        for axes, moment in ((stack[0], START), (stack[-1], END)):
            log_axis(axes, known)
            for group in cell.groups:
                shade = colour(group.point[roles.color]) if roles.color else colour(None)
                draw_group(axes, group_cases(group, moment), moment, shade)
        if theory:
            for group in cell.groups:
                shade = colour(group.point[roles.color]) if roles.color else colour(None)
                strips += draw_theory(stack[0], stack[1], group.measured, shade)
        tell_diverged(stack[-1], cell.groups)
    for stack in sheet.panels if theory else ():
        ratio_axis(stack[1], *strips)
    labels = ["at the start", *(["meas./pred."] * theory), "at the end"]
    sheet.share(ylabels=labels, xlabel="relative depth $l/L$")
    colour.explain(sheet.figure, sheet.upper_right)
    return sheet.figure


def group_cases(group: Group, moment: str) -> list[Case]:
    """The runs of a group whose flow is shown."""
    return group.measured if moment == START else group.sound


def draw_group(axes: Axes, cases: Sequence[Case], moment: str, colour: ColorType) -> None:
    """The curve of one group's runs and the band around it."""
    flows = flow(cases, moment)
    if flows is None:
        return
    place = np.linspace(0, 1, flows.shape[1])
    logs = np.log(np.where(flows > 0, flows, np.nan))
    mean = logs.mean(axis=0)
    curve(axes, place, np.exp(mean), color=colour, markersize=1.8)
    if len(logs) > 1:
        std = logs.std(axis=0, ddof=1)
        axes.fill_between(
            place, np.exp(mean - std), np.exp(mean + std), color=colour, alpha=0.2, linewidth=0
        )


def draw_theory(
    panel: Axes, strip: Axes, cases: Sequence[Case], colour: ColorType
) -> Sequence[Floats]:
    """Theory's curve and band of one group, and measured over predicted below; what is drawn there.

    The prediction is the mean over the group's runs, each from its own batch.
    """
    found, flows = expected(cases), flow(cases, START)
    if found is None or flows is None:
        return []
    log, sd = found
    place = np.linspace(0, 1, len(log))
    panel.fill_between(place, *band(log, sd), **_ONE_SEED)
    panel.plot(place, np.exp(log), **_DASHED)
    ratio = np.exp(np.log(np.where(flows > 0, flows, np.nan)).mean(axis=0) - log)
    limits = band(np.zeros_like(sd), sd)
    strip.fill_between(place, *limits, **_ONE_SEED)
    curve(strip, place, ratio, color=colour, markersize=1.2)
    return [ratio, *limits]


def expected(cases: Sequence[Case]) -> tuple[Floats, Floats] | None:
    """Theory's log RMS of dL/dx_l relative to l = L and the sd of one seed's, (places,) each.

    None unless every run of the group has a prediction.
    """
    found = [case.traces.expected for case in cases if case.traces is not None]
    if not found or any(one is None for one in found):
        return None
    places = np.linspace(0, 1, max(len(one[0]) for one in found if one is not None))
    logs, deviations = (
        np.array(
            [np.interp(places, np.linspace(0, 1, len(one[k])), one[k]) for one in found if one]
        )
        for k in (0, 1)
    )
    return logs.mean(axis=0), deviations.mean(axis=0)


def flow(cases: Sequence[Case], moment: str) -> Floats | None:
    """RMS dL/dx_l over that at l = L: (runs, places from l/L = 0 to 1); None without runs.

    Runs of several depths are taken between their blocks, at the places of the deepest.
    """
    rows = []
    for case in cases:
        assert case.traces is not None
        row = case.traces.flow_start if moment == START else case.traces.flow_end
        if row[-1] > 0:
            rows.append(row / row[-1])
    if not rows:
        return None
    places = np.linspace(0, 1, max(map(len, rows)))
    return np.array([_between(row, places) for row in rows])


def _between(row: Floats, places: Floats) -> Floats:
    if len(row) == len(places):
        return row
    logs = np.log(np.where(row > 0, row, np.nan))
    return np.exp(np.interp(places, np.linspace(0, 1, len(row)), logs))
