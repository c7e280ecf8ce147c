"""The relative size of each block's updates over steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.curves import (
    band_entry,
    block_curves,
    drawn,
    mark,
    marks,
    no_weights,
    tell,
)
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import limit, log_axis, step_axis
from ffn_train.plots.selection import shown_blocks
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import MUTED, RED, SINGLE
from ffn_train.runs import Run
from ffn_train.runs.outcome import clipped

_STROKES = 60  # that have room side by side
_FOOT = 0.06  # the share of a panel's height that makes room for them
GUIDE = 1e-3  # a step of a thousandth of the weights: the usual rule of thumb


@choice("figure", "updates")
class Updates(RunFigure):
    """|Δθ|/|θ| over the measured steps, for the same blocks as in ``layers``; what was clipped."""

    needs = ("weight_norm", "update_norm")

    def draw(self, run: Run) -> Figure:
        measures = run.measures
        steps, (_, weights) = measures.common("update_norm", "weight_norm")
        none = shown_blocks(measures, measures.by_layer(weights)) == 0
        ratio = shown_blocks(measures, measures.update_ratio)
        figure, (axes,) = sheet(
            run, "Update against weight of each block", width=SINGLE, height=2.3, right=1.05
        )
        log_axis(axes, [GUIDE], drawn(ratio))
        guide = axes.axhline(GUIDE, color=MUTED, linewidth=0.9, dashes=(4, 2))
        guide.set_label("rule of thumb,\n$10^{-3}$ a step")
        lines = block_curves(axes, steps, ratio, measures.depth)
        mark(axes, steps, *np.where(none, GUIDE, ratio))
        no_weights(axes, steps, none.any(axis=0))
        if not len(steps):
            tell(axes, "no step was taken")
        step_axis(axes, measures["weight_norm"].step)
        axes.set_ylabel(r"$\|\Delta\theta_l\|/\|\theta_l\|$")
        _mark_clipped(axes, run)
        others: list[Artist] = [guide, *band_entry(len(steps)), *mark_legs(axes, run)]
        right_legends(figure, axes, ("block $l$", lines), ("", [*others, *marks(axes)]))
        return figure


def _mark_clipped(axes: Axes, run: Run) -> None:
    """A stroke below all curves for each step whose gradient was clipped, and their number."""
    cut = clipped(run)
    if cut is None or not cut.any():
        return
    steps = run.scalars["step"][: len(cut)]
    column = np.floor(_STROKES * steps / max(float(steps[-1]), 1))  # more would touch
    places = steps[cut][np.unique(column[cut], return_index=True)[1]]
    below = axes.transAxes.transform((0, -_FOOT))
    limit(
        axes, Appearance(ylim=(axes.transData.inverted().transform(below)[1], axes.get_ylim()[1]))
    )
    look: Any = {"marker": "|", "linestyle": "none", "markersize": 4.0, "color": RED}
    axes.plot(places, [0.02] * len(places), transform=axes.get_xaxis_transform(), **look)
    rows = " rows" * bool(steps[-1] >= len(cut))  # only some steps have one
    axes.set_xlabel(f"step (strokes: clipped, {cut.sum()} of {len(cut)}{rows})")
