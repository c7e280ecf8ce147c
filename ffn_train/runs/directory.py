"""Making a run's directory, and keeping it to one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ffn_train.runs import files
from ffn_train.runs.reader import RunError, read_json


class InUse(OSError):
    """Another process is writing to the run's directory."""


@contextmanager
def claim(path: Path | None, stamp: str, parent: Path = Path("outputs") / "runs") -> Iterator[Path]:
    """The run's directory, made and locked: the one named, or a new one under ``parent``.

    The lock is the operating system's and ends with the process, however that ends.
    Raises InUse if another process holds it, OSError if the directory cannot be made.
    """
    if path is None:
        path = _new(parent, stamp)
    else:
        path.mkdir(parents=True, exist_ok=True)
    with (path / files.LOCK).open("w") as lock:
        if not _acquired(lock):
            raise InUse(f"{path} is in use by another process")
        yield path


def _acquired(lock: IO[str]) -> bool:
    """Whether the lock was had; a moment's wait gives way to a process that only looks."""
    for _ in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(0.02)
    return False


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
    """Whether a directory holds nothing but a lock, a state and what a kill left half-written."""
    return all(e.name.startswith(".") or e.name == files.STATUS for e in path.iterdir())


def in_use(path: Path) -> bool:
    """Whether a process holds the lock of a run's directory."""
    try:
        with (path / files.LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def state(path: Path) -> str:
    """pending, running, finished, diverged, interrupted or failed, as a run's directory tells."""
    try:
        if (path / files.SUMMARY).is_file():
            return str(read_json(path / files.SUMMARY).get("state", "finished"))
        if not (path / files.STATUS).is_file():
            return "running" if in_use(path) else "pending"
        told = str(read_json(path / files.STATUS).get("state"))
    except RunError:
        return "failed"
    if told == "running" and not in_use(path):
        return "interrupted"  # it was killed
    return told


def reason(path: Path) -> str:
    """Why a run is failed, in a line."""
    if not (path / files.STATUS).is_file():
        return "not started"
    try:
        return str(read_json(path / files.STATUS).get("reason"))
    except RunError as error:
        return str(error)
