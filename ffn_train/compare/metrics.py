"""The numbers by which runs are compared: of the summary, or of the files as they stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs import Run
from ffn_train.runs.outcome import outcome, scored, training_loss


@dataclass(frozen=True)
class Metric:
    """``symbol``: as a figure's axis names it; ``heading``: as a table's column does, in two lines.

    ``log``: a positive quantity that is read by its order of magnitude; ``factor``: one that is a
    product over the blocks, log-normal over seeds, so that its averages are geometric;
    ``at_start``: measured before the first update. ``unit``: in words.
    """

    name: str
    symbol: str
    heading: tuple[str, str]
    log: bool = True
    factor: bool = False
    at_start: bool = False
    unit: str = ""


def _factors(name: str, symbol: str, heading: str) -> list[Metric]:
    """A product over the blocks, at the start and at the end."""
    return [
        Metric(f"{name}_{end}", f"{symbol} at {end}", (heading, end), True, True, end == "start")
        for end in ("start", "end")
    ]


_RATIO = r"$|\partial L/\partial x_0|\,/\,|\partial L/\partial x_L|$"
_LOSSES = (
    Metric("validation_loss", "final validation loss", ("validation", "loss")),
    Metric("best_validation_loss", "best validation loss", ("best val.", "loss")),
    Metric("train_loss", "final training loss", ("training", "loss")),
    Metric("best_train_loss", "lowest training loss of a batch", ("best train.", "loss")),
)
_FLOW = (
    *_factors("gradient_ratio", _RATIO, "ratio"),
    *_factors("growth_per_block", "growth per block", "growth"),
)


def _scores(symbol: str, baseline: str) -> tuple[Metric, ...]:
    """A score at the end, at its best, and that of the baseline."""
    return (
        Metric("validation_score", f"final validation {symbol}", ("", symbol), log=False),
        Metric("best_score", f"best validation {symbol}", ("best", symbol), log=False),
        Metric("baseline_score", f"{baseline} {symbol}", (baseline, symbol), False, at_start=True),
    )


# by name, as they are called where runs differ in their declaration; the order of the tables
STANDARD = {m.name: m for m in (*_LOSSES, *_scores("score", "baseline"), *_FLOW)}


def declared_metrics(run: Run) -> tuple[Metric, ...]:
    """What a run may be compared by."""
    score = run.score
    own = _scores(score.symbol, score.baseline_name or "baseline") if score else ()
    losses = (replace(metric, unit=run.provenance.loss_unit or "") for metric in _LOSSES)
    return (*losses, *own, *_FLOW, *_quantities(run))


def _quantities(run: Run) -> Iterator[Metric]:
    """What was measured of each run as a whole, at the start and at the end."""
    for name, series in run.measures.series.items():
        column = series.column
        if column.per == "run" and not column.absent:
            symbol = column.symbol or name
            yield Metric(
                f"{name}_start", f"{symbol} at start", (name, "start"), column.log, at_start=True
            )
            yield Metric(f"{name}_end", f"{symbol} at end", (name, "end"), column.log)


def together(declared: Iterable[Metric]) -> dict[str, Metric]:
    """The metrics of several runs by name: the standard ones in their order, then all others.

    One that not all of them declare alike is called by its general name.
    """
    alike: dict[str, set[Metric]] = {}
    for metric in declared:
        alike.setdefault(metric.name, set()).add(metric)
    names = [*(name for name in STANDARD if name in alike), *sorted(alike.keys() - STANDARD.keys())]
    return {name: alike[name].pop() if len(alike[name]) == 1 else _general(name) for name in names}


def _general(name: str) -> Metric:
    return STANDARD.get(name) or Metric(name, name, ("", name))


def metrics(run: Run) -> dict[str, float]:
    """The values of a run's metrics, of those that it has; NaN for what is not finite.

    Of the summary, or of a run that has at least one row as it stands.
    """
    summary = run.summary or outcome(run)
    values: dict[str, float | None] = {name: getattr(summary, name, None) for name in STANDARD}
    if "loss" in run.scalars:
        values["train_loss"] = training_loss(run)  # old summaries have that of the last batch
        values["best_train_loss"] = least(run.scalars["loss"])
    if run.score is not None:
        values["baseline_score"] = run.score.baseline
    if summary.score is not None:
        values["validation_score"] = summary.score.value
    if (of_rows := scored(run)) is not None:
        values["best_score"] = of_rows.best
    for metric in _quantities(run):
        name, _, end = metric.name.rpartition("_")
        taken = run.measures[name].values
        if len(taken):
            values[metric.name] = float(taken[0 if end == "start" else -1])
    return {name: value for name, value in values.items() if value is not None}


def least(values: Floats) -> float:
    """The smallest value that is a number, NaN without one."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else math.nan


@dataclass(frozen=True)
class Statistics:
    """n values, their mean, standard deviation (n - 1), standard error, smallest and largest.

    ``geometric``: the mean is the geometric one, and deviation and error are factors, the
    exponentials of those of the logarithms. NaN where n is too small for it.
    """

    n: int
    mean: float
    std: float
    stderr: float
    min: float
    max: float
    geometric: bool = False

    @property
    def low(self) -> float:
        """A standard deviation below the mean; NaN for one value."""
        return self.mean / self.std if self.geometric else self.mean - self.std

    @property
    def high(self) -> float:
        """A standard deviation above the mean; NaN for one value."""
        return self.mean * self.std if self.geometric else self.mean + self.std

    @property
    def bars(self) -> tuple[float, float] | None:
        """How far a standard deviation reaches below and above the mean; None if it is none."""
        return (self.mean - self.low, self.high - self.mean) if self.low < self.high else None


def statistics(values: list[float], *, geometric: bool = False) -> Statistics:
    """Of the values that are finite.

    A geometric mean over a value of 0 is 0, as the product is, and has no deviation.
    """
    known = np.array([value for value in values if math.isfinite(value)])
    n, nothing = len(known), math.nan
    if not n:
        return Statistics(0, nothing, nothing, nothing, nothing, nothing, geometric)
    low, high = float(known.min()), float(known.max())
    if geometric:
        return Statistics(n, *_geometric(known, low, high), low, high, geometric)
    scale = max(abs(low), abs(high)) or 1.0  # so that no square over- or underflows
    scaled = known / scale
    mean = scale * (math.fsum(scaled) / n)
    std = scale * float(np.std(scaled, ddof=1)) if n > 1 else math.nan
    return Statistics(n, min(max(mean, low), high), std, std / math.sqrt(n), low, high)


def _geometric(known: Floats, low: float, high: float) -> tuple[float, float, float]:
    """Geometric mean, and standard deviation and error as factors, of values of at least 0."""
    if low <= 0:
        return 0.0, math.nan, math.nan
    logs = np.log(known)
    mean = math.exp(math.fsum(logs) / len(logs))
    deviation = float(np.std(logs, ddof=1)) if len(logs) > 1 else math.nan
    with np.errstate(over="ignore"):
        std, error = np.exp([deviation, deviation / math.sqrt(len(logs))])
    return min(max(mean, low), high), float(std), float(error)
