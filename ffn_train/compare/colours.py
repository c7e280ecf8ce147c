"""The colour of a setting's value, the same in every figure, and the key that explains it.

Numbers are coloured on an ordered scale (viridis, which grows evenly lighter): a few by their rank,
so that near ones are told apart; many by their size, or its logarithm where they span more than a
factor of four. Words get colours of a palette that stays apart under colour blindness.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.typing import ColorType

from ffn_train.compare.groups import Group
from ffn_train.compare.layout import Layout
from ffn_train.compare.values import Value, are_numbers, is_wide, label, short
from ffn_train.plots.scales import log_ticks, set_ticks
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import INK, PALETTE

_FEW = 8  # numbers: up to here each has its entry in the legend, from here there is a colour bar
_ROWS = 14  # entries in one column of a legend


class Colours:
    """The colours of one key's values; without a key, all is of one colour."""

    def __init__(self, layout: Layout, key: str | None) -> None:
        self.key = key
        self.levels = [] if key is None else list(layout.levels[key])
        numbers = len(self.levels) > 1 and are_numbers(self.levels)
        self._scale: Normalize | None = None
        ranks = np.linspace(0, 1, len(self.levels))
        if numbers and len(self.levels) > _FEW:
            ends: Any = (self.levels[0], self.levels[-1])
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
        """The colour of a value, whatever it is drawn beside."""
        shade: ColorType = self._shades[self.levels.index(value)]
        return shade

    def of(self, group: Group) -> ColorType:
        """The colour of a group's value."""
        return INK if self.key is None else self(group.point[self.key])

    def explain(self, panel: Axes, *more: tuple[str, Sequence[Artist]]) -> None:
        """A legend, or a colour bar for many numbers, beside a panel; ``more`` legends below it."""
        figure = panel.get_figure(root=True)
        assert figure is not None
        if self.key is not None and self._scale is not None:
            colour_bar(panel, self._scale, _map(), short(self.key))
            right_legends(figure, panel, *more, rows=-1)
            return
        name = "" if self.key is None else short(self.key)
        handles = [sample(label(value), color=self(value)) for value in self.levels]
        columns = -(-len(handles) // _ROWS) or 1
        right_legends(figure, panel, (name, handles), *more, columns=columns)


def colour_bar(
    panel: Axes, scale: Normalize, colours: Colormap, label: str = "", extend: str = "neither"
) -> None:
    """A colour bar to the right of a panel, ticked in powers of ten if its scale is logarithmic."""
    figure = panel.get_figure(root=True)
    assert figure is not None
    place, width = panel.get_position(), figure.get_size_inches()[0]
    bar = figure.add_axes((place.x1 + 0.1 / width, place.y0, 0.09 / width, place.height))
    figure.colorbar(ScalarMappable(scale, colours), cax=bar, extend=extend)
    if isinstance(scale, LogNorm):
        assert scale.vmin is not None
        assert scale.vmax is not None
        set_ticks(bar.yaxis, *log_ticks(scale.vmin, scale.vmax))
    bar.set_ylabel(label)


@cache
def _map() -> Colormap:
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))  # beyond is lost on white
    return LinearSegmentedColormap.from_list("ordered", shades)
