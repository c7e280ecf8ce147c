"""How a figure shows the runs that diverged: crosses at the top edge, and their number in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.typing import ColorType

from ffn_train.compare.groups import Group
from ffn_train.plots.sheet import sample
from ffn_train.plots.style import MUTED, RED

_LOOK: Any = {"marker": "x", "linestyle": "none", "markersize": 4.0, "markeredgewidth": 1.1}


def mark_diverged(
    axes: Axes, x: Sequence[float], colour: ColorType, y: Sequence[float] | None = None
) -> None:
    """A cross for each run, in the colour of its group; without y at the top edge."""
    axes.plot(
        x,
        [1.0] * len(x) if y is None else y,
        color=colour,
        transform=axes.get_xaxis_transform() if y is None else axes.transData,
        clip_on=False,
        zorder=5,
        **_LOOK,
    )


def headroom(axes: Axes) -> None:
    """Make room at the top for what is written there."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low, high * (high / low) ** 0.14)
    else:
        axes.set_ylim(low, high + 0.14 * (high - low))


def cross() -> Line2D:
    """The legend's entry for the crosses."""
    return sample("diverged", color=MUTED, **_LOOK)


def tell_diverged(axes: Axes, groups: Sequence[Group]) -> None:
    """How many of a panel's runs diverged, in its upper right corner below the crosses."""
    diverged = sum(group.n_diverged for group in groups)
    if diverged:
        words = f"{diverged} of {sum(len(group.measured) for group in groups)} diverged"
        look: Any = {"ha": "right", "va": "top", "size": 7, "color": RED}
        axes.text(0.99, 0.95, words, transform=axes.transAxes, **look)
