"""The colour of a setting's value, the same in every figure, and the key that explains it.

Numbers are coloured on an ordered scale (viridis, which grows evenly lighter): a few by their rank,
so that near ones are told apart; many by their size, or its logarithm where they span more than a
factor of four. Words get colours of a palette that stays apart under
colour blindness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.typing import ColorType

from ffn_train.compare.layout import Layout
from ffn_train.compare.values import Value, brief, is_number, short
from ffn_train.plots.scales import log_ticks, set_ticks
from ffn_train.plots.sheet import right_legends, sample
from ffn_train.plots.style import INK

_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b4a9c", "#7a5230")
_FEW = 8  # numbers: up to here each has its entry in the legend, from here there is a colour bar
_ROWS = 14  # words in one column of a legend
_LIGHTEST = 0.9  # of viridis: what is beyond is lost on white


@dataclass(frozen=True)
class Colours:
    """The colours of one key's values; without a key, all is of one colour."""

    key: str | None
    levels: Sequence[Value]

    def __call__(self, value: Value) -> ColorType:
        if self.key is None or value not in self.levels:
            return INK if self.key is None else "#9a9a9a"
        place = list(self.levels).index(value)
        if self._ordered and len(self.levels) <= _FEW:
            return _map()(place / (len(self.levels) - 1))
        if self._ordered:
            return _map()(self._scale(float(value)))  # type: ignore[arg-type]
        if len(self.levels) <= len(_PALETTE):
            return _PALETTE[place]
        return matplotlib.colormaps["turbo"](0.04 + 0.92 * place / (len(self.levels) - 1))

    @property
    def _ordered(self) -> bool:
        return len(self.levels) > 1 and all(is_number(value) for value in self.levels)

    @property
    def _scale(self) -> Normalize:
        low, high = float(self.levels[0]), float(self.levels[-1])  # type: ignore[arg-type]
        return LogNorm(low, high) if low > 0 and high >= 4 * low else Normalize(low, high)

    def margin(self, crosses: bool = False) -> float:
        """The inches that the key, and the crosses' entry, take to the right of the panels."""
        if self.key is None:
            return 0.86 if crosses else 0.3
        if self._ordered and len(self.levels) > _FEW:
            return 0.86
        longest = max(len(brief(value)) for value in self.levels)
        columns = -(-len(self.levels) // _ROWS)
        name = len(short(self.key))
        return max(0.12 + columns * (0.4 + 0.062 * longest), 0.3 + 0.06 * name, 0.86)

    def explain(self, figure: Figure, panel: Axes, *more: tuple[str, Sequence[Artist]]) -> None:
        """A legend, or a colour bar where there are many numbers; ``more`` legends below it."""
        if self.key is not None and self._ordered and len(self.levels) > _FEW:
            self._bar(figure, panel)
            right_legends(figure, panel, *more, rows=-1)
            return
        handles: list[Artist] = []
        if self.key is not None:
            handles = [sample(brief(value), color=self(value)) for value in self.levels]
        if len(handles) <= _ROWS:
            name = short(self.key) if self.key is not None else ""
            right_legends(figure, panel, (name, handles), *more)
            return
        place, width = panel.get_position(), figure.get_size_inches()[0]
        assert self.key is not None
        figure.legend(
            handles=handles,
            title=short(self.key),
            loc="upper left",
            alignment="left",
            ncols=-(-len(handles) // _ROWS),
            columnspacing=1.0,
            bbox_to_anchor=(place.x1 + 0.1 / width, place.y1),
        )

    def _bar(self, figure: Figure, panel: Axes) -> None:
        assert self.key is not None
        width, height = figure.get_size_inches()
        place = panel.get_position()
        tall = min(place.height, 1.6 / height)
        bar = figure.add_axes((place.x1 + 0.1 / width, place.y1 - tall, 0.09 / width, tall))
        scale = self._scale
        figure.colorbar(ScalarMappable(scale, _map()), cax=bar)
        if isinstance(scale, LogNorm):
            assert scale.vmin is not None
            assert scale.vmax is not None
            set_ticks(bar.yaxis, *log_ticks(scale.vmin, scale.vmax))
        bar.set_ylabel(short(self.key))


def colours(layout: Layout, key: str | None) -> Colours:
    """The colours of a key; a value has the same one whatever it is drawn beside."""
    return Colours(key, layout.levels[key] if key is not None else ())


@cache
def _map() -> Colormap:
    shades = matplotlib.colormaps["viridis"](np.linspace(0, _LIGHTEST, 256))
    return LinearSegmentedColormap.from_list("ordered", shades)
