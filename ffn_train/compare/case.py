"""One run of a comparison: its settings, its state, and the few rows that are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ffn_train.compare.discovery import Place, recorded_elsewhere
from ffn_train.compare.metrics import Metric, declared_metrics, metrics
from ffn_train.compare.values import RUN, SEED
from ffn_train.nn.core import Floats
from ffn_train.plots.selection import FAR, evenly
from ffn_train.plots.settings import UNSET, Flat, Value, flatten
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.files import read_json
from ffn_train.runs.layout import read_layout
from ffn_train.runs.scalars import logged
from ffn_train.runs.score import ScoreDeclared
from ffn_train.runs.status import EARLY, ENDED, status
from ffn_train.runs.summary import Summary
from ffn_train.runs.theory import Theory

BEYOND = 1e150  # the largest absolute value of a setting
LARGEST_INTEGER = np.iinfo(np.int64).max
FLOW_ROWS = 12  # the gradient flow is read at so many measured steps, at most
FIRST = 4  # the signal is read at so many first measured steps
WITHOUT_RESULTS = ("pending", "failed")
STRETCHED = "trainer.stretched_from"  # derived; not a setting of Hydra
TIMES = ("training_seconds", "steps_per_second", "started")
Curve = tuple[Floats, Floats]  # steps, values


@dataclass(frozen=True)
class Traces:
    """The curves of a run with L blocks that figures draw.

    curves          the training and the validation loss over steps
    flow            RMS of dLoss/dx_l, l = 0 ... L, at the ``flow_steps``: the first and the last
                    measured step and some between; empty where it was not measured
    expected        theory's log RMS of dLoss/dx_l relative to l = L at step 0, and one seed's sd;
                    None if there is none or theory does not hold (``theory_holds``)
    early_steps     the first measured steps; early_signal: RMS of x_l at them
    """

    curves: Mapping[str, Curve]
    flow_steps: Floats
    flow: Floats
    expected: tuple[Floats, Floats] | None
    early_steps: Floats
    early_signal: Floats
    theory_holds: bool = True

    @property
    def last(self) -> float | None:
        """The run's last step; None without a row."""
        steps = self.curves["train_loss"][0]
        return float(steps[-1]) if len(steps) else None


@dataclass(frozen=True)
class Case:
    """A run; ``traces`` is None if it has no results: pending, failed, or just started.

    ``metrics``: the values of its metrics; ``declared``: their declarations.
    ``rank``: its position in its sweep, which orders values that are words.
    ``verdict``: the kind of the answer to each question (see ``runs.finding``).
    ``trivial``: the loss of predicting the mean, or the baseline's; NaN if neither is known.
    ``poor``: the badness of a score with ``FAR`` times the error of the trivial model; NaN if that
    is not known.
    ``stopped_early``: because its validation score did not improve any more. ``data``: the digest
    of its rows, and ``parts``: those of its parts from outside.
    """

    path: Path
    label: str
    state: str
    settings: Flat
    metrics: Mapping[str, float] = field(default_factory=dict)
    declared: Sequence[Metric] = ()
    times: Mapping[str, object] = field(default_factory=dict)
    traces: Traces | None = None
    rank: int = 0
    verdict: Mapping[str, str] = field(default_factory=dict)
    trivial: float = math.nan
    poor: float = math.nan
    stopped_early: bool = False
    data: str | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> Value:
        return self.settings.get(SEED)

    @property
    def words(self) -> str:
        """The state as it is counted."""
        return EARLY if self.stopped_early else self.state

    @property
    def lost(self) -> bool:
        """Whether it diverged, or its loss grew until it was stopped; then it has no final loss."""
        return self.state in ("diverged", "stopped") and not self.stopped_early

    @cached_property
    def quantities(self) -> Mapping[str, Mapping[str, object]]:
        """What is known of what its losses and its scores are: settings, unit, name of the score.

        A score does not depend on the loss function.
        """
        known = {key: value for key, value in self.settings.items() if value not in (None, UNSET)}
        task: dict[str, object] = {k: known[k] for k in ("task", "task.target") if k in known}
        of_loss, of_score = task.copy(), task.copy()
        of_loss |= {key: known[key] for key in known if f"{key}.".startswith("loss.")}
        for metric in self.declared:
            if metric.unit and "loss" not in known:
                of_loss["unit of the loss"] = metric.unit
            if metric.name == "validation_score":
                of_score["score"] = metric.heading[-1]
        return {"loss": of_loss, "score": of_score}

    @property
    def unfinished(self) -> bool:
        """Whether it has results but has not ended."""
        return self.traces is not None and self.state not in ENDED


