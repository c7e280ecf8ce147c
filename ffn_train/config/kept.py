"""What several jobs of a sweep need in turn, and is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

Value = TypeVar("Value")

_kept: dict[Hashable, tuple[Any, Any]] | None = None  # by what it is: what it depends on, and it


@contextmanager
def kept_in_turn() -> Iterator[None]:
    """A context in which ``kept`` keeps values, which nobody may change."""
    global _kept
    before, _kept = _kept, {}
    try:
        yield
    finally:
        _kept = before


def kept(what: Hashable, depends: Any, work_out: Callable[[], Value]) -> Value:
    """What ``work_out`` returns, or returned the last time if ``depends`` was the same then."""
    if _kept is None:
        return work_out()
    if what not in _kept or _kept[what][0] != depends:
        _kept.pop(what, None)  # before there is another
        _kept[what] = depends, work_out()
    value: Value = _kept[what][1]
    return value
