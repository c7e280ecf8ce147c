"""Heat map of every layer's gradient norm, layer by step."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ffn_train.config.registry import choice
from ffn_train.plots.curves import NOT_FINITE, ZERO, mark
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.maps import LOST_LOOK, ZERO_LOOK, colour_bar, hatched
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import depth_stride, fix_ticks, log_limits, step_axis
from ffn_train.plots.sheet import lines_of, right_legends, sheet
from ffn_train.plots.style import SINGLE
from ffn_train.runs import Measures, Run

_LABEL = 0.17  # inches of the label above the colour bar
_ROWS = 3  # of the legend that stand beside the map; the others hang below
_FEW = 12  # layers: up to here each has its name on the axis
_SHORT = {"final_norm": "norm"}


@choice("figure", "heatmap")
class Heatmap(RunFigure):
    """|dLoss/dθ|, input at the bottom; crossed where it is not finite, hatched where it is zero."""

    needs = ("gradient_norm",)

    def draw(self, run: Run) -> Figure:
        norms = run.measures.layer_gradient_norm.T
        steps = run.measures["gradient_norm"].step
        figure, (axes,) = sheet(run, "Parameter gradient of each layer", width=SINGLE, height=2.3)
        lost, zero = ~np.isfinite(norms), norms == 0
        scale, colours = LogNorm(*log_limits(norms)), matplotlib.colormaps["cividis"]
        x, y = edges(steps), edges(np.arange(len(norms)))
        shown = np.ma.masked_where(lost | zero, norms)
        axes.pcolorfast(x, y, shown, cmap=colours, norm=scale)
        hatched(axes, x, y, lost, **LOST_LOOK)
        hatched(axes, x, y, zero, **ZERO_LOOK)
        axes.grid(False)
        mark(axes, steps, *np.where(lost, norms, 1))  # a lone cell can be too thin to see

        notes: list[Artist] = [
            Patch(facecolor="white", edgecolor=look["colour"], hatch=look["hatch"], label=label)
            for where, look, label in ((lost, LOST_LOOK, NOT_FINITE), (zero, ZERO_LOOK, ZERO))
            if where.any()
        ]
        notes += mark_legs(axes, run)
        step_axis(axes, steps)
        axes.set_xlim(x[0], x[-1])
        _layer_ticks(axes, run.measures)
        rows = min(math.ceil(sum(map(lines_of, notes))), _ROWS)
        if not (lost | zero).all():
            free = 0.17 * rows + 0.12 * bool(rows), _LABEL
            colour_bar(axes, scale, colours, r"$\|\partial L/\partial\theta\|$", within=free)
        right_legends(figure, axes, ("", notes), rows=rows)
        return figure


def edges(centres: NDArray[Any]) -> NDArray[np.float64]:
    """The borders of cells around increasing centres: midway, and as far out at both ends."""
    centres = centres.astype(np.float64)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[:-1] + centres[1:]) / 2
    first, last = 2 * centres[0] - middles[0], 2 * centres[-1] - middles[-1]
    return np.concatenate([[first], middles, [last]])


def _layer_ticks(axes: Axes, measures: Measures) -> None:
    """Names for a few layers; for many, input and output and blocks at round numbers."""
    names = [_SHORT.get(layer, layer) for layer in measures.layers]
    for block, place in enumerate(measures.block_columns):
        names[place] = str(block)
    last = len(names) - 1
    if len(names) <= _FEW:
        places = list(range(len(names)))
    else:
        stride = depth_stride(measures.depth)
        places = [0, *range(1 + stride, last - stride // 2, stride), last]
    fix_ticks(axes.yaxis, places, [names[place] for place in places])
    axes.set_ylabel("block $l$")
