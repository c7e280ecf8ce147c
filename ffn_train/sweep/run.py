"""A sweep from start to end: checks, directory, launch of the missing jobs, results."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_train.config.composition import composed
from ffn_train.config.kept import kept_in_turn
from ffn_train.config.keys import DECLARED
from ffn_train.config.overrides import grammar
from ffn_train.config.sections import path_of
from ffn_train.config.settings import SettingError, counted
from ffn_train.config.settings import check as check_setting
from ffn_train.nn.engine import WORTH_COMPILING
from ffn_train.running import Notify
from ffn_train.running.experiment import build_experiment
from ffn_train.runs.directory import claim, is_empty
from ffn_train.runs.files import RunError, read_json
from ffn_train.sweep import launcher
from ffn_train.sweep.estimate import Size
from ffn_train.sweep.job import FAILED, STOP, usable
from ffn_train.sweep.launcher import Launcher
from ffn_train.sweep.manifest import MANIFEST, Entry, entry, merge, write
from ffn_train.sweep.space import Job, Space
from ffn_train.sweep.workers import carry_out
from ffn_train.tasks.tabular.content import is_stream

SHORT = 2**31  # parameters x steps x rows of a batch that take about a second
SWEEPS = Path("outputs") / "sweeps"  # parent of the new directory of a sweep without a sweep.dir


@dataclass(frozen=True)
class Sweep:
    """A sweep that was run: its directory, the requested jobs, the signal that interrupted it.

    ``best``: a line for each point with the result of its search. ``stale``: whether the manifest
    could not be given the states at the end.
    """

    path: Path
    entries: list[Entry]
    interrupted: int | None
    best: Sequence[str] = ()
    stale: bool = False


@dataclass(frozen=True)
class Plan:
    """The composed and checked jobs of a sweep; nothing is written yet.

    ``short``: whether each takes about a second or less. ``hint``: why the launcher is not the
    default one. For a search, ``entries`` are the jobs at the ends of its intervals, and ``trials``
    is the number of trials at each point. ``sizes``: of the jobs, by their digests.
    """

    space: Space
    entries: list[Entry]
    launcher: Launcher
    hint: str | None
    short: bool
    sizes: Mapping[str, Size]

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the first job, for settings that do not vary."""
        return self.entries[0].config

    @property
    def trials(self) -> int | None:
        return int(self.config["sweep"]["search"]["trials"]) if self.space.intervals else None


def check(overrides: Sequence[str]) -> Plan:
    """The sweep that the overrides describe. Raises SettingError for a mistake in any job."""
    launching = [text for text in overrides if text.lstrip("+").startswith("hydra.")]
    for text in launching:
        grammar(text)
    space = Space([text for text in overrides if text not in launching])
    chosen, hint = _launcher(space, launching)
    jobs = space.jobs()
    kinds = [_whatever_seed(job) for job in jobs]
    of_kind = dict(zip(kinds, jobs, strict=True))
    with kept_in_turn():
        sizes = {kind: _size(job) for kind, job in of_kind.items()}
        most = max(size.parameters * size.steps for size in sizes.values())
        space.engine = _engine([*of_kind.values()], most)
    directories = [*dict.fromkeys(str(job.config["sweep"]["dir"]) for job in jobs)]
    if len(directories) > 1:  # it refers to a setting that varies
        one, other, *_ = directories
        raise SettingError(f"sweep.dir is {one} for a job and {other} for another: a sweep has one")
    entries = [entry(job.computed_by(space.engine)) for job in jobs]
    short = all(size.parameters * size.steps * size.batch < SHORT for size in sizes.values())
    by_digest = {job.digest: sizes[kind] for job, kind in zip(entries, kinds, strict=True)}
    entries = list({job.digest: job for job in entries}.values())
    return Plan(space, entries, chosen, hint, short, by_digest)


def _whatever_seed(job: Job) -> str:
    """A job's configuration without its seed, which is checked: the rest decides on its size and
    on mistakes in it.
    """
    check_setting("seed", job.config["seed"], DECLARED["seed"], int)
    return json.dumps({**job.config, "seed": None}, sort_keys=True)


