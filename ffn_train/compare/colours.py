"""The colour and the marker of a setting's value, the same in every figure, and their legend.

Numbers are coloured on an ordered scale (viridis, of evenly growing lightness): a few by rank, so
that close values can be distinguished; many by size, or its logarithm where they span more than a
factor of four, or of ten above a zero. Words get a palette that is safe under colour blindness. For
printing in grey, all but the many numbers of a colour bar also have their own marker, and words
their own dash.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize, SymLogNorm
from matplotlib.typing import ColorType

from ffn_train.compare.groups import Group
from ffn_train.compare.layout import Layout
from ffn_train.compare.values import are_numbers, is_wide, is_wide_above_zero, named, shown
from ffn_train.plots.maps import colour_bar
from ffn_train.plots.scales import figure_of
from ffn_train.plots.settings import Value
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import DASHES, INK, MARKERS, PALETTE

_FEW = 8  # up to this many numbers there is a legend, for more a colour bar
_ROWS = 14  # entries in one column of a legend


class Colours:
    """The colours of one key's values, and optionally their ``markers`` and, for words, dashes.

    Without a key, everything has the same colour.
    """

    def __init__(
        self, layout: Layout, key: str | None, *, markers: bool = True, dashed: bool = True
    ) -> None:
        self.key = key
        self._markers, self._dashed = markers, dashed
        self.levels = [] if key is None else list(layout.levels[key])
        self._numbers = numbers = len(self.levels) > 1 and are_numbers(self.levels)
        self._scale: Normalize | None = None
        ranks = np.linspace(0, 1, len(self.levels))
        if numbers and len(self.levels) > _FEW:
            ends: Any = (self.levels[0], self.levels[-1])
            if is_wide_above_zero(self.levels):
                least: Any = self.levels[1]
                self._scale = SymLogNorm(least, vmin=0, vmax=ends[1], base=10)
            else:
                self._scale = (LogNorm if is_wide(self.levels) else Normalize)(*ends)
            ranks = np.array(self._scale(np.array(self.levels, dtype=float)))
        self._shades: list[Any]
        if numbers:
            self._shades = list(_map()(ranks))
        elif len(self.levels) <= len(PALETTE):
            self._shades = list(PALETTE)
        else:
            self._shades = list(matplotlib.colormaps["turbo"](0.04 + 0.92 * ranks))

    def __call__(self, value: Value) -> ColorType:
        """The colour of a value."""
        shade: ColorType = self._shades[self.levels.index(value)]
        return shade

    def look(self, group: Group) -> dict[str, Any]:
        """Colour, marker and dash of a group's curve."""
        return self._look(None if self.key is None else group.point[self.key])

    def _look(self, value: Value) -> dict[str, Any]:
        if self.key is None:
            return {"color": INK, "marker": MARKERS[0] if self._markers else ""}
        at = self.levels.index(value)
        marker = MARKERS[0 if self._scale else at % len(MARKERS)]
        dash = DASHES[at % len(DASHES) if self._dashed and not self._numbers else 0]
        return {
            "color": self(value),
            "marker": marker if self._markers else "",
            "linestyle": dash,
        }

    def explain(self, panel: Axes, *more: tuple[str, Sequence[Artist]]) -> None:
        """A legend, or a colour bar for many numbers, beside a panel; ``more`` legends below it."""
        figure = figure_of(panel)
        if self.key is not None and self._scale is not None:
            colour_bar(panel, self._scale, _map(), named(self.key))
            right_legends(figure, panel, *more, rows=-1)
            return
        name = "" if self.key is None else named(self.key)
        handles = [
            sample(word, **self._look(value))
            for word, value in zip(shown(self.levels), self.levels, strict=True)
        ]
        columns = -(-len(handles) // _ROWS) or 1
        right_legends(figure, panel, (name, handles), *more, columns=columns)


@cache
def _map() -> Colormap:
    shades = matplotlib.colormaps["viridis"](
        np.linspace(0, 0.9, 256)
    )  # the rest is invisible on white
    return LinearSegmentedColormap.from_list("ordered", shades)
