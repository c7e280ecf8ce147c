"""The figure of any quantity, drawn from its declaration alone."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.nn.core import Floats
from ffn_train.plots.curves import band_entry, curve, drawn, mark, marks, over_depth, tell, trend
from ffn_train.plots.legs import mark_legs
from ffn_train.plots.literal import literal
from ffn_train.plots.scales import depth_axis, linear_axis, log_axis, step_axis
from ffn_train.plots.settings import brief
from ffn_train.plots.sheet import BOTTOM, RIGHT, ROW, TITLE, TOP, note, right_legends, sample, sheet
from ffn_train.plots.style import DASHES, DOUBLE, INK, MARKERS, PALETTE, SINGLE, step_looks
from ffn_train.runs import Measures, Run
from ffn_train.runs.layout import TensorColumn
from ffn_train.runs.measures import Series

_LONGEST = 50  # letters of a title
_WORDS = 20  # letters of a unit that stands beside the axis, not in the header
_DASHES = DASHES[:3]  # once the colours are used up


def draw_quantity(run: Run, name: str) -> Figure:
    """A number per run over the steps; per block or boundary, over depth at several steps; per
    tensor, over the blocks at the first and the last step. Raises RunError if it was not measured.
    """
    series, measures = run.measures[name], run.measures
    per_tensor = series.column.per == "tensor" and len(series.step) > 1
    figure, axes = sheet(
        run,
        brief(name.replace("_", " ").capitalize(), _LONGEST, str),
        width=DOUBLE if per_tensor else SINGLE,
        height=max(2.3, TOP + TITLE + BOTTOM + ROW * (_rows(series, measures) + 2)),
        panels=2 if per_tensor else 1,
        gaps=(0.66,) if per_tensor else (),
        right=1.3 if series.column.per == "tensor" else RIGHT,
    )
    if series.column.absent or not len(series.step):
        tell(axes[0], series.column.absent or "no step was measured")
        return figure
    legends = _panels(axes, series, run)
    unit = series.column.unit
    beside = f" ({literal(unit)})" if unit and len(unit) < _WORDS else ""
    axes[0].set_ylabel((series.column.symbol or name) + beside)
    words = [series.column.says, f"In {unit}." if unit and not beside else ""]
    if any(words):
        note(figure, " ".join(filter(None, words)))
    right_legends(figure, axes[-1], *legends, ("", marks(*axes)))
    return figure


def _panels(axes: list[Axes], series: Series, run: Run) -> list[tuple[str, list[Artist]]]:
    """Draw the panels; their legends."""
    measures = run.measures
    below = (series.values[np.isfinite(series.values)] < 0).any()  # no axis of logarithms has that
    scale = log_axis if series.column.log and not below else linear_axis
    if series.column.per == "run":
        scale(axes[0], drawn(series.values))
        trend(axes[0], series.step, series.values, color=INK)
        mark(axes[0], series.step, series.values)
        step_axis(axes[0], series.step)
        return [("", [*band_entry(len(series.step)), *mark_legs(axes[0], run)])]
    if series.column.per == "tensor":
        shown = series.values[[0, -1] if len(axes) > 1 else [0]]
        for panel, values, step in zip(axes, shown, series.step[[0, -1]], strict=False):
            scale(panel, shown)
            handles = _of_tensors(panel, values, measures)
            panel.set_title(f"step {step}")
        return [("tensor", handles)]
    looks = step_looks(series.values)
    scale(axes[0], series.values[list(looks)])
    over_depth(axes[0], series.values, looks)
    what = "block boundary $l$" if series.column.per == "boundary" else "block $l$"
    depth_axis(axes[0], series.values.shape[1] - 1, measures.depth, what)
    steps = [sample(str(series.step[row]), **look) for row, look in looks.items()]
    return [("step", [*steps])]


def _rows(series: Series, measures: Measures) -> int:
    """How many rows the legend of tensors has."""
    labels = {_label(tensor) for tensor in measures.tensors}
    return len(labels) + 1 if series.column.per == "tensor" else 0


def _label(tensor: TensorColumn) -> str:
    return tensor.role if tensor.block is not None else f"{tensor.layer} {tensor.role}"


def _of_tensors(panel: Axes, values: Floats, measures: Measures) -> list[Artist]:
    """A line over the blocks for each role of a tensor, and a mark for each outside the blocks, at
    the side of the stack where it lies; their legend.
    """
    places: dict[str, list[tuple[int, float]]] = {}
    first = min((t.order for t in measures.tensors if t.block is not None), default=0)
    for tensor, value in zip(measures.tensors, values.tolist(), strict=True):
        place = (
            (-1 if tensor.order < first else measures.depth)
            if tensor.block is None
            else tensor.block
        )
        places.setdefault(_label(tensor), []).append((place, value))
    handles: list[Artist] = []
    for index, (label, points) in enumerate(places.items()):
        look = {
            "color": PALETTE[index % len(PALETTE)],
            "linestyle": _DASHES[index // len(PALETTE) % len(_DASHES)],
            "marker": MARKERS[index % len(MARKERS)],
        }
        x, y = map(np.array, zip(*sorted(points), strict=True))
        handles.append(curve(panel, x, y, label=literal(label), **look))
        mark(panel, x, y)
    depth_axis(panel, measures.depth - 1, measures.depth, "block $l$")
    panel.set_xlim(-1.5, measures.depth + 0.5)
    return handles
