"""The axis of a setting's values: numbers at their places, words side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from ffn_train.compare.layout import Layout
from ffn_train.compare.values import Value, brief, is_number, short
from ffn_train.plots.scales import log_ticks, set_ticks

_NAMED = 8  # values: up to here each has its tick
_CROWDED = 12  # words
_LETTER = 0.062  # inches of a label
_DODGE, _ASIDE = 0.014, 0.1  # of the axis's length: between two, and between all that share it


class ValueAxis:
    """Places on the axis of one key; logarithmic where numbers span more than a factor of 4."""

    def __init__(self, layout: Layout, key: str) -> None:
        self.key = key
        self._levels = list(layout.levels[key])
        self.numeric = all(is_number(value) for value in self._levels)
        self._log = False
        if self.numeric:
            low, high = self._number(self._levels[0]), self._number(self._levels[-1])
            self._log = low > 0 and high >= 4 * low
        places = [self._at(value) for value in self._levels]
        self._span = (max(places) - min(places)) or 1.0
        self._low, self._high = min(places), max(places)
        self._nearest = min(np.diff(sorted(places)), default=self._span)

    @staticmethod
    def _number(value: Value) -> float:
        assert isinstance(value, (int, float))
        return float(value)

    def _at(self, value: Value) -> float:
        if not self.numeric:
            return float(self._levels.index(value))
        return float(np.log10(self._number(value))) if self._log else self._number(value)

    def place(self, value: Value, order: float = 0, of: int = 1) -> float:
        """Where a value stands; of those ``of`` that share it, the ``order``-th."""
        aside = min(_DODGE * self._span, _ASIDE * self._span / of, 0.3 * self._nearest / of)
        at = self._at(value) + (order - (of - 1) / 2) * aside
        return float(10**at) if self._log else at

    @property
    def foot(self) -> float:
        """The inches that words written upright need below the axis; 0 for those that lie."""
        words = [] if self.numeric else [brief(value) for value in self._levels]
        return _LETTER * max(map(len, words)) if sum(map(len, words)) > 30 else 0.0

    @property
    def crowded(self) -> bool:
        """Whether the values need the width of a whole page."""
        return not self.numeric and len(self._levels) > _CROWDED

    def apply(self, axes: Axes) -> None:
        """Scale, limits, ticks and label of the x axis."""
        low, high = self._low - 0.07 * self._span, self._high + 0.07 * self._span
        if self._log:
            axes.set_xscale("log")
            low, high = float(10**low), float(10**high)
        axes.set_xlim(low, high)
        self._ticks(axes, low, high)
        axes.set_xlabel(short(self.key))

    def _ticks(self, axes: Axes, low: float, high: float) -> None:
        if not self.numeric or len(self._levels) <= _NAMED:
            labels = [brief(v) for v in self._levels]
            if self.numeric:
                labels = self._apart(axes, labels, low, high)
            axes.xaxis.set_major_locator(FixedLocator([self.place(v) for v in self._levels]))
            axes.xaxis.set_minor_locator(FixedLocator([]))
            axes.xaxis.set_major_formatter(FixedFormatter(labels))
            if self.foot:
                axes.tick_params(axis="x", labelrotation=90)
        elif self._log:
            set_ticks(axes.xaxis, *log_ticks(low, high))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))

    def _apart(self, axes: Axes, labels: Sequence[str], low: float, high: float) -> list[str]:
        """The labels, empty where one would stand on that of a smaller value; ticks stay."""
        figure = axes.get_figure(root=True)
        assert figure is not None
        width = figure.get_size_inches()[0] * axes.get_position().width
        first, last = np.log10([low, high]) if self._log else (low, high)
        inches = width / (last - first)
        end, kept = -np.inf, []
        for value, label in zip(self._levels, labels, strict=True):
            middle, half = inches * (self._at(value) - first), _LETTER * (len(label) + 1) / 2
            kept.append(label if middle - half >= end else "")
            end = middle + half if kept[-1] else end
        return kept
