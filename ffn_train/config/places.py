"""The folders of the configuration and the studies: next to the package, or inside a wheel."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def _shipped(folder: str) -> Path:
    inside = _PACKAGE / folder
    return inside if inside.is_dir() else _PACKAGE.parent / folder


CONF = _shipped("conf")
EXPERIMENTS = _shipped("experiments")
INSTALLED = EXPERIMENTS.parent == _PACKAGE  # from a wheel, not from a checkout


def find(path: str) -> Path:
    """The file that a path names: in the working directory, else among the shipped studies."""
    local = Path(path)
    with suppress(RuntimeError):  # no such user
        local = local.expanduser()
    shipped = EXPERIMENTS.parent / path
    return shipped if not os.path.exists(local) and os.path.exists(shipped) else local


def version_of(path: Path) -> tuple[int, ...]:
    """What differs once a file was written or replaced: its device, inode, size and time.

    Raises OSError.
    """
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
