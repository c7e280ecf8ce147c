"""SIGINT and SIGTERM as a request to stop after this step; a second signal stops at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE = 0.7  # seconds for the current step to end
GLANCE = 0.25  # seconds between checks for the file ``stop``
SOON = 0.02  # seconds between checks of ``may_break``
_ALARM = hasattr(signal, "SIGALRM")  # without it a step always ends first


class Interrupted(BaseException):
    """A run was interrupted by ``signal``; ``path``: the run's directory.

    ``checkpoint``: the step of the newest checkpoint, None without one. Like KeyboardInterrupt it
    is no Exception, so that it passes through what protects from errors of parts.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number
        self.path: Path | None = None
        self.checkpoint: int | None = None


class Interruption:
    """A context in which the first signal is recorded and a second one ends the process at once.

    ``requested``: the signal's number once there was one, or SIGINT once the file ``stop`` exists,
    which works on any machine. Code that is still running ``patience`` seconds after the signal is
    interrupted by raising Interrupted as soon as ``may_break()`` allows it; None: never.
    ``on_signal`` is called at the first signal, also if a nested Interruption handles it. Outside
    the main thread signals are not handled.
    """

    def __init__(
        self,
        *,
        stop: Path | None = None,
        patience: float | None = PATIENCE,
        on_signal: Callable[[], None] | None = None,
    ) -> None:
        self.may_break: Callable[[], bool] = lambda: True
        self._requested: int | None = None
        self._stop, self._patience, self._on_signal = stop, patience, on_signal
        self._looked = 0.0
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> int | None:
        if self._requested is None and self._stop is not None:
            now = time.monotonic()
            if now - self._looked > GLANCE:
                self._looked = now
                if self._stop.exists():
                    self._requested = signal.SIGINT
        return self._requested

    def __enter__(self) -> Interruption:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
            if _ALARM:
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._give_up)
        except ValueError:  # not the main thread
            self._before.clear()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            _alarm_in(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def settle(self) -> None:
        """Cancel the timeout: the step has ended in time, and its state is now written."""
        _alarm_in(0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._requested is not None:
            os._exit(128 + number)
        self._requested = number
        if self._patience is not None:
            _alarm_in(self._patience)
        if self._on_signal is not None:
            self._on_signal()
        outer: Any = self._before.get(number)
        if _is_ours(outer):
            outer(number, frame)

    def _give_up(self, number: int, frame: FrameType | None) -> None:
        assert self._requested is not None
        if not self.may_break():
            _alarm_in(SOON)
            return
        raise Interrupted(self._requested)


def notes_ctrl_c() -> bool:
    """Whether Ctrl-C is recorded, so that a KeyboardInterrupt does not come from it."""
    return _is_ours(signal.getsignal(signal.SIGINT))


def _is_ours(handler: Any) -> bool:
    return isinstance(getattr(handler, "__self__", None), Interruption)


def _alarm_in(seconds: float) -> None:
    """Schedule SIGALRM in so many seconds; 0 cancels it."""
    if _ALARM:
        signal.setitimer(signal.ITIMER_REAL, seconds)
