"""A run's logger, kept from harming the run."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ffn_train.config.settings import first_line
from ffn_train.running import Notify
from ffn_train.running.interruption import Interrupted
from ffn_train.runs.loggers.logger import Logger
from ffn_train.train.measures import Values


class GuardedLogger:
    """Calls a logger with copies; one that raises is warned of and not called again.

    A context manager that closes the logger when an exception ends the run; ``close`` does when the
    run has ended by itself.
    """

    def __init__(self, logger: Logger, notify: Notify) -> None:
        self._logger, self._notify = logger, notify
        self._open = False

    def open(self, run: Path, config: Mapping[str, Any], first: int) -> None:
        self._open = True
        self._call(self._logger.open, run, copy.deepcopy(dict(config)), first)

    def log(self, scalars: Mapping[str, float], measures: Values) -> None:
        """Take a row of scalars, with its step, and what was measured then."""
        known = {name: float(value) for name, value in scalars.items() if not math.isnan(value)}
        step = int(known.pop("step"))
        measured = {name: values.copy() for name, values in measures.items()}
        self._call(self._logger.log, step, known, measured)

    def close(self, state: str) -> None:
        try:
            self._call(self._logger.close, state)
        except Interrupted as error:  # the run has ended already
            self._drop(self._logger.close, error)
        self._open = False

    def __enter__(self) -> GuardedLogger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.close("interrupted" if issubclass(kind, Interrupted) else "failed")

    def _call(self, method: Callable[..., None], *arguments: Any) -> None:
        """Raises Interrupted, which the logger has no part in."""
        if not self._open:
            return
        try:
            method(*arguments)
        except Interrupted:
            raise
        except Exception as error:
            self._drop(method, error)

    def _drop(self, method: Callable[..., None], error: Exception) -> None:
        self._open = False
        reason = f"{type(error).__name__}: {first_line(error)}"
        self._notify(
            f"warning: logger={self._logger.name} failed in {method.__name__} and is not called "
            f"again: {reason}"
        )
