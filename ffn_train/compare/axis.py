"""The axis of a setting's values: numbers to scale, words side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from ffn_train.compare.layout import Layout
from ffn_train.compare.values import are_numbers, is_wide, is_wide_above_zero, shown
from ffn_train.plots.scales import log_ticks, width_of
from ffn_train.plots.settings import Value
from ffn_train.plots.style import LETTER

_LETTER = 8 * LETTER  # inches of a letter of a label
_NAMED = 8  # up to this many values, each has a tick
_DODGE, _ASIDE = 0.014, 0.1  # of the axis's length: between two groups at a value, and in all


class ValueAxis:
    """Positions on the axis of one key; logarithmic where numbers span more than a factor of 4.

    There, a zero has a place of its own below the others.
    """

    def __init__(self, layout: Layout, key: str) -> None:
        self.key = key
        self._levels = layout.levels[key]
        self.numeric = are_numbers(self._levels)
        zero = self.numeric and is_wide_above_zero(self._levels)
        self._log = self.numeric and (zero or is_wide(self._levels))
        places = np.array(self._levels if self.numeric else range(len(self._levels)), dtype=float)
        if self._log:
            logs = np.log10(places[int(zero) :])
            below = [logs[0] - np.ptp(logs) / (len(logs) - 1)] if zero else []
            places = np.array([*below, *logs])
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
        words = [] if self.numeric else shown(self._levels)
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
        ticks: list[Any] = list(self._levels if self.numeric else places)
        labels = shown(self._levels)
        if self.numeric and len(ticks) > _NAMED:
            zero = [0] if self._log and ticks[0] == 0 else []
            low = ticks[1] if zero else limits[0]
            within = (
                log_ticks(low, limits[1])[0] if self._log else MaxNLocator(4).tick_values(*limits)
            )
            ticks = [*zero, *(tick for tick in within if limits[0] <= tick <= limits[1])]
            labels = [f"{tick:g}" for tick in ticks]
        if self._log:
            ticks = [tick or self.place(tick) for tick in ticks]
        end = -np.inf
        for index, centre in enumerate(np.log10(ticks) if self._log else ticks):
            half = letter * (len(labels[index]) + 1) / 2
            if self.numeric and centre - half < end:
                labels[index] = ""
            else:
                end = centre + half
        axes.set_xticks(ticks, labels, rotation=90 if self.foot > 0.3 else 0)
        axes.xaxis.set_minor_locator(NullLocator())
