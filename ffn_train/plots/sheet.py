"""The sheet a figure is drawn on: header, panels side by side, and legends in the right margin.

Places are in inches from fixed margins: nothing is solved for, so drawing is quick and panels of
different runs line up.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ffn_train.config.combinations import unused
from ffn_train.plots.style import MUTED
from ffn_train.runs import Run

LEFT, RIGHT, TOP, BOTTOM = 0.66, 0.82, 0.46, 0.40
TITLE = 0.24  # inches that panel titles take
_EDGE = 0.08
_NOTE, _LINE = 0.12, 0.14  # inches that a third line of the header takes, and each further one
LETTER = 0.0068  # inches of a letter, for each point of its size
ROW = 8 * 1.36 / 72  # inches of one legend row


def sheet(run: Run, title: str, **places: Any) -> tuple[Figure, list[Axes]]:
    """A run's figure: a header with its settings, and its panels; ``places`` as for ``page``."""
    return page(title, describe(run), **places)


def page(
    title: str,
    note: str,
    *,
    width: float,
    height: float,
    panels: int = 1,
    gaps: Sequence[float] = (),
    right: float = RIGHT,
) -> tuple[Figure, list[Axes]]:
    """A figure with a header of two lines and its panels; ``gaps``: the inches between them."""
    figure = headed(title, note, width=width, height=height)
    top = TOP + (TITLE if panels > 1 else 0.06)
    each = (width - LEFT - right - sum(gaps)) / panels
    places = [LEFT + each * index + sum(gaps[:index]) for index in range(panels)]
    axes = [
        figure.add_axes(
            (x / width, BOTTOM / height, each / width, (height - BOTTOM - top) / height)
        )
        for x in places
    ]
    return figure, axes


def headed(title: str, note: str, *, width: float, height: float) -> Figure:
    """A figure of so many inches with a header of two lines and nothing else."""
    figure = Figure(figsize=(width, height))
    figure.text(_EDGE / width, 1 - _EDGE / height, title, va="top", size=9, weight="bold")
    figure.text(
        _EDGE / width,
        1 - 0.25 / height,
        note,
        va="top",
        size=7.5,
        color=MUTED,
        parse_math=False,
    )
    return figure


def note(figure: Figure, text: str) -> None:
    """A third line in the header, or more, for which the upper panels make room."""
    width, height = figure.get_size_inches()
    lines = wrapped(text, width)
    top = max(panel.get_position().y1 for panel in figure.axes)
    for panel in figure.axes:
        place = panel.get_position()
        less = (_NOTE + _LINE * (len(lines) - 1)) / height * (place.y1 > top - 1e-9)
        panel.set_position((place.x0, place.y0, place.width, place.height - less))
    for row, line in enumerate(lines):
        y = 1 - (0.41 + _LINE * row) / height
        figure.text(_EDGE / width, y, line, va="top", size=7.5, color=MUTED, parse_math=False)


def wrapped(text: str, width: float) -> list[str]:
    """The lines in which a header of so many inches has room for a text."""
    return textwrap.wrap(text, int((width - 2 * _EDGE) / (LETTER * 7.5)))


def describe(run: Run) -> str:
    """The settings that a reader asks for first, on one line."""

    def name(group: str) -> str:
        value = None if group in unused(run.config) else run.config.get(group)
        return str(value.get("name", "")) if isinstance(value, dict) else ""

    words = [
        f"depth {run.measures.depth}",
        f"residual {name('residual')}" if name("residual") else "",
        name("block") if name("block") != "feedforward" else "",
        name("activation"),
        f"norm {name('norm')}" if name("norm") not in ("", "none") else "",
        f"init {name('init')}" if name("init") else "",
    ]
    return " · ".join(word for word in words if word)


def right_legends(
    figure: Figure,
    panel: Axes,
    *groups: tuple[str, Sequence[Artist]],
    rows: int | None = None,
    columns: int = 1,
) -> None:
    """Legends one above the other to the right of a panel, each with its title.

    They start at the panel's top, or ``rows`` rows above its foot. An empty one is left out.
    """
    width, height = figure.get_size_inches()
    place = panel.get_position()
    y = place.y1 if rows is None else place.y0 + rows * ROW / height
    for title, handles in groups:
        if handles:
            figure.legend(
                handles=handles,
                title=title or None,
                loc="upper left",
                alignment="left",
                bbox_to_anchor=(place.x1 + 0.1 / width, y),
                ncols=columns,
                columnspacing=1.0,
            )
            y -= (len(handles) / columns + bool(title) + 0.6) * ROW / height


def sample(label: str, **look: object) -> Line2D:
    """A legend entry for a look that several curves share."""
    return Line2D([], [], label=label, **look)  # type: ignore[arg-type]
