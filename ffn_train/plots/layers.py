"""The gradient norm of each block over steps, and that of all parameters together."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ffn_train.plots.curves import curve, mark, marks
from ffn_train.plots.scales import log_axis, step_axis
from ffn_train.plots.selection import block_columns, blocks, scalar
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import SINGLE, block_look
from ffn_train.runs import Run

NAME = "layers"


def draw(run: Run) -> Figure:
    """|dLoss/dθ| over the measured steps: a shallow stack's blocks, or five of a deep stack's."""
    measures = run.measures
    columns = block_columns(measures)
    norms = measures.layer_gradient_norm
    chosen = blocks(measures.depth)
    steps, total = scalar(run, "gradient_norm")
    measured = np.isin(steps, measures.step)  # the same batches as the blocks' norms
    steps, total = steps[measured], total[measured]

    figure, (axes,) = sheet(run, "Parameter gradient of each block", width=SINGLE, height=2.3)
    log_axis(axes, total, *(norms[:, columns[block]] for block in chosen))
    whole = curve(axes, steps, total, color="black", linewidth=1.0, label="total")
    lines = [
        curve(
            axes,
            measures.step,
            norms[:, columns[block]],
            label=str(block),
            **block_look(block, measures.depth),
        )
        for block in chosen
    ]
    mark(axes, steps, total)
    mark(axes, measures.step, *(norms[:, columns[block]] for block in chosen))
    step_axis(axes, measures.step)
    axes.set_ylabel(r"$\|\partial L/\partial\theta_l\|$")
    right_legends(figure, axes, ("block $l$", lines), ("", [whole, *marks(axes)]))
    return figure
