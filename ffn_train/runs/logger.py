"""What every logger does; and the choice of none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffn_train.config.registry import Choice, choice
from ffn_train.nn.core import Floats


class Logger(Choice, ABC):
    """Sends a run's records elsewhere as they come: to a file, a service, another tool.

    It sees the records and the run's directory, and changes nothing: the run writes the same bytes
    with any logger. Nor can it stop a run: an exception in any method is a warning, and the logger
    is not called again. Unlike other choices it may keep open resources as attributes.

    A run that was interrupted or killed resumes from a checkpoint and logs the records since then
    again, bit for bit the same. To have each record once, the logger removes the records from step
    ``first`` of ``open`` on, or skips those that it has. A checkpoint may follow any record, so
    ``log`` must flush its record before it returns.
    """

    def __init_subclass__(cls) -> None:
        dataclass(kw_only=True)(cls)  # not frozen, as ``choice`` would make it

    def open(self, run: Path, config: Mapping[str, Any], first: int) -> None:
        """Begin, or go on, with the run in the directory ``run``; its next record is ``first``.

        ``config`` holds every setting; the directory has config.json, provenance.json and
        layout.json, which names the parameter tensors.
        """

    @abstractmethod
    def log(self, step: int, scalars: Mapping[str, float], measures: Mapping[str, Floats]) -> None:
        """Take a record, which is in the run's files already.

        ``scalars`` is a row of scalars.csv without its step: what has no value is left out.
        ``measures`` holds what was measured at this step, by the quantity's name, if anything was.
        """

    def close(self, state: str) -> None:
        """End: ``finished``, ``stopped``, ``diverged``, ``interrupted`` or ``failed``.

        Of a run that has ended, in one of the first three states, the directory has all files,
        summary.json and the figures among them.
        """


@choice("logger", "none")
class NoLogger(Logger):
    """No logger: the run's records are in its directory alone."""

    def log(self, step: int, scalars: Mapping[str, float], measures: Mapping[str, Floats]) -> None:
        """Nothing."""
