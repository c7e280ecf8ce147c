"""Something that is done beside what lasts for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer


@contextmanager
def later(seconds: float, action: Callable[[], object]) -> Iterator[None]:
    """A context in which a thread calls ``action`` once it has lasted so many seconds.

    It ends with the action, so that what this prints is whole before the next line.
    """
    timer = Timer(seconds, action)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
