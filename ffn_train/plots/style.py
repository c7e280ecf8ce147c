"""The look that all figures share: sizes, type, and colours that hold in greyscale.

Layers are coloured by their place in the stack (viridis, input dark to output light), steps by
their order (plasma, first dark to last light). Both maps grow evenly lighter, so the order survives
greyscale print and colour blindness, and both stop short of the light end, which white swallows.
Each has its marker, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.typing import ColorType

from ffn_train.nn.core import Floats
from ffn_train.plots.appearance import requested
from ffn_train.plots.selection import SHALLOW, blocks, rows

SINGLE = 3.5  # inches: one column of a two-column page
DOUBLE = 7.0  # inches: the whole width

INK = "#222222"
MUTED = "#6b6b6b"
RED = "#d81b1b"
# for words, which have no order; apart under colour blindness too
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b4a9c", "#7a5230")

MARKERS = ("o", "s", "D", "v", "P", "X", "<", ">", "p", "h", "d")  # "^": a value beyond the axis
DASHES: Sequence[Any] = ("-", (0, (4, 1.6)), (0, (1.2, 1.4)), (0, (7, 1.6, 1.2, 1.6)))
LETTER = 0.0068  # inches of a letter, for each point of its size

# they ship with matplotlib, so every machine draws the same; the second has what the first lacks
FONTS = ("STIXGeneral", "DejaVu Sans")

_RC: Any = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "font.family": list(FONTS),
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.titley": 1.0,  # nothing stands above the axes that a title would have to give way to
    "axes.labelsize": 8.5,
    "axes.labelpad": 2.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": "#8c8c8c",
    "xtick.color": "#8c8c8c",
    "ytick.color": "#8c8c8c",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.4,
    "lines.solid_joinstyle": "round",
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.handletextpad": 0.5,
    "legend.labelspacing": 0.3,
    "legend.borderpad": 0,
    "legend.borderaxespad": 0,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "svg.hashsalt": "ffn_train",  # the same run gives the same bytes
}


@contextmanager
def look() -> Iterator[None]:
    """The context in which figures are made and saved; the settings outside stay as they are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a personal matplotlibrc must not change a figure
        matplotlib.rcParams.update(_RC)
        yield


def layer_colour(place: int, depth: int) -> ColorType:
    """The colour of a layer: place 0 is the input, 1 ... depth the blocks, depth + 1 the output."""
    return matplotlib.colormaps["viridis"](0.86 * place / (depth + 1))


def block_look(block: int, depth: int) -> dict[str, Any]:
    """The look of block 0 ... depth - 1; dashed where a deep stack's neighbours share a colour."""
    neighbour = depth > SHALLOW and block in (1, depth - 2)
    return {
        "color": layer_colour(block + 1, depth),
        "linestyle": (0, (2.5, 1.2)) if neighbour else "-",
        **_marker(blocks(depth).index(block)),
    }


def step_colour(order: int, count: int) -> ColorType:
    """The colour of the ``order``-th of ``count`` steps drawn."""
    return matplotlib.colormaps["plasma"](0.84 * order / max(count - 1, 1))


def step_look(order: int, count: int) -> dict[str, Any]:
    """Colour and marker of the ``order``-th of ``count`` steps drawn."""
    return {"color": step_colour(order, count), **_marker(order)}


def step_looks(values: Floats) -> dict[int, dict[str, Any]]:
    """The measured rows of a table (K, ...) that are drawn, each with its look."""
    chosen = rows(values)
    return {row: step_look(order, len(chosen)) for order, row in enumerate(chosen)}


def _marker(order: int) -> dict[str, Any]:
    marker = MARKERS[order % len(MARKERS)] if requested.get().markers else ""
    return {"marker": marker}
