"""The numbers by which runs are compared: of the summary, or of the files as they stand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs import Run


@dataclass(frozen=True)
class Metric:
    """``symbol``: as a figure's axis names it; ``heading``: as a table's column does, in two lines.

    ``log``: a positive quantity that is read by its order of magnitude; ``factor``: one that is a
    product over the blocks, log-normal over seeds, so that its averages are geometric;
    ``at_start``: measured before the first update.
    """

    name: str
    symbol: str
    heading: tuple[str, str]
    log: bool = True
    factor: bool = False
    at_start: bool = False


def _factors(name: str, symbol: str, heading: str) -> list[Metric]:
    """A product over the blocks, at the start and at the end."""
    return [
        Metric(f"{name}_{end}", f"{symbol} at {end}", (heading, end), True, True, end == "start")
        for end in ("start", "end")
    ]


_RATIO = r"$|\partial L/\partial x_0|\,/\,|\partial L/\partial x_L|$"
_ALL = (
    Metric("validation_loss", "final validation loss", ("validation", "loss")),
    Metric("best_validation_loss", "best validation loss", ("best val.", "loss")),
    Metric("train_loss", "final training loss", ("training", "loss")),
    Metric("best_train_loss", "best training loss", ("best train.", "loss")),
    Metric("validation_r2", "final validation $R^2$", ("", "R²"), log=False),
    Metric("least_squares_r2", "least squares $R^2$", ("least sq.", "R²"), False, at_start=True),
    *_factors("gradient_ratio", _RATIO, "ratio"),
    *_factors("growth_per_block", "growth per block", "growth"),
)
METRICS = {metric.name: metric for metric in _ALL}


def metrics(run: Run) -> dict[str, float]:
    """Every metric of a run that has at least one row; NaN for what it does not tell."""
    if run.summary is None:
        summary: Mapping[str, object] = dict(_as_it_stands(run))
    else:
        summary = run.summary
    values = {name: _number(summary.get(name)) for name in METRICS}
    return {**values, "best_train_loss": least(run.scalars["loss"])}


def _as_it_stands(run: Run) -> Iterator[tuple[str, float]]:
    """What the summary would hold, had the run ended with its last row."""
    yield "train_loss", float(run.scalars["loss"][-1])
    for name in ("validation_loss", "validation_r2"):
        taken = run.scalars[name][~np.isnan(run.scalars[name])]
        yield name, float(taken[-1]) if len(taken) else math.nan
    yield "best_validation_loss", least(run.scalars["validation_loss"])
    yield "least_squares_r2", _number(run.provenance.get("least_squares_r2"))
    for name in ("gradient_ratio", "growth_per_block"):
        values: Floats = getattr(run.measures, name)[[0, -1]]
        yield f"{name}_start", float(values[0])
        yield f"{name}_end", float(values[1])


def least(values: Floats) -> float:
    """The smallest value that is a number, NaN without one."""
    known = values[~np.isnan(values)]
    return float(known.min()) if len(known) else math.nan


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


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
    def bars(self) -> tuple[float, float]:
        """How far a standard deviation reaches below and above the mean; 0 for one value."""
        ends = self.mean - self.low, self.high - self.mean
        return (0.0, 0.0) if math.isnan(self.std) else ends


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
