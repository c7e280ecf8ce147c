"""Training and validation loss over steps, with that of the baseline."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.curves import band_entry, beyond, bin_size, drawn, mark, marks, trend
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.literal import literal
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import limit, linear_axis, log_axis, step_axis
from ffn_train.plots.selection import FAR, bounded, scalar
from ffn_train.plots.sheet import right_legends, sheet
from ffn_train.plots.style import INK, SINGLE
from ffn_train.runs import Run
from ffn_train.runs.outcome import evaluated

_TRAINING, _VALIDATION = "#5b8fcf", "#9c3d0f"  # apart in greyscale, too


@choice("figure", "loss")
class Loss(RunFigure):
    """The loss over steps; y is logarithmic where the losses span more than a decade.

    It ends at ``FAR`` times the loss of predicting the mean, unless most losses are above;
    triangles mark what lies beyond it.
    """

    needs = ("loss",)

    def draw(self, run: Run) -> Figure:
        steps, training = scalar(run, "loss")
        validation = run.scalars.get("validation_loss", np.full(len(steps), np.nan))
        known = evaluated(run, "validation_loss")
        floor = run.baseline_loss

        figure, (axes,) = sheet(run, "Loss", width=SINGLE, height=2.3, right=0.95)
        curves = training, validation[known], np.array([] if floor is None else [floor])
        shown = np.concatenate([drawn(values).ravel() for values in curves])
        ceiling = FAR * (run.provenance.trivial_loss or floor or np.inf)
        finite = shown[np.isfinite(shown)]
        inside = bounded(finite, ceiling)
        cut = len(inside) < len(finite)
        decades = cut or (
            len(finite) > 0 and finite.max() > 10 * finite[finite > 0].min(initial=np.inf)
        )
        (log_axis if decades else linear_axis)(axes, inside)
        if cut:
            limit(axes, Appearance(ylim=(axes.get_ylim()[0], ceiling)))

        label = _label("training", len(training))
        entries: list[Artist] = [trend(axes, steps, training, color=_TRAINING, label=label)]
        entries += band_entry(len(training), int(known.sum()))
        if known.any():
            taken = steps[known], validation[known]
            look = {"marker": "s", "linestyle": (0, (5, 1.2))}
            label = _label("validation", len(taken[0]))
            entries.append(trend(axes, *taken, color=_VALIDATION, label=label, **look))
            if cut:
                beyond(axes, *taken, _VALIDATION)
        if cut:
            beyond(axes, steps, training, _TRAINING)
        if floor is not None:
            label = literal((run.score and run.score.baseline_name) or "baseline")
            dotted: Any = {"color": INK, "linewidth": 1.1, "dashes": (1, 1.2)}
            entries.append(axes.axhline(floor, label=label.replace(" ", "\n"), **dotted))
        entries += mark_legs(axes, run)
        mark(axes, steps, training, np.where(known, validation, 1))
        step_axis(axes, steps)
        words = f"loss $L$ {run.provenance.loss_unit or ''}"
        axes.set_ylabel("\n".join(textwrap.wrap(words, 30)))
        right_legends(figure, axes, ("", [*entries, *marks(axes)]))
        return figure


def _label(name: str, count: int) -> str:
    """What a curve of so many values is called: what is drawn of a long one are means."""
    size = bin_size(count)
    return f"{name},\nmean of {size}" if size > 1 else name
