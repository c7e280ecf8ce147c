"""The numbers by which runs are compared, from the summary or, without one, from the run's rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs import Run
from ffn_train.runs.outcome import outcome, scored, training_loss

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class Metric:
    """A number that a run may be compared by.

    ``symbol``: its name on a figure's axis; ``heading``: its column's heading in a table, in two
    lines; ``log``: positive, shown on a logarithmic axis; ``factor``: a product over the blocks,
    log-normal over seeds and therefore averaged geometrically; ``at_start``: measured before the
    first update; ``unit``: in words; ``better``: which values are better, "" if neither low nor
    high ones are, as of a ratio.
    """

    name: str
    symbol: str
    heading: tuple[str, str]
    log: bool = True
    factor: bool = False
    at_start: bool = False
    unit: str = ""
    better: Better = ""

    def badness(self, value: float) -> float:
        """A number that grows as the value gets worse; infinite if the value is not finite."""
        if not math.isfinite(value):
            return math.inf
        return -value if self.better == "higher" else value


def _ends(name: str, symbol: str, heading: str, *, log: bool, factor: bool = False) -> list[Metric]:
    """What is measured over the steps, at the start and at the end."""
    return [
        Metric(f"{name}_{end}", f"{symbol} at {end}", (heading, end), log, factor, end == "start")
        for end in ("start", "end")
    ]


_RATIO = r"$|\partial L/\partial x_0|\,/\,|\partial L/\partial x_L|$"
_LOSSES = tuple(
    Metric(name, symbol, (heading, "loss"), better="lower")
    for name, symbol, heading in (
        ("validation_loss", "final validation loss", "validation"),
        ("best_validation_loss", "best validation loss", "best val."),
        ("train_loss", "final training loss", "training"),
        ("best_train_loss", "lowest training loss of a batch", "best train."),
    )
)
_FLOW = (
    *_ends("gradient_ratio", _RATIO, "ratio", log=True, factor=True),
    *_ends("growth_per_block", "growth per block", "growth", log=True, factor=True),
)


@cache
def _scores(symbol: str, baseline: str, better: Better) -> tuple[Metric, ...]:
    """The final and the best score, and that of the baseline."""
    return (
        Metric(
            "validation_score", f"final validation {symbol}", ("", symbol), False, better=better
        ),
        Metric("best_score", f"best validation {symbol}", ("best", symbol), False, better=better),
        Metric("baseline_score", f"{baseline} {symbol}", (baseline, symbol), False, at_start=True),
    )


# by name in the order of the tables; these names are used where the runs' declarations differ
STANDARD = {m.name: m for m in (*_LOSSES, *_scores("score", "baseline", ""), *_FLOW)}


def declared_metrics(run: Run) -> tuple[Metric, ...]:
    """The metrics that a run may be compared by."""
    score = run.score
    scores: tuple[Metric, ...] = ()
    if score:
        scores = _scores(score.symbol, score.baseline_name or "baseline", score.better)
        if run.summary and run.summary.test_score:
            scores = (*scores, _test(score.symbol, score.better))
    losses = _losses(run.provenance.loss_unit or "")
    return (*losses, *scores, *_FLOW, *_quantities(run))


@cache
def _test(symbol: str, better: Better) -> Metric:
    return Metric("test_score", f"test {symbol}", ("test", symbol), False, better=better)


@cache  # equal metrics of many runs are one object, which processes exchange once
def _losses(unit: str) -> tuple[Metric, ...]:
    return tuple(replace(metric, unit=unit) for metric in _LOSSES)


def _quantities(run: Run) -> Iterator[Metric]:
    """The quantities measured once per run and step, at the start and at the end."""
    for name, series in run.measures.series.items():
        column = series.column
        if column.per == "run" and not column.absent:
            yield from _ends(name, column.symbol or name, name, log=column.log)


def together(declared: Iterable[Metric]) -> dict[str, Metric]:
    """The metrics of several runs by name: the standard ones in their order, then all others.

    A metric whose declarations differ gets its general name.
    """
    alike: dict[str, set[Metric]] = {}
    for metric in declared:
        alike.setdefault(metric.name, set()).add(metric)
    names = [*(name for name in STANDARD if name in alike), *sorted(alike.keys() - STANDARD.keys())]
    return {name: alike[name].pop() if len(alike[name]) == 1 else _general(name) for name in names}


def _general(name: str) -> Metric:
    return STANDARD.get(name) or Metric(name, name, ("", name))


def metrics(run: Run) -> dict[str, float]:
    """The values of the metrics that a run has; NaN for values that are not finite.

    From its summary, or from its rows so far, of which there must be at least one.
    """
    summary = run.summary or outcome(run)
    values: dict[str, float | None] = {name: getattr(summary, name, None) for name in STANDARD}
    if "loss" in run.scalars:
        values["train_loss"] = training_loss(run)  # old summaries hold the last batch's
        values["best_train_loss"] = float(np.fmin.reduce(run.scalars["loss"], initial=np.nan))
    if run.score is not None:
        values["baseline_score"] = run.score.baseline
    if summary.score is not None:
        values["validation_score"] = summary.score.value
    if summary.test_score is not None:
        values["test_score"] = summary.test_score.value
    score = summary.score
    if score is None or score.best is None:  # a summary of an old version
        score = scored(run)
    if score is not None:
        values["best_score"] = score.best
    for metric in _quantities(run):
        name, _, end = metric.name.rpartition("_")
        series = run.measures[name].values
        if len(series):
            values[metric.name] = float(series[0 if end == "start" else -1])
    known = {name: value for name, value in values.items() if value is not None}
    return {name: value if math.isfinite(value) else math.nan for name, value in known.items()}


@dataclass(frozen=True)
class Statistics:
    """n values, their mean, standard deviation (n - 1), standard error, smallest and largest.

    ``geometric``: the mean is geometric, and deviation and error are factors, the exponentials of
    those of the logarithms. NaN where n is too small.
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
        """The lengths of the error bar below and above the mean; None if there is no deviation."""
        return (self.mean - self.low, self.high - self.mean) if self.low < self.high else None


def statistics(values: list[float], *, geometric: bool = False) -> Statistics:
    """The statistics of the finite values.

    A geometric mean over a value of 0 is 0, as the product is, and has no deviation.
    """
    finite = [value for value in values if math.isfinite(value)]
    n, nothing = len(finite), math.nan
    if not n:
        return Statistics(0, nothing, nothing, nothing, nothing, nothing, geometric)
    low, high = min(finite), max(finite)
    if geometric:
        return Statistics(n, *_geometric(np.array(finite), low, high), low, high, geometric)
    scale = max(abs(low), abs(high)) or 1.0  # so that no square over- or underflows
    scaled = np.array(finite) / scale
    mean = scale * (math.fsum(scaled) / n)
    std = scale * float(np.std(scaled, ddof=1)) if n > 1 else math.nan
    return Statistics(n, min(max(mean, low), high), std, std / math.sqrt(n), low, high)


def _geometric(values: Floats, low: float, high: float) -> tuple[float, float, float]:
    """Geometric mean, and standard deviation and error as factors, of non-negative values."""
    if low <= 0:
        return 0.0, math.nan, math.nan
    logs = np.log(values)
    mean = math.exp(math.fsum(logs) / len(logs))
    deviation = float(np.std(logs, ddof=1)) if len(logs) > 1 else math.nan
    with np.errstate(over="ignore"):
        std, error = np.exp([deviation, deviation / math.sqrt(len(logs))])
    return min(max(mean, low), high), float(std), float(error)
