"""The lock of a run's directory: the operating system's, which it releases when the process ends
for any reason, or where there is none a file that names its holder, see filelock's SoftFileLock.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys
import time
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ffn_train.runs import files

_HELD = f"{files.LOCK}.held"


def taken(path: Path, handle: int, held: ExitStack) -> bool:
    """Take the lock until ``held`` ends; returns whether that succeeded.

    ``handle``: of the opened lock file. It is tried for a moment, since ``in_use`` of another
    process may hold the lock briefly. Raises OSError.
    """
    filelock = _filelock()
    if not _native(filelock):
        return _marked(filelock, path, held)
    for _ in range(10):
        if filelock.lock_descriptor(handle, blocking=False):
            return True
        time.sleep(0.02)
    return False


def in_use(path: Path) -> bool:
    """Whether a process holds the lock of a run's directory."""
    filelock = _filelock()
    if not _native(filelock):
        with ExitStack() as held:
            return files.there(path / _HELD) and not _marked(filelock, path, held)
    for access in (os.O_RDWR, os.O_RDONLY):  # some network file systems lock only writable files
        try:
            lock = files.regular(path / files.LOCK, access)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                continue  # another user's run
            return False
        try:
            return not filelock.lock_descriptor(lock, blocking=False)
        except OSError:
            return False
        finally:
            os.close(lock)
    return False


def _filelock() -> Any:
    """The library, imported late because reading ended runs needs no lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the lack of fcntl
        return importlib.import_module("filelock")


def _native(filelock: Any) -> bool:
    return sys.platform == "win32" or bool(filelock.has_fcntl)


def _marked(filelock: Any, path: Path, held: ExitStack) -> bool:
    lock = filelock.SoftFileLock(path / _HELD)
    try:
        lock.acquire(timeout=0.2)
    except filelock.Timeout:
        return False
    held.callback(lock.release)
    return True
