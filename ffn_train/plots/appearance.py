"""What can be requested of a figure's appearance; importing it does not import matplotlib."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """``only_panel``: the only panel to draw, counted from 1; ``inches``: the width of a figure,
    legends included; ``xlim``, ``ylim``: the limits of the axes of curves; ``title``: whether there
    is a header; ``markers``: whether curves have markers. None leaves the choice to the figure.
    """

    only_panel: int | None = None
    inches: float | None = None
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    title: bool = True
    markers: bool = True


USUAL = Appearance()
requested = ContextVar("requested", default=USUAL)  # of the figure that is being drawn
