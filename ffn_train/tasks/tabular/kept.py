"""A table that stays in memory while several jobs use it in turn, so that it is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ffn_train.config.places import find, version_of

Value = TypeVar("Value")

# by the setting that names the file: what was read last, preceded by what it depends on
_kept: dict[str, tuple[Any, Any]] | None = None


@contextmanager
def tables_kept() -> Iterator[None]:
    """A context in which the last table of each setting is kept; nobody may change what it gives.

    Its frame takes as much memory again as the rows that a job trains on.
    """
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def kept(key: str, path: str, how: str, read: Callable[[], Value]) -> Value:
    """What ``read`` gives, or gave for the same setting ``key``, file and ``how``."""
    if _kept is None:
        return read()
    try:
        wanted = how, version_of(find(path))
    except (OSError, ValueError):  # of which reading tells
        return read()
    if key not in _kept or _kept[key][0] != wanted:
        _kept[key] = wanted, read()
    value: Value = _kept[key][1]
    return value
