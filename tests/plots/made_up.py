"""Made-up runs and what their figures are asked, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ffn_train.runs import Run, files, load_run
from ffn_train.runs.layout import RunLayout, layout_of
from ffn_train.runs.outputs import Outputs
from ffn_train.runs.writer import RunWriter, row_dtypes
from ffn_train.theory import Prediction
from ffn_train.train.cadence import Cadence
from ffn_train.train.instruments import instruments
from tests.support.choices import tiny

# those of a regression, and all that there are
ALL = ("gradient_flow", "heatmap", "layers", "loss", "predictions", "signal", "updates")
DECLARED = ("confusion", *ALL)


def layout(depth: int, *, residual: bool = True, rectifies: bool = True) -> RunLayout:
    names = {"residual": "scaled" if residual else "none", "norm": "none", "block": "feedforward"}
    names["activation"] = "relu" if rectifies else "tanh"
    return layout_of(tiny(names, depth=depth), instruments("default", Cadence(1, 1000)))


def make_run(
    path: Path,
    *,
    depth: int = 4,
    steps: int = 6,
    residual: bool = True,
    rectifies: bool = True,
    spoil: Any = None,
    ended: bool = True,
    clipped: bool = False,
    gap: bool = False,
) -> Run:
    """A run directory of made-up numbers; ``spoil(row, step)`` changes a row as it is written.

    ``gap``: the last row has no validation loss.
    """
    rng = np.random.default_rng(depth)
    path.mkdir(parents=True, exist_ok=True)
    kind = "scaled" if residual else "none"
    config = {"task": {}, "residual": {"name": kind}, "activation": {"name": "gelu"}}
    files.write_json(path / files.CONFIG, config)
    origin = {"least_squares_loss": 0.5, "kind": "regression", "engine": "numpy"}
    files.write_json(path / files.PROVENANCE, origin)
    columns = layout(depth, residual=residual, rectifies=rectifies)
    with RunWriter(path, columns) as writer:
        for step in range(steps):
            row = np.zeros((), row_dtypes(columns)["measures.npy"])
            for name in row.dtype.names or ():
                row[name] = np.exp(rng.normal(size=row[name].shape))
            row["step"] = 10 * step
            row["dead_share"] = 0.25 if rectifies else np.nan
            if not residual:
                row["skip_gradient_rms"] = row["branch_gradient_rms"] = np.nan
            if step == steps - 1 and ended:
                row["update_norm"] = np.nan
            scalars = {"step": 10 * step, "loss": 1 / (step + 1), "gradient_norm": 3.0}
            scalars["lr"] = np.nan if step == steps - 1 and ended else 0.1
            if clipped:
                scalars["clipped_norm"] = np.nan if step == steps - 1 and ended else 1.0
            unknown = gap if step == steps - 1 else step % 2
            scalars["validation_loss"] = np.nan if unknown else 1 / (step + 2)
            if spoil is not None:
                spoil(row, step)
            cells = {name: None if np.isnan(value) else value for name, value in scalars.items()}
            writer.record(cells, {name: row[name] for name in row.dtype.names or ()})
    files.write_json(path / files.SUMMARY, {"state": "finished"})
    outputs(targets=1).write(path)
    return load_run(path)


def outputs(*, targets: int, inputs: int = 2, rows: int = 40) -> Outputs:
    """Predictions near the truth."""
    rng = np.random.default_rng(rows)
    true = rng.normal(size=(rows, targets))
    x = rng.normal(size=rows) if inputs == 1 else None
    return Outputs(np.arange(rows), true, true + 0.1 * rng.normal(size=true.shape), x)


def spoilt_row(row: Any, step: int) -> None:
    """The third measured step is NaN from the read-out to the input, with an infinity."""
    if step == 2:
        for name in row.dtype.names:
            if name != "step":
                row[name] = np.nan
        row["gradient_norm"][0] = np.inf


def lost(row: Any, step: int) -> None:
    row["gradient_norm"] = np.inf


def labels(drawn: Figure) -> set[str]:
    words = {str(line.get_label()) for axes in drawn.axes for line in axes.get_lines()}
    return words | {text.get_text() for legend in drawn.legends for text in legend.get_texts()}


def curves(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    lines = axes.get_lines()
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in lines]


def legend_colours(drawn: Figure, blocks: list[str]) -> dict[str, Any]:
    return {
        line.get_label(): to_rgba(line.get_color())
        for line in drawn.axes[0].get_lines()
        if line.get_label() in blocks
    }


def zeros_of(axes: Axes) -> list[float]:
    (line,) = [line for line in axes.get_lines() if line.get_label() == "zero"]
    return [float(x) for x in np.asarray(line.get_xdata())]


def constant(blocks: int, tensors: int, *, signal: float = 0, gradient: float = 0) -> Prediction:
    """A prediction of one value everywhere, given by its logarithm."""
    logs, sds = np.full(blocks + 1, float(signal)), np.full(blocks + 1, 0.1)
    return Prediction(logs, logs, np.full(tensors, float(gradient)), sds, sds, np.ones(tensors))


def prediction(depth: int, growth: float) -> Prediction:
    log, sd = growth * np.arange(depth + 1.0), np.full(depth + 1, 0.2)
    return Prediction(log, log[::-1], np.zeros(1), sd, sd, np.ones(1))