def read_case(place: Place) -> Case:
    """Read what a comparison needs of a run. Raises RunError, which names a damaged run."""
    begun = (place.path / files.CONFIG).is_file() or recorded_elsewhere(place.path)
    ended = load_run(place.path) if begun and files.there(place.path / files.SUMMARY) else None
    now = (ended and ended.state) or status(place.path).state
    if now == "failed":
        for name in (files.SUMMARY, files.STATUS):
            if (place.path / name).is_file():
                read_json(place.path / name)  # failed, or damaged
    if not begun and now in ENDED:
        raise RunError(f"{place.path}: it has {now}, but {files.CONFIG} is missing")
    if now in WITHOUT_RESULTS or not begun or (now == "running" and not _has_files(place.path)):
        if not begun and place.config is None:
            raise RunError(f"{place.path}: {files.CONFIG} is missing")
        config = place.config if not begun else read_json(place.path / files.CONFIG)
        return Case(place.path, place.label, now, _settings(place, config), rank=place.rank)
    run = ended or load_run(place.path)
    settings = {**_settings(place, run.config), **_stretched(run)}
    case = Case(place.path, place.label, now, settings, rank=place.rank)
    if not len(run.scalars["step"]):
        if now in ENDED:
            raise RunError(f"{place.path}: it has {now}, but {files.SCALARS} has no row")
        return case
    with np.errstate(all="ignore"):  # diverged runs overflow
        numbers, traces = metrics(run), _traces(run)
    summary = run.summary or Summary()
    return replace(
        case,
        metrics=numbers,
        declared=[metric for metric in declared_metrics(run) if metric.name in numbers],
        times={name: getattr(run.provenance, name) for name in TIMES},
        traces=traces,
        verdict={each.question: each.kind for each in summary.verdict if each.question},
        trivial=run.provenance.trivial_loss or run.baseline_loss or math.nan,
        poor=_poor(run.score),
        stopped_early=summary.stopped is not None,
        data=run.provenance.data,
        parts=run.provenance.parts or {},
    )


def _poor(score: ScoreDeclared | None) -> float:
    if score is None or score.perfect is None or score.no_skill is None:
        return math.nan
    value = score.perfect + FAR * (score.no_skill - score.perfect)
    return -value if score.better == "higher" else value


def _has_files(run: Path) -> bool:
    """Whether a run has made all files for its rows, which it does one after the other."""
    if not all((run / name).is_file() for name in (files.LAYOUT, files.SCALARS)):
        return False
    return all((run / column.file).is_file() for column in read_layout(run).quantities)


def _stretched(run: Run) -> Flat:
    """For a run whose schedule was stretched, its earlier lengths as a setting of its own."""
    legs = run.provenance.legs
    lengths = [before.steps for before, leg in pairwise(legs) if leg.stretched]
    return {STRETCHED: ", ".join(map(str, lengths))} if lengths else {}


def _settings(place: Place, config: Mapping[str, Any] | None) -> Flat:
    """The settings that distinguish a run. Raises RunError for a number too large for an axis."""
    settings: Flat = flatten(config) if config else {RUN: place.label}
    for key, value in settings.items():
        if key == SEED or not isinstance(value, (int, float)):
            continue
        if abs(value) > (BEYOND if isinstance(value, float) else LARGEST_INTEGER):
            raise RunError(f"{place.path}: {key}={value:.3g} is too large to compare")
    return settings


def _traces(run: Run) -> Traces:
    steps = run.scalars["step"]
    unknown = np.full(len(steps), np.nan)
    training, validation = (run.scalars.get(n, unknown) for n in ("loss", "validation_loss"))
    validated = logged(run.scalars, "validation_loss")
    flow, flow_steps = _series(run, "signal_gradient_rms")
    shown = evenly(range(len(flow)), FLOW_ROWS)
    signal, early = _series(run, "signal_rms")
    recorded = run.summary.theory if run.summary is not None else None
    holds = recorded.holds if recorded is not None else run.theory_holds
    return Traces(
        curves={
            "train_loss": (steps, training),
            "validation_loss": (steps[validated], validation[validated]),
        },
        flow_steps=flow_steps[shown],
        flow=flow[shown],
        expected=relative_gradient(run.shown_theory) if holds else None,
        theory_holds=run.shown_theory is None or holds,
        early_steps=early[:FIRST].copy(),
        early_signal=signal[:FIRST].copy(),
    )


def relative_gradient(theory: Theory | None) -> tuple[Floats, Floats] | None:
    """Predicted log RMS dLoss/dx_l relative to l = L and its sd of one seed, each (L+1,), or None.

    Relative to l = L, the gradient is free of the read-out's factor, which all layers share.
    """
    chosen = theory.chosen if theory is not None else None
    if chosen is None:
        return None
    log, sd = chosen[1].log_signal_gradient_rms, chosen[1].signal_gradient_sd
    return log - log[-1], np.sqrt(np.maximum(sd**2 - sd[-1] ** 2, 0))


def _series(run: Run, name: str) -> tuple[Floats, Floats]:
    """A quantity's values and steps; empty if the run did not measure it."""
    if not run.measures.has(name):
        return np.zeros((0, 0)), np.zeros(0)
    series = run.measures[name]
    return series.values, series.step.astype(np.float64)
