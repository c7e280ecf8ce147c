"""The lock of a run's directory: the operating system's, which ends with the process however that
ends, or where there is none a file that tells of its holder, as filelock writes and recovers it.
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
    """Whether the lock was had, until ``held`` ends; ``handle``: of the opened lock file.

    A moment's wait gives way to a process that only looks. Raises OSError.
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
    """Whether a process holds the lock of a run's directory; nothing else is changed there."""
    filelock = _filelock()
    if not _native(filelock):
        with ExitStack() as held:
            return files.there(path / _HELD) and not _marked(filelock, path, held)
    for access in (os.O_RDWR, os.O_RDONLY):  # some network file systems lock only what is writable
        try:
            lock = files.regular(path / files.LOCK, access)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                continue  # somebody else's run
            return False
        try:
            return not filelock.lock_descriptor(lock, blocking=False)
        except OSError:
            return False
        finally:
            os.close(lock)
    return False


def _filelock() -> Any:
    """The library: late, because readers of runs that have ended need no lock."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that there are none but files
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
