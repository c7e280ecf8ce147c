"""The cost of a sweep: its jobs, their parameters, and a time estimated from a few steps."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffn_train.config.settings import counted
from ffn_train.report.table import aligned
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.sweep.manifest import Entry
from ffn_train.train.threads import BlasThreads, allowed_cores

STEPS = 4  # timed for each shape of model
START = 0.1  # seconds of a job besides its steps, roughly


@dataclass(frozen=True)
class Size:
    """The size of a run; ``shape``: all that the time of a step depends on, besides the engine."""

    parameters: int
    steps: int
    batch: int
    shape: str

    @classmethod
    def of(cls, experiment: Experiment) -> Size:
        trainer, parameters = experiment.trainer, experiment.model.layout.size
        return cls(parameters, trainer.steps, trainer.batches.size, _shape(experiment))


def estimate(
    entries: Sequence[Entry], trials: int | None = None, sizes: Mapping[str, Size] | None = None
) -> str:
    """A table of the jobs and a line with the total, as text; nothing is written.

    ``trials``: of a search, whose entries are the two ends of its interval at each point; a trial
    is assumed to cost their mean. ``sizes``: those that are known, by the jobs' digests.
    """
    seconds: dict[tuple[str, str], float] = {}
    rows, durations = [("job", "parameters", "time")], []
    for job in entries:
        size = (sizes or {}).get(job.digest) or Size.of(build_experiment(job.config))
        key = size.shape, job.config["engine"]
        if key not in seconds:
            seconds[key] = _time(build_experiment(job.config))
        duration = START + seconds[key] * size.steps
        durations.append(duration)
        rows.append((job.directory.partition("/")[2], f"{size.parameters:,}", _clock(duration)))
    lines = aligned(rows)
    total, cores, count = sum(durations), allowed_cores(), len(durations)
    if trials is not None:
        lines.append(
            f"a search: the rows are the ends of the interval of its {counted(trials, 'trial')}"
        )
        total, count = total / 2 * trials, count // 2 * trials
    ideal = max(total / cores, max(durations))
    on = f"{cores} cores" if cores > 1 else "one core"
    lines.append(
        f"{counted(count, 'job')}: about {_clock(total)} one after the other, "
        f"{_clock(ideal)} on the {on} of this machine"
    )
    return "\n".join(lines)


def _shape(experiment: Experiment) -> str:
    config, data = experiment.config, experiment.data
    groups = ("block", "activation", "norm", "residual", "optimizer", "loss")
    names = [config[group]["name"] for group in groups]
    sizes = (
        experiment.trainer.batches.size,
        data.x_train.shape[1],
        data.y_train.shape[1],
        len(data.x_validation),
    )
    return repr((config["model"], names, sizes, config["dtype"]))


def _time(experiment: Experiment) -> float:
    """The median seconds of a step."""
    with BlasThreads(1):
        times, before = [], time.perf_counter()
        for record in experiment.trainer.fit(experiment.trainer.start(experiment.params)):
            now = time.perf_counter()
            if not record.measures:
                times.append(now - before)
            if record.step == STEPS:
                break
            before = now
    return statistics.median(times or [0.0])


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
