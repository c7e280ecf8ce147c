"""The axis of a setting's values: numbers to scale, words side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from ffn_train.compare.comparison import Options
from ffn_train.compare.layout import Layout
from ffn_train.compare.values import are_numbers, is_wide, shown
from ffn_train.config.settings import SettingError
from ffn_train.plots.scales import log_ticks, set_ticks, step_axis
from ffn_train.plots.settings import Value
from ffn_train.plots.sheet import LETTER

_NAMED = 8  # up to this many values, each has a tick
_LETTER = 8 * LETTER  # inches of a letter of a label
_DODGE, _ASIDE = 0.014, 0.1  # of the axis's length: between two groups at a value, and in all


class ValueAxis:
    """Positions on the axis of one key; logarithmic where numbers span more than a factor of 4."""

    def __init__(self, layout: Layout, key: str) -> None:
        self.key = key
        self._levels = layout.levels[key]
        self.numeric = are_numbers(self._levels)
        self._log = self.numeric and is_wide(self._levels)
        places = np.array(self._levels if self.numeric else range(len(self._levels)), dtype=float)
        places = np.log10(places) if self._log else places
        self._places = dict(zip(self._levels, places.tolist(), strict=True))
        self._span = float(np.ptp(places)) or 1.0
        self._nearest = min(np.diff(places), default=self._span)

    def place(self, value: Value, order: float = 0, of: int = 1) -> float:
        """The x of a value; of the ``order``-th of the ``of`` groups that share it."""
        aside = min(_DODGE * self._span, _ASIDE * self._span / of, 0.3 * self._nearest / of)
        at = self._places[value] + (order - (of - 1) / 2) * aside
        return float(10**at) if self._log else at

    @property
    def foot(self) -> float:
        """The inches that the labels need below the axis: more for words, which are rotated."""
        words = [] if self.numeric else [shown(value) for value in self._levels]
        return 0.15 + _LETTER * max(map(len, words)) if sum(map(len, words)) > 30 else 0.3

    @property
    def crowded(self) -> bool:
        """Whether the values need the width of a whole page."""
        return not self.numeric and len(self._levels) > 12

    def apply(self, axes: Axes) -> None:
        """Set scale, limits and ticks of the x axis; labels do not overlap."""
        places = self._places.values()
        limits = np.array([min(places) - 0.07 * self._span, max(places) + 0.07 * self._span])
        letter = _LETTER / width_of(axes) * float(np.ptp(limits))
        if self._log:
            axes.set_xscale("log")
            limits = 10**limits
        axes.set_xlim(*limits)
        ticks: Sequence[Any] = self._levels if self.numeric else list(places)
        labels = [shown(value) for value in self._levels]
        if self.numeric and len(ticks) > _NAMED:
            within = log_ticks(*limits)[0] if self._log else MaxNLocator(4).tick_values(*limits)
            ticks = [tick for tick in within if limits[0] <= tick <= limits[1]]
            labels = [f"{tick:g}" for tick in ticks]
        end = -np.inf
        for index, centre in enumerate(np.log10(ticks) if self._log else ticks):
            half = letter * (len(labels[index]) + 1) / 2
            if self.numeric and centre - half < end:
                labels[index] = ""
            else:
                end = centre + half
        axes.set_xticks(ticks, labels, rotation=90 if self.foot > 0.3 else 0)
        axes.xaxis.set_minor_locator(NullLocator())


def limit(axes: Axes, options: Options) -> None:
    """Set the requested limits. Raises SettingError for limits that a log axis cannot have."""
    for name, axis, ends in (("x", axes.xaxis, options.xlim), ("y", axes.yaxis, options.ylim)):
        if ends is None:
            continue
        log = axis.get_scale() == "log"
        if log and ends[0] <= 0:
            raise SettingError(
                f"--{name}lim must be above 0 on an axis of logarithms, got {ends[0]:g}"
            )
        (axes.set_xlim if name == "x" else axes.set_ylim)(*ends)
        if log and name == "y":
            set_ticks(axes.yaxis, *log_ticks(*ends))


def step_ticks(axes: Axes, steps: NDArray[Any]) -> None:
    """Set the x axis of steps: ticks within their range, as many as have room for their labels."""
    step_axis(axes, steps)
    ticks = [int(tick) for tick in axes.get_xticks()]
    apart = side_by_side(axes, [str(tick) for tick in ticks])
    labelled = ticks[::apart] if len(ticks) > apart else [ticks[0], ticks[-1]][: len(ticks)]
    axes.set_xticks(labelled, [str(tick) for tick in labelled])


def side_by_side(axes: Axes, words: Sequence[str]) -> int:
    """Every how many-th of evenly spaced words to show, so that they do not overlap."""
    return max(1, math.ceil(_LETTER * (max(map(len, words)) + 1) * len(words) / width_of(axes)))


def width_of(axes: Axes) -> float:
    """The width of the axes in inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.get_size_inches()[0] * axes.get_position().width)
