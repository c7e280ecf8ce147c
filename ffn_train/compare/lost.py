"""What a figure marks at its edges: lost runs by crosses, what is beyond or zero by triangles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

from ffn_train.compare.groups import Group
from ffn_train.plots.curves import ZERO
from ffn_train.plots.sheet import sample
from ffn_train.plots.style import MUTED, RED

_LOOK: Any = {"marker": "x", "linestyle": "none", "markersize": 4.0, "markeredgewidth": 1.1}

_BEYOND: Any = {"marker": "^", "linestyle": "none", "markersize": 3.6, "clip_on": False}
_ZERO: Any = {**_BEYOND, "marker": "v"}


def mark_beyond(axes: Axes, x: ArrayLike, y: ArrayLike, colour: ColorType) -> bool:
    """Draw a triangle at the nearer edge for each value beyond it; returns whether there is one.

    What an axis of logarithms has below it is marked by ``mark_zero``.
    """
    places, values, (low, high) = np.asarray(x), np.asarray(y), axes.get_ylim()
    above, below = values > high, (values < low) & (axes.get_yscale() != "log")
    for beyond, edge, look in ((above, high, _BEYOND), (below, low, _ZERO)):
        if beyond.any():
            at = np.full(beyond.sum(), edge)
            axes.plot(places[beyond], at, color=colour, zorder=5, **look)
    return bool(above.any() or below.any())


def triangle() -> Line2D:
    """The legend's entry for the triangles."""
    return sample("beyond the axis", color=MUTED, **_BEYOND)


def mark_zero(axes: Axes, x: ArrayLike, y: ArrayLike, colour: ColorType) -> None:
    """Draw a triangle at the lower edge for each zero, which no axis of logarithms can show."""
    zeros = np.asarray(x)[np.asarray(y) == 0]
    if len(zeros) and axes.get_yscale() == "log":
        edge = axes.get_xaxis_transform()
        axes.plot(zeros, np.zeros(len(zeros)), color=colour, zorder=5, transform=edge, **_ZERO)


def zero() -> Line2D:
    """The legend's entry for these triangles."""
    return sample(ZERO, color=MUTED, **_ZERO)


def mark_lost(axes: Axes, x: ArrayLike, y: ArrayLike, colour: ColorType) -> None:
    """Draw a cross for each run, in the colour of its group."""
    axes.plot(x, y, color=colour, clip_on=False, zorder=5, **_LOOK)


def headroom(axes: Axes) -> None:
    """Make room for the text at the top."""
    above = axes.transAxes.transform((0, 1.14))
    axes.set_ylim(top=axes.transData.inverted().transform(above)[1])


def cross() -> Line2D:
    """The legend's entry for the crosses."""
    return sample("diverged or stopped", color=MUTED, **_LOOK)


def note_lost(axes: Axes, groups: Sequence[Group]) -> None:
    """Write how many of a panel's runs are lost, in its upper right corner below the crosses."""
    counts = Counter(case.state for group in groups for case in group.cases if case.lost)
    if counts:
        states = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
        words = f"{states} of {sum(len(group.measured) for group in groups)}"
        look: Any = {"ha": "right", "va": "top", "size": 7, "color": RED, "zorder": 6}
        look["bbox"] = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        axes.text(0.99, 0.95, words, transform=axes.transAxes, **look)
