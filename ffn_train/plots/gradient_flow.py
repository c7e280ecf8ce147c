"""Gradient flow: the norms of parameter and signal gradients against depth, at several steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffn_train.config.registry import choice
from ffn_train.plots import expected as theory
from ffn_train.plots.appearance import requested
from ffn_train.plots.curves import marks, over_depth
from ffn_train.plots.run_figure import RunFigure
from ffn_train.plots.scales import depth_axis, log_axis, number
from ffn_train.plots.selection import rows
from ffn_train.plots.sheet import STRIP, lift, note, right_legends, sample, sheet
from ffn_train.plots.style import DOUBLE, INK, step_looks
from ffn_train.runs import Measures, Run
from ffn_train.theory import Prediction

_PARTS = ("skip_gradient_rms", "branch_gradient_rms")
_BRANCH: Mapping[str, Any] = {"dashes": (2.5, 1.2), "markerfacecolor": "white"}

Looks = Mapping[int, Mapping[str, Any]]  # of the rows drawn


@choice("figure", "gradient_flow")
class GradientFlow(RunFigure):
    """Gradients over depth at several steps.

    In three panels; a plain stack has no skip part and so no third panel:
    (a) |dLoss/dθ| of each block, (b) the root mean square of dLoss/dx_l for l = 0 ... L, (c) its
    skip and its branch part at the first and the last measured step. Below (a) and (b) stands what
    was measured at step 0 over what theory predicts.
    """

    needs = ("gradient_norm", "signal_gradient_rms")

    def draw(self, run: Run) -> Figure:
        measures = run.measures
        parted = measures.has(*_PARTS)
        measured, (norms, signal, *parts) = measures.common(
            "gradient_norm", "signal_gradient_rms", *(_PARTS if parted else ())
        )
        looks = step_looks(signal)
        predicted = theory.prediction(run)
        figure, axes = sheet(
            run,
            "Gradient flow",
            width=DOUBLE,
            height=2.55 + (STRIP if predicted else 0),
            panels=3 if parted else 2,
            gaps=(0.66, 0.12) if parted else (0.66,),
        )
        depth = measures.depth
        of_blocks = measures.by_layer(norms)[:, measures.block_columns]
        ends = {row: looks[row] for row in rows(signal, count=2)}
        log_axis(axes[0], of_blocks[list(looks)])
        for panel in axes[1:]:  # one scale for the whole and its parts, labelled once
            log_axis(panel, signal[list(looks)], *(part[list(ends)] for part in parts))
        over_depth(axes[0], of_blocks, looks)
        over_depth(axes[1], signal, looks)
        kinds = []
        if parted:
            for part, style in zip(parts, ({}, _BRANCH), strict=True):
                over_depth(axes[2], part, {row: {**look, **style} for row, look in ends.items()})
            if _beside(axes):
                axes[2].tick_params(axis="y", which="both", labelleft=False)
                axes[2].yaxis.label.set_visible(False)
            kinds = [
                sample("skip", **{**looks[0], "color": INK}),
                sample("branch", **{**looks[0], "color": INK, **_BRANCH}),
            ]
        titles = "(a)  parameter gradients", "(b)  signal gradients", "(c)  skip and branch part"
        signal_label = r"RMS $\partial L/\partial x_l$"
        labels = r"$\|\partial L/\partial\theta_l\|$", signal_label, signal_label
        for panel, title, label in zip(axes, titles, labels, strict=False):
            panel.set_title(title)
            panel.set_ylabel(label)
            depth_axis(panel, depth - (panel is not axes[1]), depth, "block boundary $l$")
        axes[0].set_xlabel("block $l$")
        if predicted is not None:
            _predicted(axes, run, predicted, looks)
        inside = [tensor.block is not None for tensor in measures.tensors]
        theory.caption(figure, run, "" if predicted is None else predicted.gaps(inside))
        _headline(figure, measures)
        steps = [sample(str(measured[row]), **look) for row, look in looks.items()]
        only = requested.get().only_panel  # the third one has the parts, but no prediction
        right_legends(
            figure,
            axes[-1],
            ("step", steps),
            ("part", kinds if only in (None, 3) else []),
            ("", []) if only == 3 else theory.legend(run),
            ("", marks(*figure.axes)),
        )
        return figure


def _predicted(axes: list[Axes], run: Run, predicted: Prediction, looks: Looks) -> None:
    """Line, band and strip for the first two panels."""
    measures = run.measures
    signal = measures["signal_gradient_rms"].values[0]
    flow = predicted.log_signal_gradient_rms, predicted.signal_gradient_sd, signal
    blocks = theory.of_blocks(run, predicted)
    whole = measures.mostly_of(~np.isnan(predicted.log_gradient_norm))[measures.block_columns]
    # beside the norms of whole blocks no line for a part of one
    lines = np.where(whole, blocks[0], np.nan), flow[0]
    beside = (), axes[2:]  # the parts have the scale of the whole
    for panel, line, (log, sd, norms), parts in zip(
        axes, lines, (blocks, flow), beside, strict=False
    ):
        theory.expect(panel, run, line, sd, parts)
        theory.strip(panel, run, (log, sd), norms, looks[0])
    if len(axes) > 2 and _beside(axes):
        lift(axes[2])


def _beside(axes: list[Axes]) -> bool:
    """Whether the third panel stands beside the second, not below it or alone."""
    return bool(axes[2].get_position().x0 > axes[1].get_position().x0)


def _headline(figure: Figure, measures: Measures) -> None:
    """The two figures that sum up the flow, at the first and the last measured step."""
    first, last = measures["signal_gradient_rms"].step[[0, -1]]
    width, height = figure.get_size_inches()
    beside = width >= DOUBLE  # beside the header; else below it
    formula = r"$\|\partial L/\partial x_0\|\,/\,\|\partial L/\partial x_L\|$"
    lines = (
        (formula if beside else "|dL/dx_0| / |dL/dx_L|", measures.gradient_ratio, 3),
        ("growth per block, from output to input", measures.growth_per_block, 4),
    )
    for row, (name, values, digits) in enumerate(lines):
        text = f"{name}:  {number(values[0], digits)} at step {first}"
        if last != first:
            text += f",  {number(values[-1], digits)} at step {last}"
        if beside:
            y = 1 - (0.08 + 0.17 * row) / height
            figure.text(1 - 0.08 / width, y, text, va="top", ha="right", size=8)
        else:
            note(figure, text, math=True)
