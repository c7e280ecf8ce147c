"""Search over intervals at each point of a sweep, by Optuna's tree-structured Parzen estimator.

The objective is the final validation loss. A run that diverges, or is stopped because its loss
grew, is a pruned trial; one that fails or ends with a loss that is not finite is a failed trial;
neither has a value. Trials are ordinary jobs of the sweep: the same command proposes the same
trials in the same order and reuses those that have ended.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ffn_train.config.settings import SettingError
from ffn_train.runs.status import ENDED
from ffn_train.runs.summary import read_summary
from ffn_train.sweep.axes import Interval
from ffn_train.sweep.job import FAILED
from ffn_train.sweep.manifest import Entry, entry
from ffn_train.sweep.space import Space

STARTUP = 8  # random trials; not a share of all, so that more trials continue a search

Work = Callable[[Sequence[Entry]], tuple[list[Entry], int | None]]


class Search:
    """One search at each point of the space, in parallel.

    ``settings``: ``trials`` of each search, ``at_once`` of which are proposed at a time.
    Raises SettingError if Optuna is not installed.
    """

    def __init__(self, space: Space, settings: Mapping[str, int], seed: int) -> None:
        try:
            import optuna
        except ModuleNotFoundError:
            key = next(iter(space.intervals))
            raise SettingError(
                f"{key}=interval(...) needs pip install 'ffn_train[search]'"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._optuna, self._space, self._settings = optuna, space, settings
        self._distributions = {
            key: _distribution(optuna, interval) for key, interval in space.intervals.items()
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler
            self._not_finite: Counter[Any] = Counter()  # finished trials without a loss, by study
            self._studies = [
                optuna.create_study(
                    sampler=sampler(seed=seed % 2**32, n_startup_trials=STARTUP, constant_liar=True)
                )
                for _ in space.points
            ]

    def run(self, sweep: Path, work: Work, *, fail_fast: bool) -> tuple[list[Entry], int | None]:
        """Propose trials, run their jobs and report the losses, until all are done, or it is
        interrupted or, with ``fail_fast``, a job has failed.

        Returns the jobs, each once, and the signal that interrupted the search, if any.
        """
        entries: dict[str, Entry] = {}
        trials, at_once = self._settings["trials"], self._settings["at_once"]
        for done in range(0, trials, at_once):
            requested = []
            for point, study in zip(self._space.points, self._studies, strict=True):
                for _ in range(min(at_once, trials - done)):
                    trial = study.ask(self._distributions)
                    made = self._space.job({**point, **self._written(trial.params)})
                    requested.append((study, trial, entry(made)))
            unique = list({job.digest: job for _, _, job in requested}.values())
            entries_run, interrupted = work(unique)
            entries |= {job.digest: job for job in entries_run}
            for study, trial, job in requested:
                self._tell(study, trial, sweep, job)
            if interrupted is not None or (fail_fast and (sweep / FAILED).exists()):
                return [*entries.values()], interrupted
        return [*entries.values()], None

    def _tell(self, study: Any, trial: Any, sweep: Path, job: Entry) -> None:
        states = self._optuna.trial.TrialState
        state = job.status(sweep).state
        summary = read_summary(sweep / job.directory) if state in ENDED else None
        if summary is not None and summary.divergence is None:
            loss = summary.validation_loss
            if loss is not None and math.isfinite(loss):
                study.tell(trial, loss)
            else:
                self._not_finite[study] += 1
                study.tell(trial, state=states.FAIL)
        else:
            study.tell(trial, state=states.PRUNED if state in ENDED else states.FAIL)

    def _written(self, params: Mapping[str, float]) -> dict[str, str]:
        return {key: _text(value, self._space.intervals[key]) for key, value in params.items()}

    def best(self) -> list[str]:
        """A line for each point: its best values and loss, and the number of trials."""
        lines = []
        for point, study in zip(self._space.points, self._studies, strict=True):
            where = " ".join(f"{key}={value}" for key, value in point.items())
            ended = [t for t in study.trials if t.state.name == "COMPLETE"]
            pruned = sum(t.state.name == "PRUNED" for t in study.trials)
            finished = len(ended) + self._not_finite[study]
            of = f"{finished} finished, {pruned} diverged or stopped of {len(study.trials)} trials"
            if ended:
                best = self._written(study.best_params)
                values = " ".join(f"{key}={value}" for key, value in best.items())
                result = f"best {values}, validation loss {study.best_value:.4g}"
            else:
                result = f"{finished} finished, none with a finite loss"
                result = result if finished else "no trial finished"
            lines.append(f"{where}: {result} ({of})" if where else f"{result} ({of})")
        return lines


def _distribution(optuna: Any, interval: Interval) -> Any:
    of = optuna.distributions
    kind = of.IntDistribution if interval.whole else of.FloatDistribution
    return kind(interval.low, interval.high, log=interval.log)


def _text(value: float, interval: Interval) -> str:
    """A number of the interval, short enough for a directory's name.

    It has four digits, or as many more as tell a hundred numbers of a narrow interval apart.
    """
    if isinstance(value, int):
        return str(value)
    low, high = interval.low, interval.high
    power = math.floor(math.log10(max(abs(low), abs(high))))
    digits = max(4, math.ceil(power - math.log10(high - low) + 3))
    text = f"{value:.{digits}g}"
    return text if low <= float(text) <= high else repr(low if float(text) < low else high)
