"""What the model predicts for the validation rows, against what is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.nn.core import Floats
from ffn_train.plots.curves import BEYOND, mark, marks, tell
from ffn_train.plots.literal import legible, literal
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import linear_axis, linear_ticks
from ffn_train.plots.selection import evenly
from ffn_train.plots.settings import briefs
from ffn_train.plots.sheet import STRIP, note, right_legends, sample, sheet, strip_below
from ffn_train.plots.style import DOUBLE, INK, MUTED, SINGLE
from ffn_train.runs import Run
from ffn_train.runs.files import PREDICTIONS

_MOST = 3  # panels
_DENSE = 300  # dots: the more there are beyond, the fainter they are
_MANY = 2000  # dots: from here on a picture within an SVG or a PDF
_DOTS: Any = {"linestyle": "none", "marker": "o", "markeredgewidth": 0}
_TRUE: Any = {**_DOTS, "color": MUTED, "marker": "D"}
_PREDICTED: Any = {**_DOTS, "color": "#3b6fb6"}
_IDEAL: Any = {"color": INK, "linewidth": 0.9, "dashes": (4, 2)}


@choice("figure", "predictions")
class Predictions(RunFigure):
    """Predicted against true values of each target, and the residuals below, in its own unit.

    Where there is a single input, true and predicted values over it, too.
    """

    needs = (PREDICTIONS,)
    kinds = ("regression",)

    def draw(self, run: Run) -> Figure:
        outputs, origin = run.outputs(), run.provenance
        count = outputs.true.shape[1]
        names = _short(origin.targets or ["target"] * count)
        over_input = outputs.input is not None
        targets = evenly(range(count), _MOST - over_input)
        panels = len(targets) + over_input
        figure, axes = sheet(
            run,
            "Predictions for the validation rows",
            width=SINGLE if panels == 1 else DOUBLE,
            height=2.3 + STRIP,
            panels=panels,
            gaps=[0.6] * (panels - 1),
        )
        entries = [sample("row", markersize=3, **_PREDICTED)]
        if outputs.input is not None:
            x, order = np.sort(outputs.input), np.argsort(outputs.input)
            true, predicted = (v[order, targets[0]] for v in (outputs.true, outputs.predicted))
            _panel(axes[0], x, true, predicted, *_short((origin.inputs or ["input"])[:1]))
            _dots(axes[0], x, true, _TRUE)
            axes[0].plot(x, predicted, linewidth=1, color=_PREDICTED["color"])
            axes[0].set_title(f"{names[targets[0]]} over the input")
            axes[0].set_ylabel(names[targets[0]])
            entries = [
                sample("predicted", markersize=3, **{**_PREDICTED, "linestyle": "-"}),
                sample("true", markersize=3, **_TRUE),
            ]
        for panel, target in zip(axes[over_input:], targets, strict=True):
            true, predicted = outputs.true[:, target], outputs.predicted[:, target]
            name = f"true {names[target]}" if count == 1 else "true"
            _panel(panel, true, true, predicted, name)
            panel.axline((true[0], true[0]), slope=1, zorder=3, **_IDEAL)
            title = names[target] if count > 1 else "predicted against true"
            panel.set_title(title if panels > 1 else "")
            panel.set_ylabel("predicted")
        if len(targets) < count:
            note(figure, f"{len(targets)} of {count} targets")
        ideal = sample("predicted\n= true", **_IDEAL)
        right_legends(figure, axes[-1], ("", [*entries, ideal, *marks(*figure.axes)]))
        return figure


def _short(names: Sequence[str]) -> list[str]:
    return [literal(name) for name in briefs(names, 20, legible)]


def _panel(panel: Axes, x: Floats, true: Floats, predicted: Floats, label: str) -> None:
    """Predicted values over x, and below them how far they are from the true ones.

    A prediction that is off by more than the range of the true values, if they have one, is marked
    at the edge.
    """
    order = np.argsort(x)
    x, true, predicted = x[order], true[order], predicted[order]
    panel.set_xlim(*_padded(x))
    linear_ticks(panel.xaxis, 4)
    panel.set_xlabel(label)
    strip = strip_below(panel, "residual")
    strip.axhline(0, zorder=3, **_IDEAL)
    residual = predicted - true
    near = np.abs(residual) <= (float(np.ptp(true)) or np.inf)
    for axes, values, shown in (
        (panel, predicted, np.concatenate([true, predicted[near]])),
        (strip, residual, np.append(residual[near], 0)),
    ):
        linear_axis(axes, shown)
        low, high = axes.get_ylim()
        _dots(axes, x, values, _PREDICTED)
        for marker, beyond, height in (("^", values > high, high), ("v", values < low, low)):
            if beyond.any():
                look: Any = {**_PREDICTED, "marker": marker, "clip_on": False, "label": BEYOND}
                axes.plot(x[beyond], np.full(beyond.sum(), height), markersize=3, **look)
        mark(axes, x, np.where(np.isinf(values), 0, values))
    linear_ticks(strip.yaxis, 2)
    if not np.isfinite(predicted).any():
        tell(panel, "no prediction is finite")


def _padded(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = 0.04 * (high - low) or 0.1 * abs(high) or 0.5
    return low - pad, high + pad


def _dots(axes: Axes, x: Floats, y: Floats, look: Any) -> None:
    count = len(x)
    shade = min(1.0, (_DENSE / count) ** 0.5)
    axes.plot(x, y, markersize=1.8, alpha=shade, rasterized=count > _MANY, **look)
