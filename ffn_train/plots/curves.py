"""Curves that drop no point: what has no place on the axis is marked at its edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from ffn_train.plots.style import MUTED, RED

NOT_FINITE = "not finite"
ZERO = "zero"
_FEW = 20  # points: up to here each is marked
_MANY = 250  # points: from here the line is thin


def curve(axes: Axes, x: ArrayLike, y: ArrayLike, **look: Any) -> Line2D:
    """A line with a dot at every point of a short series, and at points that stand alone."""
    values = np.asarray(y, dtype=np.float64)
    if len(values) > _FEW:
        shown = np.pad(np.isfinite(values) & ((values > 0) | (axes.get_yscale() != "log")), 1)
        dots = np.flatnonzero(shown[1:-1] & ~shown[:-2] & ~shown[2:])
    else:
        dots = np.arange(len(values))
    if len(values) > _MANY:
        look = {"linewidth": 0.7, **look}
    if len(dots):  # a list of no places would be taken for "every place"
        look = {"marker": "o", "markevery": dots.tolist(), **look}
    (line,) = axes.plot(np.asarray(x), values, **look)
    return line


def mark(axes: Axes, x: ArrayLike, *values: ArrayLike) -> None:
    """Mark where any of the values is not finite (top), or is zero on a log axis (bottom)."""
    places = np.asarray(x)
    table = np.array([np.asarray(value, dtype=np.float64) for value in values])
    _edge(axes, places[~np.isfinite(table).all(axis=0)], 1.02, NOT_FINITE, marker="x", color=RED)
    if axes.get_yscale() == "log":
        zero = (table == 0).any(axis=0)
        _edge(axes, places[zero], 0.0, ZERO, marker="v", color=MUTED)


def _edge(axes: Axes, places: NDArray[Any], height: float, label: str, **look: Any) -> None:
    if not len(places):
        return
    axes.plot(
        places,
        np.full(len(places), height),
        linestyle="none",
        markersize=3.5,
        label=label,
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        zorder=5,
        **look,
    )


def marks(*panels: Axes) -> list[Line2D]:
    """One legend entry for each kind of mark that the panels bear."""
    found = {line.get_label(): line for panel in panels for line in panel.get_lines()}
    return [found[label] for label in (NOT_FINITE, ZERO) if label in found]
