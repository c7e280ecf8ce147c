"""Makes a run's directory and locks it for one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from ffn_train.config.settings import SettingError
from ffn_train.runs import files
from ffn_train.runs.lock import taken

_HELD: set[tuple[int, int, int]] = set()  # the locks: the process, device and inode of each


@contextmanager
def claim(key: str, path: Path | None, parent: Path) -> Iterator[Path]:
    """A context that makes and locks the directory ``path`` of the setting ``key``, or a new one.

    A new directory is in ``parent`` and named after the time. The operating system releases the
    lock when the process ends for any reason. Half-written files of killed processes are removed.
    Raises SettingError if the lock is held, or the directory cannot be made, written to or locked.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    with ExitStack() as stack:
        what = "made"
        try:
            if path is None:
                path = _new(parent, stamp)
            else:
                _make(path)
            what = "written to"
            lock = files.regular(path / files.LOCK, os.O_RDWR | os.O_CREAT)
            stack.callback(os.close, lock)
            what = "locked"
            acquired = taken(path, lock, stack)
            status = os.fstat(lock)
        except OSError as error:
            reason = f"cannot be {what}: {_reason(error, path or parent)}"
            if path is None or what == "locked":
                reason += f"; {key}=PATH names another place"
            raise SettingError(f"{parent if path is None else f'{key}={path}'} {reason}") from None
        holder = os.getpid(), status.st_dev, status.st_ino
        if not acquired:
            who = "another run of this process" if holder in _HELD else "another process"
            raise SettingError(f"{key}={path} is in use by {who}")
        _HELD.add(holder)
        stack.callback(_HELD.discard, holder)
        for leftover in (*files.temporary(path), *files.temporary(path / files.CHECKPOINTS)):
            with suppress(OSError):
                leftover.unlink()
        yield path


def _reason(error: OSError, path: Path) -> str:
    """The reason; names a file inside the directory, and one where a directory should be."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        there = (p for p in (path, *path.parents) if os.path.lexists(p) and not p.is_dir())
        file = next(there, path)
        return f"{file} is a {'file' if file.exists() else 'link to nothing'}"
    file = Path(error.filename or path)
    where = f"{file}: " if file != path and os.path.lexists(file) else ""
    return f"{where}{error.strerror}"


def _make(path: Path) -> None:
    """Make a directory and its parents durably."""
    if path.is_dir():
        return
    _make(path.parent)
    path.mkdir(exist_ok=True)
    files.flush_directory(path.parent)


def _new(parent: Path, stamp: str) -> Path:
    _make(parent)
    attempt = 1
    while True:
        candidate = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        with suppress(FileExistsError):
            os.mkdir(candidate)  # atomic: only one of two launches in the same second gets the name
            files.flush_directory(parent)
            return candidate
        attempt += 1


def is_empty(path: Path) -> bool:
    """Whether a directory has nothing but a lock, a status and half-written files."""
    return all(e.name.startswith(".") or e.name == files.STATUS for e in path.iterdir())
