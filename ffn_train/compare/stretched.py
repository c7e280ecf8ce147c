"""Dotted lines at the steps where runs were extended whose schedule depends on their length."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ffn_train.compare.case import STRETCHED
from ffn_train.compare.groups import Group
from ffn_train.plots import legs
from ffn_train.plots.sheet import sample


def stretched(groups: Sequence[Group]) -> list[float]:
    """The steps at which runs of the groups had their schedule stretched."""
    lengths = {case.settings.get(STRETCHED) for group in groups for case in group.measured}
    return sorted({float(step) for steps in lengths if steps for step in str(steps).split(", ")})


def mark_stretched(axes: Axes, groups: Sequence[Group]) -> None:
    """Draw a line at each of these steps."""
    for step in stretched(groups):
        axes.axvline(step, **legs.STRETCHED_LOOK)


def dotted() -> Line2D:
    """The legend's entry for the lines."""
    return sample(legs.STRETCHED, **legs.STRETCHED_LOOK)
