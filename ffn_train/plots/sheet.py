"""The sheet a figure is drawn on: header, panels side by side, and legends in the right margin.

Places are in inches from fixed margins: no layout has to be solved for, so drawing is quick and
panels of different runs line up.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Floats
from ffn_train.plots.appearance import Appearance, requested
from ffn_train.plots.literal import legible
from ffn_train.plots.scales import figure_of, limit
from ffn_train.plots.settings import flatten, in_words, joined
from ffn_train.plots.style import LETTER, MUTED, SINGLE
from ffn_train.report.headline import headline
from ffn_train.runs import Run
from ffn_train.runs.finding import NOTHING
from ffn_train.runs.status import status

LEFT, RIGHT, TOP, BOTTOM = 0.66, 0.87, 0.46, 0.40
TITLE = 0.24  # inches that panel titles take
_EDGE = 0.08
_HEADER_LINE = 0.13  # inches of a further line below a figure's title
_HALF = 1.1 * SINGLE  # inches of such a line; its letters are narrower than others
_NOTE, _LINE = 0.12, 0.13  # inches that a note below the header takes, and each further line of it
_NARROWEST = 0.85  # inches of a panel that stands beside another one
STRIP = 0.62  # inches that a strip below a panel adds to a figure's height
_GAP = 0.12  # inches between both
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
    """A figure with a header and its panels, side by side or, where they would be too narrow, one
    above the other. ``height``: with a note of one line; ``gaps``: the inches between panels.

    If only one of the panels is requested, each has all the room.
    """
    appearance = requested.get()
    alone = appearance.only_panel is not None
    width = appearance.inches or (SINGLE if alone and panels > 1 else width)
    room = width - LEFT - right
    each = room if alone else (room - sum(gaps)) / panels
    places = [(each * index + sum(gaps[:index]), 0) for index in range(panels)]
    if alone:
        places = [(0, 0)] * panels
    elif panels > 1 and each < _NARROWEST:
        each, places = room, [(0, row) for row in range(panels)]
    header = TOP + _HEADER_LINE * note.count("\n") if appearance.title else 0.1
    above = TITLE if panels > 1 else 0.06
    tall = height - TOP - above - BOTTOM  # of a panel
    total = header + (above + tall + BOTTOM) * (places[-1][1] + 1)
    figure = headed(title, note, width=width, height=total)
    axes = []
    for index, (x, row) in enumerate(places):
        y = total - header - (above + tall + BOTTOM) * row - above - tall
        box = (LEFT + x) / width, y / total, each / width, tall / total
        axes.append(figure.add_axes(box, label=f"panel {index + 1}"))
    return figure, axes


class _Shown(Figure):
    """A figure that a notebook shows as a picture; without pyplot it would show only its repr."""

    def _repr_png_(self) -> bytes:
        from ffn_train.plots import encoded  # which imports this module

        return encoded(self, "png")


def headed(title: str, note: str, *, width: float, height: float) -> Figure:
    """A figure of so many inches with a title, a note of any number of lines, and nothing else."""
    figure = _Shown(figsize=(width, height))
    figure.text(_EDGE / width, 1 - _EDGE / height, title, va="top", size=9, weight="bold")
    figure.text(
        _EDGE / width,
        1 - 0.25 / height,
        note,
        va="top",
        size=7.5,
        color=MUTED,
        parse_math=False,
        linespacing=1.2,
    )
    return figure


def note(figure: Figure, text: str, *, math: bool = False) -> None:
    """Further lines below the header, for which the upper panels make room."""
    if not requested.get().title:
        return
    width, height = figure.get_size_inches()
    lines = [text] if math else wrapped(legible(text), width)
    written = len(figure.texts) - 2  # lines of notes before this one
    top = max(panel.get_position().y1 for panel in figure.axes)
    for panel in figure.axes:
        place = panel.get_position()
        less = (_NOTE * (not written) + _LINE * (len(lines) - (not written))) / height
        less *= place.y1 > top - 1e-9
        panel.set_position((place.x0, place.y0, place.width, place.height - less))
    first = 0.42 + _HEADER_LINE * figure.texts[1].get_text().count("\n") + _LINE * written
    for row, line in enumerate(lines):
        y = 1 - (first + _LINE * row) / height
        figure.text(_EDGE / width, y, line, va="top", size=7.5, color=MUTED, parse_math=math)


def wrapped(text: str, width: float) -> list[str]:
    """The lines in which a header of so many inches has room for a text."""
    return textwrap.wrap(text, int((width - 2 * _EDGE) / (LETTER * 7.5)))


def strip_below(panel: Axes, label: str) -> Axes:
    """A narrow panel below another one, which shrinks to make room, with the same x axis."""
    figure = figure_of(panel)
    place, height = panel.get_position(), figure.get_size_inches()[1]
    lift(panel)
    box = place.x0, place.y0, place.width, (STRIP - _GAP) / height
    strip = figure.add_axes(box, label=str(panel.get_label()))
    strip.set_xlim(panel.get_xlim())
    strip.xaxis.set_major_locator(panel.xaxis.get_major_locator())
    strip.xaxis.set_major_formatter(panel.xaxis.get_major_formatter())
    strip.set_xlabel(panel.get_xlabel())
    panel.set_xlabel("")
    panel.tick_params(axis="x", labelbottom=False)
    strip.set_ylabel(label, size=7, color=MUTED)
    figure.align_ylabels([panel, strip])
    return strip


def lift(panel: Axes) -> None:
    """Lift a panel's foot to where a strip ends, or would."""
    place, foot = panel.get_position(), STRIP / figure_of(panel).get_size_inches()[1]
    panel.set_position((place.x0, place.y0 + foot, place.width, place.height - foot))


