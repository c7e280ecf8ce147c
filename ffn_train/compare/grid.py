"""A page of panels: a cell for each combination of settings, with one or more panels.

Panels are positioned in inches. Legends and labels may extend beyond the page: a figure is saved
with its tight bounding box.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.compare.comparison import Comparison
from ffn_train.compare.header import notes
from ffn_train.compare.layout import Roles
from ffn_train.compare.panels import Panel, folded
from ffn_train.config.settings import SettingError
from ffn_train.plots.literal import legible
from ffn_train.plots.sheet import LEFT, TITLE, TOP, headed, wrapped
from ffn_train.plots.style import LETTER

_ONE, _ALL = 2.6, 5.6  # inches across a single panel, and across all panels of a row
_LINE, _TITLE_LINE = 0.15, 0.17  # inches of a further line of the header, and of a panel's title
_GAP = 0.2  # inches between panels that share an axis
_TICKS = 0.3  # inches of the labels below a cell
_LEAST = 0.85  # inches across a panel at least, if the figure's width is given

T = TypeVar("T")


@dataclass(frozen=True)
class Grid:
    """``panels[i][j]``: the j-th panel, from above, of cell i; x and y are shared by all."""

    figure: Figure
    panels: Sequence[Sequence[Axes]]
    columns: int

    @property
    def upper_right(self) -> Axes:
        """The panel to the right of which the legends are placed."""
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
    comparison: Comparison,
    title: str,
    lines: Sequence[str],
    titles: Sequence[str],
    *,
    heights: Sequence[float],
    columns: int,
    gap: float = _GAP,
    foot: float = _TICKS,
    wide: bool = False,
) -> Grid:
    """A page with a cell for each title, and in each cell panels of the ``heights`` (inches).

    ``lines``: the header below the title; ``gap``: inches between columns; ``foot``: inches below
    each cell; ``wide``: a single panel has the width of several.
    """
    options = comparison.options
    columns, across = room(comparison, min(columns, len(titles)), gap=gap, wide=wide)
    width = options.inches or LEFT + columns * (across + gap) + 0.6
    letters = int(across / (LETTER * 8.5))
    titles = [name if _MATHEMATICS.search(name) else _folded(name, letters) for name in titles]
    above = max(TITLE * bool(name) + _TITLE_LINE * name.count("\n") for name in titles)
    lines = [part for line in lines for part in wrapped(legible(line), width)]
    top = TOP + _LINE * len(lines) - 0.12 if options.title else 0.1
    cell = above + sum(heights) + (len(heights) - 1) * _GAP + foot
    height = top + cell * -(-len(titles) // columns) + 0.2
    figure = headed(title, "\n".join(lines), width=width, height=height)
    for text in figure.texts:
        text.set_visible(options.title)
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


_MATHEMATICS = re.compile(r"(?<!\\)\$")


def _folded(title: str, room: int) -> str:
    """A title in lines of at most ``room`` letters, broken after commas, or else between words."""
    unbroken = title.replace(" ", "\xa0").replace(",\xa0", ", ")
    lines = textwrap.wrap(unbroken, room, break_long_words=False)
    return "\n".join(textwrap.fill(line.replace("\xa0", " "), room) for line in lines)


def room(comparison: Comparison, columns: int, *, gap: float, wide: bool) -> tuple[int, float]:
    """How many columns of panels fit, and the inches across each."""
    inches = comparison.options.inches
    if inches is None:
        return columns, _ONE if columns == 1 and not wide else (
            _ALL - (columns - 1) * gap
        ) / columns
    available = inches - LEFT - comparison.right + gap
    columns = max(1, min(columns, int(available / (_LEAST + gap))))
    return columns, max(available / columns - gap, _LEAST)


def chosen(comparison: Comparison, panels: Sequence[T]) -> Sequence[T]:
    """All panels, or only the requested one. Raises SettingError if it does not exist."""
    number = comparison.options.only_panel
    if number is None:
        return panels
    if not 1 <= number <= len(panels):
        words = f"--only-panel must be 1 to {len(panels)}, got {number}"
        raise SettingError(f"{words}; --figures chooses other figures")
    return panels[number - 1 : number]


def sheet(
    comparison: Comparison, roles: Roles, title: str, phrases: Iterable[str], **places: Any
) -> tuple[Grid, Sequence[Panel]]:
    """A page with a cell for each combination of the panels' keys, and the groups of each cell.

    ``phrases``: of the header; ``places``: as for ``grid``.
    """
    cells = chosen(comparison, folded(comparison, roles.panels))
    values = len(comparison.layout.levels[roles.panels[-1]]) if roles.panels else 1
    columns = values if values <= 4 else min((4, 3), key=lambda columns: -len(cells) % columns)
    titles, lines = [cell.title for cell in cells], notes(comparison, phrases, roles)
    return grid(comparison, title, lines, titles, columns=columns, **places), cells
