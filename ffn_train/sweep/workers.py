"""Carrying out jobs by a launcher's workers: again where workers are lost, stopped when asked."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from ffn_train.config.settings import SettingError, first_line
from ffn_train.running import Notify
from ffn_train.running.interruption import Interruption
from ffn_train.runs.status import ENDED
from ffn_train.sweep import launcher
from ffn_train.sweep.job import FAILED, STOP, mark
from ffn_train.sweep.launcher import Launcher
from ffn_train.sweep.manifest import Entry

ROUNDS = 3  # pools of workers that may be lost before the sweep gives up


def carry_out(
    sweep: Path, entries: Sequence[Entry], chosen: Launcher, notify: Notify
) -> int | None:
    """Launch what is left until nothing is; the signal that ended it before, if one did.

    Raises SettingError if the launcher fails before any job has begun; workers that were lost are
    replaced, so many times.
    """
    tried: set[str] = set()

    def stop() -> None:
        mark(sweep / STOP)
        notify("stopping: the jobs under way write a checkpoint (again: at once)")

    with _progress(sweep, entries), Interruption(patience=None, told=stop) as interruption:
        for _ in range(ROUNDS):
            left = [
                one
                for one in entries
                if (state := one.status(sweep).state) not in ENDED
                and not (one.digest in tried and state == "failed")
            ]
            failed_fast = entries[0].config["fail_fast"] and (sweep / FAILED).exists()
            if interruption.requested is not None or not left or failed_fast:
                break
            # those that workers of a killed sweep still hold come last
            left.sort(key=lambda one: one.status(sweep).state == "running")
            tried |= {one.digest for one in left}
            before = [one.status(sweep) for one in left]
            try:
                launcher.launch(sweep, [one.digest for one in left], *chosen)
            except SettingError:
                raise
            except (Exception, KeyboardInterrupt) as error:  # the latter from a worker
                if interruption.requested is not None:
                    continue  # type: ignore[unreachable]  # the signal came since
                lost = isinstance(error, BrokenProcessPool)  # perhaps before its first job
                if not lost and [one.status(sweep) for one in left] == before:
                    raise SettingError(f"no job could be launched: {first_line(error)}") from None
                notify(f"the workers were lost ({first_line(error)}); going on with new ones")
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
            states = Counter(one.status(sweep).state for one in entries)
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
