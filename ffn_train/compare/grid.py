"""A page of panels: a cell for each place among the settings, with one panel or more in it.

The page gives panels their places in inches. What stands beside them, as legends and labels do, may
reach beyond it: a figure is saved with all that it shows.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.layout import Roles
from ffn_train.compare.panels import Panel, notes, panels
from ffn_train.plots.sheet import LEFT, LETTER, TITLE, TOP, headed, wrapped

_ONE, _ALL = 2.6, 5.6  # inches across a single panel, and across all panels of a row
_LINE = 0.15  # inches of a line of words above the panels
_GAP = 0.2  # inches between panels that share an axis
_TICKS = 0.3  # inches that labels below a cell take


@dataclass(frozen=True)
class Grid:
    """``panels[i][j]``: the j-th panel, from above, of cell i; x and y are shared by all."""

    figure: Figure
    panels: Sequence[Sequence[Axes]]
    columns: int

    @property
    def upper_right(self) -> Axes:
        """The panel that the legends stand beside."""
        return self.panels[min(self.columns, len(self.panels)) - 1][0]

    def share(self, *ylabels: str, xlabel: str) -> None:
        """Label the outer axes only; ``ylabels``: of the panels of a cell, from above."""
        for index, cell in enumerate(self.panels):
            first = index % self.columns == 0
            for axes, ylabel in zip(cell, ylabels, strict=True):
                axes.set_xlabel("")
                axes.set_ylabel(ylabel if first else "")
                axes.tick_params(axis="x", which="both", labelbottom=axes is cell[-1])
                axes.tick_params(axis="y", which="both", labelleft=first)
            if index + self.columns >= len(self.panels):
                cell[-1].set_xlabel(xlabel)


def grid(
    title: str,
    notes: Sequence[str],
    titles: Sequence[str],
    *,
    heights: Sequence[float],
    columns: int,
    gap: float = _GAP,
    foot: float = _TICKS,
    wide: bool = False,
) -> Grid:
    """A page with a cell for each of the titles, and in every cell panels of these ``heights``.

    ``gap``: inches between columns; ``foot``: inches below each cell; ``wide``: a single panel has
    the width of several.
    """
    columns = min(columns, len(titles))
    across = _ONE if columns == 1 and not wide else (_ALL - (columns - 1) * gap) / columns
    room = int(across / (LETTER * 8.5))
    titles = [name if "$" in name else _folded(name, room) for name in titles]
    above = max(TITLE * bool(name) + _LINE * name.count("\n") for name in titles)
    width = LEFT + columns * (across + gap) + 0.6
    lines = [line for note in notes for line in wrapped(note, width)]
    top = TOP + _LINE * len(lines) - 0.12
    cell = above + sum(heights) + (len(heights) - 1) * _GAP + foot
    height = top + cell * -(-len(titles) // columns) + 0.2
    figure = headed(title, "\n".join(lines), width=width, height=height)
    panels = []
    for index, name in enumerate(titles):
        left = LEFT + index % columns * (across + gap)
        bottom = height - top - index // columns * cell - above + _GAP
        stack = []
        for inches in heights:
            bottom -= inches + _GAP
            box = left / width, bottom / height, across / width, inches / height
            stack.append(figure.add_axes(box))
        stack[0].set_title(name)
        panels.append(stack)
    return Grid(figure, panels, columns)


def _folded(title: str, room: int) -> str:
    """A title in lines of at most so many letters, broken after commas where that is enough."""
    unbroken = title.replace(" ", "\xa0").replace(",\xa0", ", ")
    return textwrap.fill(unbroken, room).replace("\xa0", " ")


def sheet(
    comparison: Comparison, roles: Roles, title: str, shown: str, **places: Any
) -> tuple[Grid, Sequence[Panel]]:
    """A page with a cell for each place among the keys in panels, and the groups of each cell.

    ``places``: as for ``grid``.
    """
    cells = panels(comparison, roles.panels)
    values = len(comparison.layout.levels[roles.panels[-1]]) if roles.panels else 1
    columns = values if values <= 4 else min((4, 3), key=lambda columns: -len(cells) % columns)
    titles = [cell.title for cell in cells]
    return grid(title, notes(comparison, shown, roles), titles, columns=columns, **places), cells
