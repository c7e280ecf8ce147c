"""Reads many runs, by several processes where that is worth starting them."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from ffn_train.compare.case import Case, read_case
from ffn_train.compare.discovery import Place
from ffn_train.runs import RunError
from ffn_train.train.threads import allowed_cores

MANY = 1000  # runs; a process takes as long to start as reading 300 takes
_AT_A_TIME = 50


def read_cases(places: Sequence[Place]) -> Iterator[Case | RunError]:
    """Each run in order, or why it cannot be read."""
    cores = allowed_cores()
    if len(places) < MANY or cores == 1:
        yield from map(_read, places)
        return
    pool = ProcessPoolExecutor(min(cores, 8), multiprocessing.get_context("spawn"))
    try:
        with _interrupts_blocked():  # an interrupt is this process's to deal with
            cases = pool.map(_read, places, chunksize=_AT_A_TIME)
        yield from cases
    finally:
        pool.shutdown(cancel_futures=True)


def _read(place: Place) -> Case | RunError:
    try:
        return read_case(place)
    except RunError as error:
        return error


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """What a process is started with blocked, it keeps blocked."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
