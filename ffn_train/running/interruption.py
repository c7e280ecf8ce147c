"""SIGINT and SIGTERM as a polite request: stop after this step, or at once when asked twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PATIENCE = 0.7  # seconds for the step under way to end
GLANCE = 0.25  # seconds between looks at the file that asks to stop
SOON = 0.02  # seconds until it is asked again whether what is under way may be left
_ALARM = hasattr(signal, "SIGALRM")  # without it a step is always waited for


class Interrupted(Exception):
    """A run was asked to stop; ``signal`` is the number of what asked, ``path`` the run's.

    ``checkpoint`` is the step of the newest one there is, None without any.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number
        self.path: Path | None = None
        self.checkpoint: int | None = None


class Interruption:
    """A context in which the first signal is noted, and a second one ends the process at once.

    ``requested`` is the signal's number once there was one, or SIGINT once the file ``stop``
    exists, which reaches a process on any machine. What takes longer than ``patience`` seconds to
    end is left where it is: Interrupted is raised inside of it, as soon as ``may_break`` says that
    nothing is torn by that; None waits without end. ``on_signal`` is called at the first signal,
    also at one that came to an Interruption inside this one. Outside the main thread signals are
    left alone.
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
        """The step has ended in time: take as long as writing its state needs."""
        _alarm_in(0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._requested is not None:
            os._exit(128 + number)
        self._requested = number
        if self._patience is not None:
            _alarm_in(self._patience)
        if self._on_signal is not None:
            self._on_signal()
        outer = self._before.get(number)
        if callable(outer) and isinstance(getattr(outer, "__self__", None), Interruption):
            outer(number, frame)

    def _give_up(self, number: int, frame: FrameType | None) -> None:
        assert self._requested is not None
        if not self.may_break():
            _alarm_in(SOON)
            return
        raise Interrupted(self._requested)


def _alarm_in(seconds: float) -> None:
    """Let SIGALRM come in so many seconds; 0: not at all."""
    if _ALARM:
        signal.setitimer(signal.ITIMER_REAL, seconds)