def _size(job: Job) -> Size:
    """The size of a job's experiment. Raises SettingError for a mistake in it."""
    for key in ("path", "validation_path", "test_path"):
        path = str(job.config["task"].get(key))
        if is_stream(path):
            raise SettingError(f"task.{key}={path} can be read once: a sweep's table is in a file")
    experiment = build_experiment(job.computed_by("numpy").config)
    if experiment.directory is not None:
        raise SettingError("run.dir names one run's directory; a sweep's is sweep.dir")
    return Size.of(experiment)


def _engine(jobs: Sequence[Job], work: int) -> str:
    """The engine of all jobs with engine=auto: that of the sweep's directory, or by ``work``, the
    largest job's parameters x steps, if every job can be compiled.
    """
    directory = path_of(jobs[0].config["sweep"]["dir"])
    if directory is not None:
        with suppress(RunError, LookupError, TypeError, AttributeError):  # merging tells of damage
            manifest = read_json(directory / MANIFEST)
            return str(manifest["jobs"][0]["config"].get("engine", "numpy"))
    if work > WORTH_COMPILING:
        with suppress(SettingError):
            for job in jobs:
                build_experiment(job.computed_by("compiled").config)
            return "compiled"
    return "numpy"


def run_sweep(plan: Plan, notify: Notify) -> Sweep:
    """Run the jobs of a sweep that have not ended. Raises SettingError."""
    config = plan.config
    path, force = path_of(config["sweep"]["dir"]), config["resume"] == "force"
    search = None
    if plan.space.intervals:
        from ffn_train.sweep.search import Search  # late: it needs an extra

        search = Search(plan.space, config["sweep"]["search"], config["seed"])
        for key, interval in plan.space.intervals.items():
            if interval.crowded:
                ends = f"interval({interval.low},{interval.high})"
                notify(f"{key}={ends} is sampled uniformly; tag(log,{ends}) samples its logarithm")
    if path is not None and path.is_dir() and not (path / MANIFEST).is_file() | is_empty(path):
        raise SettingError(f"sweep.dir={path} is not empty and holds no sweep")
    stale = False
    with claim("sweep.dir", path, SWEEPS) as sweep:
        for note in (*plan.space.notes, *([plan.hint] if plan.hint else [])):
            notify(note)
        for mark in (STOP, FAILED):
            (sweep / mark).unlink(missing_ok=True)

        def work(entries: Sequence[Entry]) -> tuple[list[Entry], int | None]:
            nonlocal stale
            everything, changed = merge(sweep, entries, force=force, grows=search is None)
            for difference in changed:
                notify(f"warning: jobs that have ended are kept, although made with {difference}")
            write(sweep, sys.argv, everything)
            by_digest = {job.digest: job for job in everything}
            requested = [by_digest[job.digest] for job in entries]
            chosen = {str(job.config.get("engine", "numpy")) for job in requested}
            engines = sorted({usable(name, notify) for name in chosen})
            about = f"{counted(len(requested), 'job')} in {sweep}, engine={','.join(engines)}"
            notify(f"{about}: {counts(sweep, requested)}")
            interrupted = carry_out(
                sweep,
                requested,
                plan.launcher,
                notify,
                short=plan.short,
                fail_fast=config["fail_fast"],
            )
            try:
                write(sweep, sys.argv, everything)
                stale = False
            except OSError as error:  # the jobs themselves are not affected
                stale = True
                notify(f"warning: the manifest's states are those of the start: {error}")
            return requested, interrupted

        if search is None:
            return Sweep(sweep, *work(plan.entries), stale=stale)
        swept = search.run(sweep, work, fail_fast=config["fail_fast"])
        return Sweep(sweep, *swept, search.best(), stale)


def counts(sweep: Path, entries: Sequence[Entry]) -> str:
    """``2 failed, 3 finished``."""
    states = Counter(job.status(sweep).words for job in entries)
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _launcher(space: Space, overrides: Sequence[str]) -> tuple[Launcher, str | None]:
    """The requested launcher, the default one, or its substitute with a hint.

    ``overrides``: of the launcher's settings.
    """
    name, settings, hint = space.base.launcher, space.base.launching, None
    if name is None:
        name = launcher.DEFAULT
        if not launcher.available(name):
            extra = launcher.EXTRA[name]
            hint = f"one job at a time: pip install 'ffn_train[{extra}]' runs them on all cores"
            name = "serial"
    if overrides:
        settings = composed([*space.fixed, f"hydra/launcher={name}", *overrides]).launching
    if settings:
        launcher.check(name, settings)
    return (name, settings), hint
