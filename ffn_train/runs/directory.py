"""Making a run's directory, and keeping it to one process at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from ffn_train.config.settings import SettingError
from ffn_train.runs import files


@contextmanager
def claim(key: str, path: Path | None, parent: Path) -> Iterator[Path]:
    """A directory, made and locked: the one that the setting ``key`` names, or a new one.

    A new one lies under ``parent`` and is named by the time. The lock is the operating system's
    and ends with the process, however that ends.
    Raises SettingError if another process holds it, or the directory cannot be made or written to.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with ExitStack() as stack:
        what = "made"
        try:
            if path is None:
                path = _new(parent, stamp)
            path.mkdir(parents=True, exist_ok=True)
            what = "written to"
            lock = stack.enter_context((path / files.LOCK).open("w"))
        except OSError as error:
            reason = f"cannot be {what}: {_reason(error, path or parent)}"
            if path is None:
                raise SettingError(f"{parent} {reason}; {key}=PATH names another place") from None
            raise SettingError(f"{key}={path} {reason}") from None
        if not _acquired(lock):
            raise SettingError(f"{key}={path} is in use by another process")
        yield path


def _reason(error: OSError, path: Path) -> str:
    """What the operating system says, and of which of the directories above it says so."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        file = next((p for p in (path, *path.parents) if p.exists() and not p.is_dir()), path)
        return f"{file} is a file"
    return str(error.strerror)


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
