"""The signal gradient over relative depth, at the start and at the end: a line per group."""

from __future__ import annotations

from collections.abc import Sequence

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
from ffn_train.compare.panels import notes, panels, together
from ffn_train.plots.curves import curve
from ffn_train.plots.scales import log_axis
from ffn_train.plots.style import MUTED
from ffn_train.runs.reader import Floats

NAME = "gradient_flow"

START, END = "start", "end"
_SPREAD = "geometric mean ×/÷ its standard deviation over"


def draw(comparison: Comparison) -> Figure | None:
    """RMS dL/dx_l relative to l = L against l/L, above at the start and below at the end.

    At the start all runs count; at the end those that did not diverge.
    """
    roles = comparison.layout.curves
    cells = panels(comparison.measured, roles.panels)
    colour = colours(comparison.layout, roles.color)
    several = any(len(group.measured) > 1 for group in comparison.measured)
    sheet = grid(
        r"Gradient flow: $|\partial L/\partial x_l|$ relative to that at $l=L$",
        notes(comparison, f"{_SPREAD} {comparison.over}" if several else "one run each", roles),
        [cell.title for cell in cells],
        height=1.4,
        each=2,
        together=together(comparison, roles.panels),
        right=colour.margin(),
    )
    flows = [
        flow(group_cases(group, moment), moment)
        for group in comparison.measured
        for moment in (START, END)
    ]
    known = np.concatenate([np.ravel(one) for one in flows if one is not None] or [np.ones(1)])
    for cell, stack in zip(cells, sheet.panels, strict=True):
        for axes, moment in zip(stack, (START, END), strict=True):
            log_axis(axes, known)
            axes.axhline(1, color=MUTED, linewidth=0.7, dashes=(4, 2))
            axes.set_xlim(-0.03, 1.03)
            axes.set_xticks([0, 0.5, 1], ["0", "½", "1"])
            for group in cell.groups:
                shade = colour(group.point[roles.color]) if roles.color else colour(None)
                draw_group(axes, group_cases(group, moment), moment, shade)
        tell_diverged(stack[1], cell.groups)
    sheet.share(ylabels=["at the start", "at the end"], xlabel="relative depth $l/L$")
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
