"""A page of panels: a cell for each place among the settings, with one panel or more in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.plots.sheet import BOTTOM, LEFT, TITLE, TOP, headed
from ffn_train.plots.style import DOUBLE, SINGLE

LINE = 0.16  # inches of a line of notes
_MOST_COLUMNS = 4
_GAP = 0.2  # inches between panels that share an axis
_LETTER = 0.055  # inches
_FOOT = 0.08  # inches between a cell's x axis and the title of the cell below it, beside labels


@dataclass(frozen=True)
class Grid:
    """``panels[i][j]``: the j-th panel, from above, of cell i; x and y are shared by all."""

    figure: Figure
    panels: list[list[Axes]]
    columns: int

    @property
    def flat(self) -> list[Axes]:
        return [axes for cell in self.panels for axes in cell]

    @property
    def upper_right(self) -> Axes:
        """The panel that the legends stand beside."""
        return self.panels[min(self.columns, len(self.panels)) - 1][0]

    def share(self, *, ylabels: Sequence[str], xlabel: str) -> None:
        """Label the outer axes only; ``ylabels``: of the panels of a cell, from above."""
        for index, cell in enumerate(self.panels):
            lowest = index + self.columns >= len(self.panels)
            for place, axes in enumerate(cell):
                first = index % self.columns == 0
                axes.set_ylabel(ylabels[place] if first else "")
                axes.tick_params(axis="y", which="both", labelleft=first)
                foot = place == len(cell) - 1
                axes.set_xlabel(xlabel if foot and lowest else "")
                axes.tick_params(axis="x", which="both", labelbottom=foot)


def wrapped(notes: Sequence[str], width: float) -> list[str]:
    """The notes in lines that a page of so many inches has room for."""
    room = int((width - 0.16) / _LETTER)
    return [line for note in notes for line in textwrap.wrap(note, room)]


def grid(
    title: str,
    notes: Sequence[str],
    titles: Sequence[str],
    *,
    heights: Sequence[float],
    right: float = 0.3,
    columns: int | None = None,
    together: int = 0,
    foot: float = 0.0,
    wide: bool = False,
) -> Grid:
    """A page with a cell for each of the titles, and in every cell panels of these ``heights``.

    ``together``: so many cells in turn differ in one setting alone, and begin a row if they can.
    ``right``: inches for the legends; ``foot``: inches below each cell beyond the usual; ``wide``:
    the width of a page, however few the panels.
    """
    count = len(titles)
    columns = min(count, columns or _columns(count, together))
    rows = -(-count // columns)
    width = SINGLE + max(0.0, right - 0.4)
    if wide or columns > 1:
        width = DOUBLE + max(0.0, right - 1.5)
    named = any(titles)
    notes = wrapped(notes, width)
    top = TOP + LINE * (len(notes) - 1) + (TITLE if named else 0.06)
    cell = sum(heights) + (len(heights) - 1) * _GAP
    between = 0.2 + (TITLE if named else 0) + _FOOT + foot
    total = top + rows * cell + (rows - 1) * between + foot + BOTTOM
    figure = headed(title, "\n".join(notes), width=width, height=total)
    across = (width - LEFT - right - (columns - 1) * _GAP) / columns
    panels = []
    for index, name in enumerate(titles):
        x = LEFT + (index % columns) * (across + _GAP)
        y = top + (index // columns) * (cell + between)
        stack = []
        below = total - y + _GAP
        for height in heights:
            below -= height + _GAP
            box = (x / width, below / total, across / width, height / total)
            stack.append(figure.add_axes(box))
        stack[0].set_title(name)
        panels.append(stack)
    return Grid(figure, panels, columns)


def _columns(count: int, together: int) -> int:
    """As many as go together, or a part of them; else those that leave the fewest places empty."""
    if 1 < together <= _MOST_COLUMNS:
        return together
    choices = [_MOST_COLUMNS, _MOST_COLUMNS - 1]
    parts = [columns for columns in choices if together and together % columns == 0]
    return parts[0] if parts else min(choices, key=lambda columns: -count % columns)
