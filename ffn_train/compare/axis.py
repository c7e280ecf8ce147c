"""The axis of a setting's values: numbers at their places, words side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from ffn_train.compare.layout import Layout
from ffn_train.compare.values import Value, brief, is_number, short
from ffn_train.plots.scales import log_ticks, set_ticks, tick_label

_NAMED = 8  # values: up to here each has its tick
_CROWDED = 12  # words
_LETTER = 0.062  # inches of a label
_ROOM = 0.55  # inches between the ticks of a linear axis
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
                shown = self._apart(axes, list(map(self._number, self._levels)), labels, low, high)
                labels = [label if here else "" for label, here in zip(labels, shown, strict=True)]
            axes.xaxis.set_major_locator(FixedLocator([self.place(v) for v in self._levels]))
            axes.xaxis.set_minor_locator(FixedLocator([]))
            axes.xaxis.set_major_formatter(FixedFormatter(labels))
            if self.foot:
                axes.tick_params(axis="x", labelrotation=90)
        elif self._log:
            major, minor = log_ticks(low, high)
            shown = self._apart(axes, major, [tick_label(tick) for tick in major], low, high)
            kept = [tick for tick, here in zip(major, shown, strict=True) if here]
            set_ticks(axes.xaxis, kept, sorted({*major, *minor} - {*kept}))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(min(5, max(1, int(_inches(axes) / _ROOM)))))

    def _apart(
        self,
        axes: Axes,
        values: Sequence[float],
        labels: Sequence[str],
        low: float,
        high: float,
    ) -> list[bool]:
        """For each of the ascending values whether its label stands clear of those shown before."""
        first, last = np.log10([low, high]) if self._log else (low, high)
        inches = _inches(axes) / (last - first)
        end, shown = -np.inf, []
        for value, label in zip(values, labels, strict=True):
            middle = inches * ((np.log10(value) if self._log else value) - first)
            half = _LETTER * (len(re.sub(r"[${}^]|\\times", "", label)) + 1) / 2
            shown.append(bool(middle - half >= end))
            end = middle + half if shown[-1] else end
        return shown


def side_by_side(axes: Axes, words: Sequence[str]) -> int:
    """Of how many evenly spaced words one can be shown, so that they stand clear of each other."""
    return max(1, math.ceil(_LETTER * (max(map(len, words)) + 1) * len(words) / _inches(axes)))


def _inches(axes: Axes) -> float:
    """The width of the axes."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return float(figure.get_size_inches()[0] * axes.get_position().width)
