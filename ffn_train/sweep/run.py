"""A sweep from start to end: its directory, what is missing, the launch, what became of it."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from ffn_train.experiment import build_experiment
from ffn_train.interruption import Interruption
from ffn_train.runs.directory import InUse, claim
from ffn_train.settings import SettingError, boolean, one_of
from ffn_train.sweep import launcher
from ffn_train.sweep.job import FAILED, STOP
from ffn_train.sweep.manifest import ENDED, Entry, entry, merge, write
from ffn_train.sweep.space import jobs

ROUNDS = 3  # pools of workers that may be lost before the sweep gives up

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Sweep:
    """A sweep that was run: its directory, the jobs asked for, the signal that ended it, if any."""

    path: Path
    entries: list[Entry]
    interrupted: int | None


def run_sweep(arguments: Sequence[str], notify: Notify) -> Sweep:
    """Run the sweep that the overrides describe, or what is missing of it.

    Every job is composed and checked before the first one starts. Raises SettingError.
    """
    launching = [text for text in arguments if _for_hydra(text)]
    entries = check(arguments)
    config = entries[0].config
    directory, force = config["sweep"]["dir"], config["resume"] == "force"
    chosen = _launcher(launching, notify)
    with _claimed(None if directory is None else Path(str(directory)).expanduser()) as sweep:
        everything = merge(sweep, entries, force=force)
        write(sweep, sys.argv, everything)
        for mark in (STOP, FAILED):
            (sweep / mark).unlink(missing_ok=True)
        known = {one.digest: one for one in everything}
        asked = [known[one.digest] for one in entries]
        notify(f"{len(asked)} jobs in {sweep}: {counts(sweep, asked)}")
        return Sweep(sweep, asked, _carry_out(sweep, asked, chosen, notify))


def check(overrides: Sequence[str]) -> list[Entry]:
    """The jobs of a sweep, each one composed and checked. Raises SettingError."""
    listed = jobs([text for text in overrides if not _for_hydra(text)])
    entries = list({one.digest: one for one in map(entry, listed)}.values())
    config = entries[0].config
    one_of("resume", config["resume"], ("check", "force"))
    boolean("dry_run", config["dry_run"])
    boolean("fail_fast", config["fail_fast"])
    if config["run"]["dir"] is not None:
        raise SettingError("run.dir names one run's directory; a sweep's is sweep.dir")
    for one in entries:
        build_experiment(one.config)
    return entries


def _for_hydra(override: str) -> bool:
    return override.lstrip("+~").startswith("hydra")


def counts(sweep: Path, entries: Sequence[Entry]) -> str:
    """How many jobs are in which state, in words."""
    states = Counter(one.state(sweep) for one in entries)
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _launcher(overrides: Sequence[str], notify: Notify) -> list[str]:
    """The launcher's overrides, with the default one or what stands in for it."""
    named = [text.partition("=")[2] for text in overrides if text.startswith("hydra/launcher=")]
    if named:
        if not launcher.available(named[-1]):
            extra = launcher.EXTRA[named[-1]]
            raise SettingError(f"hydra/launcher={named[-1]} needs pip install 'ffn_train[{extra}]'")
        return list(overrides)
    if launcher.available(launcher.DEFAULT):
        return [f"hydra/launcher={launcher.DEFAULT}", *overrides]
    extra = launcher.EXTRA[launcher.DEFAULT]
    notify(f"one job at a time: pip install 'ffn_train[{extra}]' runs them on all cores")
    return ["hydra/launcher=serial", *overrides]


@contextmanager
def _claimed(path: Path | None) -> Iterator[Path]:
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    parent = Path("outputs") / "sweeps"
    try:
        with claim(path, stamp, parent) as sweep:
            yield sweep
    except InUse as error:
        raise SettingError(f"sweep.dir={error}") from None


def _carry_out(
    sweep: Path, entries: Sequence[Entry], chosen: list[str], notify: Notify
) -> int | None:
    """Launch what is left until nothing is; the signal that ended it before, if one did."""
    tried: set[str] = set()

    def stop() -> None:
        (sweep / STOP).touch()
        notify("stopping: the jobs under way write a checkpoint (again: at once)")

    with _progress(sweep, entries), Interruption(patience=None, told=stop) as interruption:
        for _ in range(ROUNDS):
            left = [
                one
                for one in entries
                if one.state(sweep) not in ENDED
                and not (one.digest in tried and one.state(sweep) == "failed")
            ]
            if not left or (entries[0].config["fail_fast"] and (sweep / FAILED).exists()):
                break
            # those that workers of a killed sweep still hold come last
            left.sort(key=lambda one: one.state(sweep) == "running")
            tried |= {one.digest for one in left}
            try:
                launcher.launch(sweep, [one.digest for one in left], chosen)
            except SettingError:
                raise
            except Exception as error:
                if interruption.requested is not None:
                    break
                first = str(error).strip().splitlines() or [type(error).__name__]
                notify(f"the workers were lost ({first[0]}); going on with new ones")
            if interruption.requested is not None:
                break
    return interruption.requested


@contextmanager
def _progress(sweep: Path, entries: Sequence[Entry]) -> Iterator[None]:
    """One bar over the jobs, fed by what their directories tell."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()

    def watch(bar: tqdm[None]) -> None:
        while not over.wait(0.5):
            states = Counter(one.state(sweep) for one in entries)
            bar.set_postfix({s: n for s, n in states.items() if s != "pending"}, refresh=False)
            bar.n = sum(states[state] for state in (*ENDED, "failed"))
            bar.refresh()

    with tqdm(total=len(entries), unit="job", leave=False) as bar:
        thread = threading.Thread(target=watch, args=(bar,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
