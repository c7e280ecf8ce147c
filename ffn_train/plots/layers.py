"""The gradient norm of each block over steps, and that of all parameters together."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.curves import block_curves, curve, mark, marks
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import log_axis, step_axis
from ffn_train.plots.selection import scalar, shown_blocks
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import SINGLE
from ffn_train.runs import Run


@choice("figure", "layers")
class Layers(RunFigure):
    """|dLoss/dθ| over the measured steps: a shallow stack's blocks, or five of a deep stack's."""

    needs = ("gradient_norm",)

    def draw(self, run: Run) -> Figure:
        measures = run.measures
        norms = shown_blocks(measures, measures.layer_gradient_norm)
        steps, total = scalar(run, "gradient_norm")
        measured = np.isin(steps, measures.step)  # the same batches as the blocks' norms
        steps, total = steps[measured], total[measured]

        figure, (axes,) = sheet(run, "Parameter gradient of each block", width=SINGLE, height=2.3)
        log_axis(axes, total, norms)
        whole = curve(axes, steps, total, color="black", linewidth=1.0, label="total")
        lines = block_curves(axes, measures.step, norms, measures.depth)
        mark(axes, steps, total)
        mark(axes, measures.step, *norms)
        step_axis(axes, measures.step)
        axes.set_ylabel(r"$\|\partial L/\partial\theta_l\|$")
        right_legends(figure, axes, ("block $l$", lines), ("", [whole, *marks(axes)]))
        return figure
