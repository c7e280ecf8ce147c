"""Making a run's directory, and keeping it to one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffn_train.runs import files


class InUse(OSError):
    """Another process is writing to the run's directory."""


@contextmanager
def claim(path: Path | None, stamp: str) -> Iterator[Path]:
    """The run's directory, made and locked: the one named, or a new one under outputs/runs.

    The lock is the operating system's and ends with the process, however that ends.
    Raises InUse if another process holds it, OSError if the directory cannot be made.
    """
    if path is None:
        path = _new(Path("outputs") / "runs", stamp)
    else:
        path.mkdir(parents=True, exist_ok=True)
    with (path / files.LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUse(f"{path} is in use by another process") from None
        yield path


def _new(parent: Path, stamp: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        candidate = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            os.mkdir(candidate)  # atomic: of two launches in one second, one gets the name
            return candidate
        except FileExistsError:
            attempt += 1


def is_empty(path: Path) -> bool:
    """Whether a directory holds nothing but the lock and what a kill left half-written."""
    return all(entry.name.startswith(".") for entry in path.iterdir())
