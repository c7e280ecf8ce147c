"""Training and validation loss over steps, with that of the baseline."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import curve, mark, marks
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import linear_axis, log_axis, step_axis
from ffn_train.plots.selection import scalar
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import INK, SINGLE
from ffn_train.runs import Run

_TRAINING, _VALIDATION = "#3b6fb6", "#c2501c"
_BINS = 50


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
        shown = np.concatenate([training, validation[evaluated], [] if floor is None else [floor]])
        finite = shown[np.isfinite(shown)]
        decades = len(finite) > 0 and finite.max() > 10 * finite[finite > 0].min(initial=np.inf)
        (log_axis if decades else linear_axis)(axes, shown)

        entries = []
        if len(training) >= 4 * _BINS:
            size, centres, means = binned(steps, training)
            thin = {"color": _TRAINING, "linewidth": 0.6, "alpha": 0.45}
            entries.append(curve(axes, steps, training, label="training", **thin))
            label = f"mean of {size}"
            entries.append(curve(axes, centres, means, color=_TRAINING, label=label))
        else:
            entries.append(curve(axes, steps, training, color=_TRAINING, label="training"))
        if evaluated.any():
            taken = steps[evaluated], validation[evaluated]
            entries.append(curve(axes, *taken, color=_VALIDATION, label="validation"))
        if floor is not None:
            label = ((run.score and run.score.baseline_name) or "baseline").replace(" ", "\n")
            entries.append(axes.axhline(floor, color=INK, linewidth=0.9, label=label))
            entries[-1].set_dashes((4, 2))
        mark(axes, steps, training, np.where(evaluated, validation, 1))
        step_axis(axes, steps)
        words = f"loss $L$ {run.provenance.loss_unit or ''}"
        axes.set_ylabel("\n".join(textwrap.wrap(words, 30)))
        right_legends(figure, axes, ("", [*entries, *marks(axes)]))
        return figure


def binned(steps: Floats, values: Floats) -> tuple[int, Floats, Floats]:
    """Means over bins of so many consecutive steps: the size, the bins' centres, their means."""
    size = len(values) // _BINS
    starts = np.arange(0, len(values), size)
    counts = np.diff(np.append(starts, len(values)))
    return size, np.add.reduceat(steps, starts) / counts, np.add.reduceat(values, starts) / counts


def smoothed(steps: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The curve itself, or that of its means over bins once it has many points."""
    return binned(steps, values)[1:] if len(values) >= 4 * _BINS else (steps, values)
