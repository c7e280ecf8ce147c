"""Reads many runs, in several processes if that is faster."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from ffn_train.compare.case import Case, read_case
from ffn_train.compare.discovery import Place
from ffn_train.runs import RunError

MANY = 1000  # runs from which processes are used; starting one takes as long as reading 300
_AT_A_TIME = 50


def read_cases(places: Sequence[Place], processes: int) -> Iterator[Case | RunError]:
    """Each run in order, or the RunError that says why it cannot be read.

    ``processes``: so many read where that is faster. They import the program's main module, as
    those of ``multiprocessing`` do, which has to be made for that.
    """
    if len(places) < MANY or processes == 1:
        yield from map(_read, places)
        return
    context = multiprocessing.get_context("spawn")
    # what is read has no reference cycles, and looking for them takes a fifth of the time
    pool = ProcessPoolExecutor(min(processes, 8), context, initializer=gc.disable)
    try:
        with _interrupts_blocked():  # only this process handles an interrupt
            cases = pool.map(_read, places, chunksize=_AT_A_TIME)
        yield from cases
    finally:
        pool.shutdown(cancel_futures=True)


def _read(place: Place) -> Case | RunError:
    try:
        return read_case(place)
    except RunError as error:
        return error
    except OSError as error:  # another user's
        return RunError(f"{error.filename}: {error.strerror}")


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Block SIGINT in the processes started meanwhile: they inherit the mask."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
