"""Where runs were extended whose schedule depends on their length: dotted lines over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ffn_train.compare.case import STRETCHED
from ffn_train.compare.groups import Group
from ffn_train.plots.sheet import sample
from ffn_train.plots.style import MUTED

WORDS = "schedule stretched"
_LOOK: Any = {"color": MUTED, "linewidth": 0.8, "linestyle": (0, (1, 1.5))}


def stretched(groups: Sequence[Group]) -> list[float]:
    """The steps at which runs of the groups had their schedule stretched."""
    told = {case.settings.get(STRETCHED) for group in groups for case in group.measured}
    return sorted({float(step) for steps in told if steps for step in str(steps).split(", ")})


def mark_stretched(axes: Axes, groups: Sequence[Group]) -> None:
    """A line at each of these steps."""
    for step in stretched(groups):
        axes.axvline(step, **_LOOK)


def dotted() -> Line2D:
    """The legend's entry for the lines."""
    return sample(WORDS, **_LOOK)
