"""A run's outcome, computed from its rows, at its end or so far."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.core import Floats
from ffn_train.runs.reader import Run
from ffn_train.runs.scalars import logged
from ffn_train.runs.score import ScoreResult
from ffn_train.runs.summary import Summary

LAST, SHARE = 20, 0.1  # rows of scalars.csv; the part of a run that they may come from


def outcome(run: Run) -> Summary:
    """The summary of a run with at least one row, without its verdict.

    Validation loss and score of an unfinished run are the latest ones.
    """
    losses, measures = _known(run, "validation_loss"), run.measures
    flow: dict[str, Any] = {}
    if measures.has("signal_gradient_rms") and len(measures["signal_gradient_rms"].step):
        for name in ("gradient_ratio", "growth_per_block"):
            values = getattr(measures, name)
            flow |= {f"{name}_start": float(values[0]), f"{name}_end": float(values[-1])}
    return Summary(
        state=run.state or "running",
        steps=int(run.scalars["step"][-1]),
        train_loss=training_loss(run),
        validation_loss=_last(run, "validation_loss"),
        best_validation_loss=float(np.fmin.reduce(losses)) if losses.size else None,
        best_validation_step=best_validation_step(run),
        score=scored(run),
        baseline_loss=run.baseline_loss,
        theory=run.worst_ratio,
        clipped_share=clipped_share(run),
        **flow,
    )


def training_loss(run: Run) -> float | None:
    """The training loss: the mean over the rows at the run's end, since a row has that of a batch.

    None if the run has none.
    """
    losses = at_the_end(run, run.scalars.get("loss", np.zeros(0)))
    with np.errstate(all="ignore"):  # diverged runs overflow
        return float(losses.mean()) if losses.size else None


def at_the_end(run: Run, column: Floats) -> Floats:
    """What a column of scalars.csv has at the run's end: of its last ``LAST`` rows those of the
    last ``LAST`` steps, or of the last ``SHARE`` of the run if that is longer.

    The last row is always among them, and where rows are far apart no row of long before is.
    """
    if not column.size:
        return column
    steps = run.scalars["step"]
    recent: Floats = column[steps > steps[-1] - max(LAST, SHARE * steps[-1])]
    return recent[-LAST:]


def best_validation_step(run: Run) -> int | None:
    """The step of the lowest validation loss; None if none is known."""
    losses = run.scalars.get("validation_loss", np.zeros(0))
    known = ~np.isnan(losses)
    return int(run.scalars["step"][np.nanargmin(losses)]) if known.any() else None


def scored(run: Run) -> ScoreResult | None:
    """A run's last and best score, from its rows; None for a run without a score."""
    if run.score is None:
        return None
    values = run.scalars.get("validation_score", np.zeros(0))
    known: dict[str, Any] = {**vars(run.score), "value": _last(run, "validation_score")}
    index = run.score.place_of_best(values)
    if index is not None:
        known |= {"best": float(values[index]), "best_step": int(run.scalars["step"][index])}
    return ScoreResult(**known)


def clipped(run: Run) -> NDArray[np.bool_] | None:
    """Whether the gradient was clipped, for each row of the log with an update."""
    if not run.scalars.keys() >= {"gradient_norm", "clipped_norm"}:
        return None
    before, after = run.scalars["gradient_norm"], run.scalars["clipped_norm"]
    return (after < before)[~np.isnan(after)]


def clipped_share(run: Run) -> float | None:
    """The share of logged updates whose gradient was clipped; None without updates."""
    flags = clipped(run)
    return None if flags is None or not flags.size else float(flags.mean())


def evaluated(run: Run, column: str) -> NDArray[np.bool_]:
    """The rows in which a loss, a score or the gradient's norm has a value, finite or not.

    The runs of this package leave one that is not finite empty; the row that ends them, from which
    no step is taken, has always been evaluated, so that a gap there is such a value.
    """
    rows, rates = logged(run.scalars, column).copy(), run.scalars.get("lr", np.zeros(0))
    if run.provenance.engine is not None and column in run.scalars and rates.size:
        rows[-1] |= np.isnan(rates[-1])
    return rows


def _known(run: Run, column: str) -> Floats:
    """The values of a loss or a score, finite or not, in the rows that have one."""
    values = run.scalars.get(column)
    return np.zeros(0) if values is None else values[evaluated(run, column)]


def _last(run: Run, column: str) -> float | None:
    """The latest value, finite or not; None without one."""
    known = _known(run, column)
    return float(known[-1]) if known.size else None