def adjust(figure: Figure, name: str, appearance: Appearance) -> None:
    """Keep only the requested panel, hide an unwanted header and set the requested limits.

    Raises SettingError.
    """
    labels = list(dict.fromkeys(str(axes.get_label()) for axes in figure.axes))
    number = appearance.only_panel
    if number is not None and not 1 <= number <= len(labels):
        raise SettingError(f"--only-panel must be 1 to {len(labels)} for {name}, got {number}")
    for index, label in enumerate(labels):
        panel, *beside = (axes for axes in figure.axes if axes.get_label() == label)
        if number not in (None, index + 1):
            for axes in (panel, *beside):
                axes.remove()
            continue
        limit(panel, appearance)
        for axes in beside:  # a strip, or a colour bar
            if axes.get_position().x0 == panel.get_position().x0:
                limit(axes, replace(appearance, ylim=None))
        if number is not None:
            panel.yaxis.label.set_visible(True)
    for text in figure.texts:
        text.set_visible(appearance.title)


def describe(run: Run) -> str:
    """What tells a run from others, in lines for half a page: its settings and its outcome."""
    settings = {**flatten(run.config), "model.depth": run.measures.depth}
    seed = settings.get("seed")
    words = [*in_words(settings), *([] if seed is None else [f"seed {seed}"])]
    lines = wrapped(joined(words), _HALF) + wrapped(joined(_outcome(run)), _HALF)
    return "\n".join(map(legible, lines))


def _outcome(run: Run) -> list[str]:
    """The state, the score and the verdict, in a few words each."""
    summary = run.summary
    if summary is None:
        steps: Floats = run.scalars["step"]
        state = run.state or "not ended"
        state = status(run.path).state if state == "running" else state  # or killed
        return [f"{state}, at step {steps[-1]:g}"] if len(steps) else []
    words = [f"{f.question}: {f.kind}" for f in summary.verdict if f.kind != NOTHING]
    judged = headline(run)
    if judged is not None:
        score, number, _ = judged
        value = f"{number:.3g}" if abs(number) >= 1e-3 else "0"
        value = value if np.isfinite(number) else "not finite"
        tested = " on the test rows" * (summary.test_score is not None)
        words.insert(0, f"{score.symbol} {value}{tested}")
    if summary.state != "finished":
        words.insert(0, summary.state)
    return words


def right_legends(
    figure: Figure,
    panel: Axes,
    *groups: tuple[str, Sequence[Artist]],
    rows: int | None = None,
    columns: int = 1,
) -> None:
    """Legends one above the other to the right of a panel, each with its title.

    They start at the top of the highest panel, or ``rows`` rows above the foot of this one; the
    figure grows where they would leave it. An empty one is left out.
    """
    groups = tuple(group for group in groups if group[1])
    lengths = [
        sum(lines_of(handle) for handle in handles) / columns + bool(title) + 0.6
        for title, handles in groups
    ]
    width, height = figure.get_size_inches()
    place = panel.get_position()
    y = max(axes.get_position().y1 for axes in figure.axes) * height
    if rows is not None:
        y = place.y0 * height + rows * ROW
    grown = _grow(figure, sum(lengths) * ROW - y)
    y, height = y + grown, height + grown
    for (title, handles), length in zip(groups, lengths, strict=True):
        figure.legend(
            handles=handles,
            title=title or None,
            loc="upper left",
            alignment="left",
            bbox_to_anchor=(place.x1 + 0.1 / width, y / height),
            ncols=columns,
            columnspacing=1.0,
        )
        y -= length * ROW


def lines_of(handle: Artist) -> float:
    """How many rows of a legend an entry takes."""
    lines = 1 + str(handle.get_label()).count("\n")
    return 1.1 * lines + 0.25 if lines > 1 else 1


def _grow(figure: Figure, inches: float) -> float:
    """Add height at the foot unless it is below 0, and return it; what is drawn keeps its size."""
    if inches <= 0:
        return 0
    width, height = figure.get_size_inches()
    taller = height + inches
    figure.set_size_inches(width, taller)
    for axes in figure.axes:
        place = axes.get_position()
        bottom = (place.y0 * height + inches) / taller
        axes.set_position((place.x0, bottom, place.width, place.height * height / taller))
    for text in figure.texts:
        text.set_y((text.get_position()[1] * height + inches) / taller)
    return inches


def sample(label: str, **look: object) -> Line2D:
    """A legend entry for a look that several curves share."""
    return Line2D([], [], label=label, **look)  # type: ignore[arg-type]
