"""Runs jobs in a launcher's workers, replaces lost workers and handles interrupts."""

from __future__ import annotations

import sys
import threading
import time
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

ROUNDS = 3  # the sweep gives up after losing so many pools of workers


def carry_out(
    sweep: Path,
    entries: Sequence[Entry],
    chosen: Launcher,
    notify: Notify,
    *,
    short: bool,
    fail_fast: bool,
) -> int | None:
    """Launch jobs until all have ended; returns the signal that interrupted them, if any.

    ``short``: whether each takes about a second or less. ``fail_fast``: whether one that fails ends
    the sweep. Lost workers are replaced up to ``ROUNDS`` times. Raises SettingError if the launcher
    fails before any job has started.
    """
    tried: set[str] = set()

    def stop() -> None:
        mark(sweep / STOP)
        notify("stopping: running jobs write a checkpoint (a second signal stops at once)")

    with _progress(sweep, entries), Interruption(patience=None, on_signal=stop) as interruption:
        for attempt in range(ROUNDS):
            before = {job.digest: job.status(sweep) for job in entries}
            remaining = [
                job
                for job in entries
                if (state := before[job.digest].state) not in ENDED
                and not (job.digest in tried and state == "failed")
            ]
            failed_fast = fail_fast and (sweep / FAILED).exists()
            if interruption.requested is not None or not remaining or failed_fast:
                break
            # jobs still held by workers of a killed sweep come last
            remaining.sort(key=lambda job: before[job.digest].state == "running")
            tried |= {job.digest for job in remaining}
            try:
                launcher.launch(sweep, [job.digest for job in remaining], *chosen, short)
            except SettingError:
                raise
            except (Exception, KeyboardInterrupt) as error:  # KeyboardInterrupt: from a worker
                if interruption.requested is not None:
                    continue  # type: ignore[unreachable]  # it arrived meanwhile
                lost = isinstance(error, BrokenProcessPool)  # possibly before its first job
                unchanged = all(job.status(sweep) == before[job.digest] for job in remaining)
                if unchanged and not lost and attempt == 0:
                    raise SettingError(f"no job could be launched: {first_line(error)}") from None
                what = "the workers were lost" if lost else "not all jobs were run"
                notify(f"{what} ({first_line(error)}); going on with new ones")
    return interruption.requested


@contextmanager
def _progress(sweep: Path, entries: Sequence[Entry]) -> Iterator[None]:
    """A progress bar over the jobs, updated from their directories."""
    if not sys.stderr.isatty():
        yield
        return
    over = threading.Event()

    def watch(bar: tqdm[None]) -> None:
        pause = 0.5
        while not over.wait(pause):
            started = time.perf_counter()
            states = Counter(job.status(sweep).state for job in entries)
            pause = max(0.5, 10 * (time.perf_counter() - started))  # many jobs take long to ask
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
