"""Coordinate check: the size of the signal against width, in the first measured steps.

Horizontal lines mean that networks of all widths start to learn at the same rate (Yang et al. 2021,
Tensor Programs V, appendix D.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.case import FIRST
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import chosen, grid
from ffn_train.compare.groups import Group
from ffn_train.compare.header import notes, spread
from ffn_train.compare.metrics import statistics
from ffn_train.compare.panels import folded
from ffn_train.compare.values import named
from ffn_train.nn.core import Floats
from ffn_train.plots.scales import limit, log_axis
from ffn_train.plots.selection import evenly
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import layer_colour

NAME = "coordinate_check"
WIDTH = "model.width"

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the depth, at which the signal is shown
_LABELS = ("0", "$L$/4", "$L$/2", "3$L$/4", "$L$")
_MARKERS = ("o", "s", "D", "v", "P")
_MOST_ROWS = 6


def draw(comparison: Comparison) -> Figure | None:
    """A row of panels for each combination of the other settings, a panel for each early step."""
    layout = comparison.layout
    if len(layout.levels.get(WIDTH, ())) < 2:
        return None
    steps = _common_steps(comparison.measured)
    rows = folded(comparison, [key for key in layout.keys if key != WIDTH])
    rows = [row for row in rows if len({group.point.get(WIDTH) for group in row.groups}) > 1]
    if not rows or not steps:
        return None
    phrases = [spread(comparison, geometric=True), "a good scaling gives horizontal lines"]
    if len(rows) > _MOST_ROWS:
        phrases.append(f"{_MOST_ROWS} of {len(rows)} settings")
        rows = evenly(rows, _MOST_ROWS)
    cells = [
        (f"{row.title}: " * (bool(row.title) and step == steps[0]) + f"step {step:g}", row, step)
        for row in rows
        for step in steps
    ]
    cells = list(chosen(comparison, cells))
    page = grid(
        comparison,
        f"Coordinate check: the signal against {named(WIDTH)}",
        notes(comparison, phrases),
        [title for title, _, _ in cells],
        heights=[1.25],
        columns=len(steps),
    )
    signals: list[Floats] = []
    for (axes,), (_, row, step) in zip(page.panels, cells, strict=True):
        signals += _draw(axes, ValueAxis(layout, WIDTH), row.groups, step)
    for (axes,) in page.panels:
        log_axis(axes, *signals)
        limit(axes, comparison.options)
    page.share("RMS $x_l$", xlabel=named(WIDTH))
    lines = [sample(name, **_look(index)) for index, name in enumerate(_LABELS)]
    right_legends(page.figure, page.upper_right, ("block $l$", lines[::-1]))
    return page.figure


def _common_steps(groups: Sequence[Group]) -> list[float]:
    """The first measured steps that some run of every group has."""
    steps = [
        {float(step) for case in group.measured if case.traces for step in case.traces.early_steps}
        for group in groups
    ]
    return sorted(set.intersection(*steps))[:FIRST]


def _signal(group: Group, step: float) -> Floats:
    """RMS of x_l at the shares of the depth, (runs, shares), of the runs that are finite there.

    Runs that are lost later count only before the first update.
    """
    rows = []
    for case in group.measured if step == 0 else group.sound:
        assert case.traces is not None
        for signal in case.traces.early_signal[case.traces.early_steps == step]:
            row = signal[[round(share * (len(signal) - 1)) for share in _SHARES]]
            if np.isfinite(row).all():
                rows.append(row)
    return np.array(rows).reshape(-1, len(_SHARES))


def _draw(axes: Axes, axis: ValueAxis, groups: Sequence[Group], step: float) -> list[Floats]:
    """Draw mean and spread at each share of the depth against the width; returns all values."""
    axis.apply(axes)
    axes.set_yscale("log")
    signals = [_signal(group, step) for group in groups]
    places = [axis.place(g.point[WIDTH]) for g, s in zip(groups, signals, strict=True) if len(s)]
    ends = []
    for index in range(len(_SHARES)):
        means = [statistics(list(s[:, index]), geometric=True) for s in signals if len(s)]
        ends += [end for mean in means for end in (mean.low, mean.high)]
        bars = np.reshape([mean.bars or (0, 0) for mean in means], (-1, 2)).T
        look: Any = {**_look(index), "elinewidth": 0.7, "capsize": 1.2}
        axes.errorbar(places, [mean.mean for mean in means], bars, **look)
    return [*signals, np.array(ends)]


def _look(index: int) -> dict[str, Any]:
    return {"color": layer_colour(index, len(_SHARES) - 1), "marker": _MARKERS[index]}
