"""Parts of maps in colours: hatched cells and the colour bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.plots.scales import figure_of, log_ticks, set_ticks
from ffn_train.plots.style import INK, RED

LOST_LOOK: Any = {"hatch": "xxxx", "colour": RED}  # cells that are not finite
_TICK = 0.2  # inches of a colour bar that a label takes
ZERO_LOOK: Any = {"hatch": "////", "colour": INK}
# a colour bar's ``extend``: whether there are values below its scale, and above it
EXTEND = (("neither", "max"), ("min", "both"))


def colour_bar(
    panel: Axes,
    scale: Normalize,
    colours: Colormap,
    label: str = "",
    extend: str = "neither",
    *,
    within: tuple[float, float] = (0, 0),
) -> None:
    """A colour bar to the right of a panel, with its label above it.

    A logarithmic scale has ticks at powers of ten. ``within``: the inches of the panel's height
    that are kept free below and above the bar.
    """
    figure = figure_of(panel)
    box, (width, height) = panel.get_position(), figure.get_size_inches()
    below, above = np.array(within) / height
    place = box.x1 + 0.1 / width, box.y0 + below, 0.09 / width, box.height - below - above
    bar = figure.add_axes(place, label=str(panel.get_label()))
    figure.colorbar(ScalarMappable(scale, colours), cax=bar, extend=extend)
    if isinstance(scale, LogNorm):
        assert scale.vmin is not None
        assert scale.vmax is not None
        most = max(2, int(bar.get_position().height * height / _TICK))
        set_ticks(bar.yaxis, *log_ticks(scale.vmin, scale.vmax, min(most, 6)))
    raised: Any = {"xytext": (0, 4), "textcoords": "offset points", "va": "bottom", "size": 8}
    bar.annotate(label, (0, 1), xycoords="axes fraction", **raised)


def hatched(
    axes: Axes, x: Floats, y: Floats, where: NDArray[np.bool_], hatch: str, colour: ColorType
) -> None:
    """Hatch the cells ``where`` a map with the edges x and y has no colour."""
    if where.any():
        cells = np.ma.masked_where(~where, where)
        axes.pcolor(x, y, cells, cmap=ListedColormap(["white"]), hatch=hatch, ec=colour, lw=0)
