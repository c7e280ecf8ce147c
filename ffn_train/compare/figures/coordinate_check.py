"""Coordinate check: the size of the signal against width, in the first measured steps.

Where it is flat, a network of any width starts to learn at the same pace (Yang et al. 2021, Tensor
Programs V, appendix D.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.axis import ValueAxis
from ffn_train.compare.case import EARLY
from ffn_train.compare.comparison import Comparison
from ffn_train.compare.grid import grid
from ffn_train.compare.groups import Group
from ffn_train.compare.metrics import statistics
from ffn_train.compare.panels import notes, panels, spread
from ffn_train.compare.values import short
from ffn_train.nn.core import Floats
from ffn_train.plots.scales import log_axis
from ffn_train.plots.selection import evenly
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import layer_colour

NAME = "coordinate_check"
WIDTH = "model.width"

_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the depth: where the signal is looked at
_LABELS = ("0", "$L$/4", "$L$/2", "3$L$/4", "$L$")
_MOST_ROWS = 6


def draw(comparison: Comparison) -> Figure | None:
    """A row of panels for each place among the other settings, a panel for each early step."""
    layout = comparison.layout
    steps = _common_steps(comparison.measured)
    rows = panels(comparison, [key for key in layout.keys if key != WIDTH])
    rows = [row for row in rows if len({group.point.get(WIDTH) for group in row.groups}) > 1]
    if not rows or not steps:
        return None
    shown = f"{spread(comparison, geometric=True)}; flat is right"
    if len(rows) > _MOST_ROWS:
        shown += f"; {_MOST_ROWS} of {len(rows)} settings"
        rows = evenly(rows, _MOST_ROWS)
    page = grid(
        f"Coordinate check: the signal against {short(WIDTH)}",
        notes(comparison, shown),
        [
            f"{row.title}: step {step:g}" if row.title and step == steps[0] else f"step {step:g}"
            for row in rows
            for step in steps
        ],
        heights=[1.25],
        columns=len(steps),
    )
    signals: list[Floats] = []
    for (axes,), (row, step) in zip(page.panels, product(rows, steps), strict=True):
        signals += _draw(axes, ValueAxis(layout, WIDTH), row.groups, step)
    for (axes,) in page.panels:
        log_axis(axes, *signals)
    page.share("RMS $x_l$", xlabel=short(WIDTH))
    lines = [sample(name, color=_colour(index), marker="o") for index, name in enumerate(_LABELS)]
    right_legends(page.figure, page.upper_right, ("block $l$", lines[::-1]))
    return page.figure


def _common_steps(groups: Sequence[Group]) -> list[float]:
    """The first measured steps that some run of every group has."""
    steps = [
        {float(step) for case in group.measured if case.traces for step in case.traces.early_steps}
        for group in groups
    ]
    return sorted(set.intersection(*steps))[:EARLY]


def _signal(group: Group, step: float) -> Floats:
    """RMS of x_l at the shares of the depth: (runs, shares), of the runs that are finite there."""
    rows = []
    for case in group.measured:
        assert case.traces is not None
        for signal in case.traces.early_signal[case.traces.early_steps == step]:
            row = signal[[round(share * (len(signal) - 1)) for share in _SHARES]]
            if np.isfinite(row).all():
                rows.append(row)
    return np.array(rows).reshape(-1, len(_SHARES))


def _draw(axes: Axes, axis: ValueAxis, groups: Sequence[Group], step: float) -> list[Floats]:
    """Mean and spread at each share of the depth against the width; returns what is drawn."""
    axis.apply(axes)
    axes.set_yscale("log")
    signals = [_signal(group, step) for group in groups]
    places = [axis.place(g.point[WIDTH]) for g, s in zip(groups, signals, strict=True) if len(s)]
    for index in range(len(_SHARES)):
        means = [statistics(list(s[:, index]), geometric=True) for s in signals if len(s)]
        look: Any = {"color": _colour(index), "marker": "o", "elinewidth": 0.7, "capsize": 1.2}
        bars = np.reshape([mean.bars for mean in means], (-1, 2)).T
        axes.errorbar(places, [mean.mean for mean in means], bars, **look)
    return signals


def _colour(index: int) -> ColorType:
    return layer_colour(index, len(_SHARES) - 1)
