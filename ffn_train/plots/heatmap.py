"""Heat map of every layer's gradient norm, layer by step."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import NDArray

from ffn_train.config.registry import choice
from ffn_train.plots.curves import NOT_FINITE, ZERO, mark
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import depth_stride, log_limits, log_ticks, set_ticks, step_axis
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import RED, SINGLE
from ffn_train.runs import Measures, Run

_FEW = 12  # layers: up to here each has its name on the axis
_SHORT = {"final_norm": "norm"}


@choice("figure", "heatmap")
class Heatmap(RunFigure):
    """log10 |dLoss/dθ|, input at the bottom; red where it is not finite, black where it is zero."""

    needs = ("gradient_norm",)

    def draw(self, run: Run) -> Figure:
        norms = run.measures.layer_gradient_norm.T
        steps = run.measures["gradient_norm"].step
        figure, (axes,) = sheet(run, "Parameter gradient of each layer", width=SINGLE, height=2.3)
        finite, zero = np.isfinite(norms), norms == 0
        low, high = log_limits(norms)
        bottom, top = np.log10([low, high])
        logs = np.log10(norms, out=np.full(norms.shape, bottom - 1), where=finite & ~zero)
        colours = matplotlib.colormaps["cividis"].with_extremes(under="black", bad=RED)
        shown = np.ma.masked_array(logs, mask=~finite)
        x, y = edges(steps), edges(np.arange(len(norms)))
        image = axes.pcolorfast(x, y, shown, cmap=colours, vmin=bottom, vmax=top)
        axes.grid(False)
        mark(axes, steps, *np.where(finite, 1, norms))  # a lone cell can be too thin to see

        step_axis(axes, steps)
        axes.set_xlim(x[0], x[-1])
        _layer_ticks(axes, run.measures)
        patches = [(~finite, RED, NOT_FINITE), (zero, "black", ZERO)]
        notes = [Patch(color=colour, label=label) for here, colour, label in patches if here.any()]
        below = 0.17 * len(notes) + 0.12 * bool(notes)
        if (finite & ~zero).any():
            _colour_bar(figure, axes, image, (low, high), below)
        right_legends(figure, axes, ("", notes), rows=len(notes))
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
    axes.yaxis.set_major_locator(FixedLocator(places))
    axes.yaxis.set_major_formatter(FixedFormatter([names[place] for place in places]))
    axes.set_ylabel("block $l$")


def _colour_bar(
    figure: Figure, axes: Axes, image: ScalarMappable, limits: tuple[float, float], below: float
) -> None:
    """A colour bar beside the axes, ticked in powers of ten; ``below``: inches free under it."""
    width, height = figure.get_size_inches()
    place = axes.get_position()
    bottom = place.y0 + below / height
    bar = figure.add_axes((place.x1 + 0.1 / width, bottom, 0.09 / width, place.y1 - bottom))
    figure.colorbar(image, cax=bar)
    major, minor = log_ticks(*limits)
    set_ticks(bar.yaxis, major, minor, logs=True)
    bar.set_ylabel(r"$\|\partial L/\partial\theta\|$")
