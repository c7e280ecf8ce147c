"""Coordinate check: the size of the signal against width, in the first measured steps.

Where it is flat, a network of any width starts to learn at the same pace (Yang et al. 2021, Tensor
Programs V, appendix D.1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.case import EARLY
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group
from ffn_train.compare.layout import panel_title
from ffn_train.compare.metrics import statistics
from ffn_train.compare.panels import Panel, notes, panels, spread
from ffn_train.compare.values import brief, short
from ffn_train.plots.scales import log_axis
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import layer_colour
from ffn_train.runs.measures import Floats

NAME = "coordinate_check"
WIDTH = "model.width"

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the depth: where the signal is looked at
_LABELS = ("0", "$L$/4", "$L$/2", "3$L$/4", "$L$")
_MOST_ROWS = 6
_TITLE = 18  # letters that a row's title has room for, beside its step


def draw(comparison: Comparison) -> Figure | None:
    """A row of panels for each place among the other settings, a panel for each early step."""
    layout = comparison.layout
    if WIDTH not in layout.levels or len(layout.levels[WIDTH]) < 2:
        return None
    others = [key for key in comparison.keys if key != WIDTH and len(layout.levels[key]) > 1]
    rows = [row for row in panels(comparison, others) if len(row.groups) > 1]
    steps = _common_steps(comparison.measured)
    if not rows or not len(steps):
        return None
    shown = f"{spread(comparison, geometric=True)}; flat is right"
    if len(rows) > _MOST_ROWS:
        shown += f"; {_MOST_ROWS} of {len(rows)} settings"
        picked = np.linspace(0, len(rows) - 1, _MOST_ROWS).round().astype(int)
        rows = [rows[index] for index in picked]
    rows = _named(rows)
    titles = [
        f"{row.title}: step {step:g}" if row.title and not place else f"step {step:g}"
        for row in rows
        for place, step in enumerate(steps)
    ]
    sheet = grid(
        f"Coordinate check: the signal against {short(WIDTH)}",
        notes(comparison, shown),
        titles,
        heights=(1.25,),
        right=0.8,
        columns=len(steps),
    )
    axis = ValueAxis(layout, WIDTH)
    sizes = {
        (index, step): [_signal(group, step) for group in row.groups]
        for index, row in enumerate(rows)
        for step in steps
    }
    known = [np.ravel(one) for found in sizes.values() for one in found]
    for (axes,), (place, found) in zip(sheet.panels, sizes.items(), strict=True):
        log_axis(axes, *known)
        axis.apply(axes)
        _panel(axes, axis, rows[place[0]].groups, found)
    sheet.share(ylabels=["RMS $x_l$"], xlabel=short(WIDTH))
    lines = [sample(name, color=_colour(place), marker="o") for place, name in enumerate(_LABELS)]
    right_legends(sheet.figure, sheet.upper_right, ("block $l$", lines[::-1]))
    return sheet.figure


def _named(rows: Sequence[Panel]) -> list[Panel]:
    """The rows under titles of no more than what differs between them, as words or as values."""
    points = [row.groups[0].point for row in rows]
    keys = [k for k in points[0] if k != WIDTH and len({point[k] for point in points}) > 1]
    titles = [panel_title({key: point[key] for key in keys}) for point in points]
    if max(map(len, titles)) > _TITLE:
        titles = [", ".join(brief(point[key]) for key in keys) for point in points]
    return [Panel(title, row.groups) for title, row in zip(titles, rows, strict=True)]


def _common_steps(groups: Sequence[Group]) -> list[float]:
    """The first measured steps that some run of every group has."""
    found: set[float] | None = None
    for group in groups:
        here = {float(s) for case in group.measured if case.traces for s in case.traces.early_steps}
        found = here if found is None else found & here
    return sorted(found or ())[:EARLY]


def _signal(group: Group, step: float) -> Floats:
    """RMS of x_l at the shares of the depth: (runs, shares), of the runs that are finite there."""
    rows = []
    for case in group.measured:
        assert case.traces is not None
        here = np.flatnonzero(case.traces.early_steps == step)
        if len(here):
            signal = case.traces.early_signal[here[0]]
            row = signal[[round(share * (len(signal) - 1)) for share in _SHARES]]
            if np.isfinite(row).all():
                rows.append(row)
    return np.array(rows).reshape(-1, len(_SHARES))


def _panel(axes: Axes, axis: ValueAxis, groups: Sequence[Group], sizes: Sequence[Floats]) -> None:
    known = [(g, size) for g, size in zip(groups, sizes, strict=True) if len(size)]
    places = [axis.place(group.point[axis.key]) for group, _ in known]
    for share in range(len(_SHARES)):
        found = [statistics(list(size[:, share]), geometric=True) for _, size in known]
        mean = [one.mean for one in found]
        bars = [
            [0.0 if np.isnan(one.std) else one.mean - one.low for one in found],
            [0.0 if np.isnan(one.std) else one.high - one.mean for one in found],
        ]
        axes.errorbar(
            places, mean, bars, color=_colour(share), marker="o", elinewidth=0.7, capsize=1.2
        )


def _colour(share: int) -> ColorType:
    return layer_colour(share, len(_SHARES) - 1)
