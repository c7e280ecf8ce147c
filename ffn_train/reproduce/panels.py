"""A study's figure: panels side by side, the looks that studies share, legends on the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ffn_train.plots.scales import log_axis, set_ticks
from ffn_train.plots.sheet import page, right_legends
from ffn_train.plots.style import DOUBLE, INK, MUTED, step_colour

THEORY: dict[str, Any] = {
    "color": INK,
    "linewidth": 0.8,
    "linestyle": (0, (1, 2)),
    "zorder": 3,
    "label": "theory",
}
GUIDE: dict[str, Any] = {
    "color": MUTED,
    "linewidth": 0.8,
    "linestyle": (0, (5, 3)),
    "zorder": 1,
}
DEPTH, BLOCK = "depth $L$", "block $l$"


def marks(order: int, count: int) -> dict[str, Any]:
    """The ``order``-th of ``count`` kinds of marks, apart by colour and by form."""
    return {
        "color": step_colour(order, count),
        "marker": "osD^"[order],
        "markersize": 4,
        "linestyle": "none",
    }


def panels(
    title: str,
    note: str,
    axes: Mapping[str, str],
    ticks: Mapping[str, Sequence[float]],
    *,
    right: float,
    gaps: Sequence[float] = (0.62, 0.62),
    height: float = 2.7,
) -> tuple[Figure, list[Axes]]:
    """Panels side by side; ``axes``: the x axis's label under each panel's title.

    ``ticks``: those of an x axis with this label, which makes it logarithmic. ``right``: inches for
    the legends; ``gaps``: inches between panels.
    """
    figure, places = page(
        title,
        note,
        width=DOUBLE,
        height=height,
        panels=len(axes),
        gaps=gaps[: len(axes) - 1],
        right=right,
    )
    for panel, letter, (name, label) in zip(places, "abc", axes.items(), strict=False):
        panel.set_title(f"({letter}) {name}")
        panel.set_xlabel(label)
        if label in ticks:
            panel.set_xscale("log")
            set_ticks(panel.xaxis, ticks[label], [])
    return figure, places


def finished(figure: Figure) -> Figure:
    """The figure with legends, and a logarithmic y axis where a panel has no limits of its own.

    A legend for each ``gid`` of labelled lines, which is its heading, in the order of drawing;
    those without one stand last.
    """
    groups: dict[str, dict[str, Line2D]] = {}
    for panel in figure.axes:
        if panel.get_autoscaley_on():
            log_axis(panel, *(line.get_ydata() for line in panel.lines))
        for line in panel.lines:
            label = str(line.get_label())
            if not label.startswith("_"):
                groups.setdefault(line.get_gid() or "", {}).setdefault(label, line)
    last = groups.pop("", {})
    legends = [(heading, list(lines.values())) for heading, lines in groups.items()]
    right_legends(figure, figure.axes[-1], *legends, ("", list(last.values())))
    return figure
