"""Training and validation loss over steps, with that of the baseline."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.curves import band_entry, bin_size, drawn, mark, marks, trend
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.literal import literal
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import linear_axis, log_axis, step_axis
from ffn_train.plots.selection import scalar
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import INK, SINGLE
from ffn_train.runs import Run

_TRAINING, _VALIDATION = "#5b8fcf", "#9c3d0f"  # apart in greyscale, too


@choice("figure", "loss")
class Loss(RunFigure):
    """The loss over steps; y is logarithmic where the losses span more than a decade."""

    needs = ("loss",)

    def draw(self, run: Run) -> Figure:
        steps, training = scalar(run, "loss")
        validation = run.scalars.get("validation_loss", np.full(len(steps), np.nan))
        evaluated = ~np.isnan(validation)
        # the row that ends a run (no step is taken from it) always is: a gap there is a lost loss
        if evaluated.any() and np.isnan(run.scalars.get("lr", np.zeros(1))[-1]):
            evaluated[-1] = True
        floor = run.baseline_loss

        figure, (axes,) = sheet(run, "Loss", width=SINGLE, height=2.3, right=0.95)
        curves = training, validation[evaluated], np.array([] if floor is None else [floor])
        shown = np.concatenate([drawn(values).ravel() for values in curves])
        finite = shown[np.isfinite(shown)]
        decades = len(finite) > 0 and finite.max() > 10 * finite[finite > 0].min(initial=np.inf)
        (log_axis if decades else linear_axis)(axes, shown)

        size = bin_size(len(training))
        label = f"training,\nmean of {size}" if size > 1 else "training"
        entries: list[Artist] = [trend(axes, steps, training, color=_TRAINING, label=label)]
        entries += band_entry(len(training))
        if evaluated.any():
            taken = steps[evaluated], validation[evaluated]
            look = {"marker": "s", "linestyle": (0, (5, 1.2))}
            entries.append(trend(axes, *taken, color=_VALIDATION, label="validation", **look))
        if floor is not None:
            label = literal((run.score and run.score.baseline_name) or "baseline")
            dashed: Any = {"color": INK, "linewidth": 0.9, "dashes": (4, 2)}
            entries.append(axes.axhline(floor, label=label.replace(" ", "\n"), **dashed))
        entries += mark_legs(axes, run)
        mark(axes, steps, training, np.where(evaluated, validation, 1))
        step_axis(axes, steps)
        words = f"loss $L$ {run.provenance.loss_unit or ''}"
        axes.set_ylabel("\n".join(textwrap.wrap(words, 30)))
        right_legends(figure, axes, ("", [*entries, *marks(axes)]))
        return figure
