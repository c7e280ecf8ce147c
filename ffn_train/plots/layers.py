"""The gradient norm of each block over steps, and that of all parameters together."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.curves import band_entry, block_curves, drawn, mark, marks, trend
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import log_axis, step_axis
from ffn_train.plots.selection import shown_blocks
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import SINGLE
from ffn_train.runs import Run

_TOTAL: Any = {"color": "black", "linewidth": 1.0, "marker": "*", "markersize": 4}


@choice("figure", "layers")
class Layers(RunFigure):
    """|dLoss/dθ| over the measured steps: a shallow stack's blocks, or five of a deep stack's."""

    needs = ("gradient_norm",)

    def draw(self, run: Run) -> Figure:
        measures = run.measures
        norms = shown_blocks(measures, measures.layer_gradient_norm)
        rows = measures["gradient_norm"].step
        steps = run.scalars["step"]
        total = run.scalars.get("gradient_norm", np.full(len(steps), np.nan))
        measured = np.isin(steps, rows) & ("gradient_norm" in run.scalars)  # of the same batches
        steps, total = steps[measured], total[measured]

        figure, (axes,) = sheet(run, "Parameter gradient of each block", width=SINGLE, height=2.3)
        log_axis(axes, drawn(total), drawn(norms))
        others: list[Artist] = []
        if len(total):
            others = [trend(axes, steps, total, label="total", **_TOTAL)]
        lines = block_curves(axes, rows, norms, measures.depth)
        mark(axes, steps, total)
        mark(axes, rows, *norms)
        others += [*band_entry(len(rows)), *mark_legs(axes, run)]
        step_axis(axes, rows)
        axes.set_ylabel(r"$\|\partial L/\partial\theta_l\|$")
        right_legends(figure, axes, ("block $l$", lines), ("", [*others, *marks(axes)]))
        return figure
