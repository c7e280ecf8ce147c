"""Protects a run from errors of its logger."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ffn_train.config.settings import described
from ffn_train.running import Notify
from ffn_train.running.interruption import Interrupted, notes_ctrl_c
from ffn_train.runs.logger import Logger, NoLogger
from ffn_train.train.measures import Values


class GuardedLogger:
    """Calls a logger with copies; an exception becomes a warning and ends the calls.

    A context manager that closes the logger when an exception ends the run; otherwise call
    ``close``. Interrupted passes through while the run is running.
    """

    def __init__(self, logger: Logger, notify: Notify) -> None:
        self._logger, self._notify = logger, notify
        self._open = False
        self.busy = False  # whether the logger's code is running

    def open(self, run: Path, config: Mapping[str, Any], first: int) -> None:
        if not isinstance(self._logger, NoLogger):  # which needs no copies
            self._open = self._call(self._logger.open, run, copy.deepcopy(dict(config)), first)

    def log(self, scalars: Mapping[str, float | None], measures: Values) -> None:
        """Log a row of scalars, step included, without those that are None, and the measures."""
        if self._open:
            known = {name: float(value) for name, value in scalars.items() if value is not None}
            step = int(known.pop("step"))
            measured = {name: values.copy() for name, values in measures.items()}
            self._open = self._call(self._logger.log, step, known, measured)

    def close(self, state: str) -> None:
        if self._open:
            self._open = False
            try:
                self._call(self._logger.close, state)
            except Interrupted as error:  # the run has ended already
                self._warn("close", error)

    def __enter__(self) -> GuardedLogger:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.close("interrupted" if issubclass(kind, Interrupted) else "failed")

    def _call(self, method: Callable[..., None], *arguments: Any) -> bool:
        """Call a method; returns whether it succeeded."""
        self.busy = True
        try:
            method(*arguments)
        except Interrupted:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not notes_ctrl_c():
                raise
            self._warn(method.__name__, error)
            return False
        finally:
            self.busy = False
        return True

    def _warn(self, method: str, error: BaseException) -> None:
        self._notify(
            f"warning: logger={self._logger.name} failed in {method} and is not called again: "
            f"{described(error)}"
        )
