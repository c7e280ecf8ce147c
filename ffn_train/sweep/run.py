"""A sweep from start to end: its directory, what is missing, the launch, what became of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_train.config.composition import composed
from ffn_train.config.overrides import grammar
from ffn_train.config.settings import SettingError
from ffn_train.running import Notify
from ffn_train.running.experiment import build_experiment
from ffn_train.runs.directory import claim, is_empty
from ffn_train.sweep import launcher
from ffn_train.sweep.job import FAILED, STOP
from ffn_train.sweep.launcher import Launcher
from ffn_train.sweep.manifest import MANIFEST, Entry, entry, merge, write
from ffn_train.sweep.space import Space
from ffn_train.sweep.workers import carry_out
from ffn_train.tasks.tabular.reading import is_stream

SWEEPS = Path("outputs") / "sweeps"  # where a sweep without a sweep.dir gets a new directory


@dataclass(frozen=True)
class Sweep:
    """A sweep that was run: its directory, the jobs asked for, the signal that ended it, if any.

    ``best`` says in a line for each point what a search found there.
    """

    path: Path
    entries: list[Entry]
    interrupted: int | None
    best: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """What the overrides describe: the jobs, each one composed and checked; nothing is written.

    ``hint``: why the launcher is not the default one. Of a search ``entries`` are those at the
    ends of its intervals, and ``trials`` says how many each point will have.
    """

    space: Space
    entries: list[Entry]
    launcher: Launcher
    hint: str | None

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration of the first job, which has what does not vary."""
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
    entries = list({one.digest: one for one in map(entry, space.jobs())}.values())
    for one in entries:
        path = str(one.config["task"].get("path"))
        if is_stream(path):
            raise SettingError(f"task.path={path} can be read once: a sweep's table is in a file")
        if build_experiment(one.config).directory is not None:
            raise SettingError("run.dir names one run's directory; a sweep's is sweep.dir")
    return Plan(space, entries, chosen, hint)


def run_sweep(arguments: Sequence[str], notify: Notify) -> Sweep:
    """Run the sweep that the overrides describe, or what is missing of it. Raises SettingError."""
    return run(check(arguments), notify)


def run(plan: Plan, notify: Notify) -> Sweep:
    """Run a sweep, or what is missing of it. Raises SettingError."""
    config = plan.config
    directory, force = config["sweep"]["dir"], config["resume"] == "force"
    search = None
    if plan.space.intervals:
        from ffn_train.sweep.search import Search  # late: it needs an extra

        search = Search(plan.space, config["sweep"]["search"], config["seed"])
        for key, interval in plan.space.intervals.items():
            if interval.crowded:
                ends = f"interval({interval.low},{interval.high})"
                notify(f"{key}={ends} is drawn evenly; tag(log,{ends}) draws alike in each decade")
    path = None if directory is None else Path(str(directory)).expanduser()
    if path is not None and path.is_dir() and not (path / MANIFEST).is_file() | is_empty(path):
        raise SettingError(f"sweep.dir={path} is not empty and holds no sweep")
    with claim("sweep.dir", path, SWEEPS) as sweep:
        for note in (*plan.space.notes, *([plan.hint] if plan.hint else [])):
            notify(note)
        for mark in (STOP, FAILED):
            (sweep / mark).unlink(missing_ok=True)

        def work(entries: Sequence[Entry]) -> tuple[list[Entry], int | None]:
            everything, kept = merge(sweep, entries, force=force)
            for difference in kept:
                notify(f"warning: jobs that have ended stay as they are, made with {difference}")
            write(sweep, sys.argv, everything)
            known = {one.digest: one for one in everything}
            asked = [known[one.digest] for one in entries]
            notify(f"{numbered(len(asked))} in {sweep}: {counts(sweep, asked)}")
            interrupted = carry_out(sweep, asked, plan.launcher, notify)
            write(sweep, sys.argv, everything)
            return asked, interrupted

        if search is None:
            return Sweep(sweep, *work(plan.entries))
        return Sweep(sweep, *search.run(sweep, work), search.best())


def numbered(jobs: int) -> str:
    """So many jobs, in words."""
    return f"{jobs} job{'s' * (jobs != 1)}"


def counts(sweep: Path, entries: Sequence[Entry]) -> str:
    """How many jobs are in which state, in words."""
    states = Counter(one.status(sweep).state for one in entries)
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _launcher(space: Space, overrides: Sequence[str]) -> tuple[Launcher, str | None]:
    """The launcher that is named, the default one or what stands in for it, and then a hint.

    ``overrides``: those of the launcher's own settings.
    """
    name, settings, hint = space.base.launcher, space.base.launching, None
    if name is None:
        name = launcher.DEFAULT
        if not launcher.available(name):
            extra = launcher.EXTRA[name]
            hint = f"one job at a time: pip install 'ffn_train[{extra}]' runs them on all cores"
            name = "serial"
    elif not launcher.available(name):
        extra = launcher.EXTRA[name]
        raise SettingError(f"hydra/launcher={name} needs pip install 'ffn_train[{extra}]'")
    if overrides:
        settings = composed([*space.fixed, f"hydra/launcher={name}", *overrides]).launching
    if settings:
        launcher.check(name, settings)
    return (name, settings), hint
