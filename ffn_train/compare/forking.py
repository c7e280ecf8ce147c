"""Does a task for each of a few items, in forked processes, which share this one's memory."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_task: Callable[[Any], Any]


def each(task: Callable[[Item], Result], items: Sequence[Item], processes: int) -> list[Result]:
    """``[task(item) for item in items]``, in up to so many processes if the system is Linux.

    A task changes nothing in this process, and its result is copied to it. This process must have
    no threads: a forked one may wait forever for a lock that one of them held.
    """
    processes = min(processes, len(items))
    if processes < 2 or sys.platform != "linux":
        return [task(item) for item in items]
    context = multiprocessing.get_context("fork")
    with context.Pool(processes, _inherit, (task,)) as pool:
        return pool.map(_done, items, chunksize=1)


def _inherit(task: Callable[[Any], Any]) -> None:
    """Begin a forked process, which leaves interrupts to the one that it came from."""
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _task = task


def _done(item: Any) -> Any:
    return _task(item)
