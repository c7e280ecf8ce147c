"""What a method of a part of one's own is given must stay, and what it returns or keeps must fit.

An error begins with ``who``, the choice and its method, as in ``loss=mine: value``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, shortened
from ffn_train.nn.core import Array

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
Source = TypeVar("Source", bound="DataclassInstance")


def tried(who: str, method: Callable[..., T], given: Mapping[str, Array]) -> T:
    """What a method returns for arrays, each named in words.

    Raises SettingError if it changes one of them.
    """
    copies = [array.copy() for array in given.values()]
    with np.errstate(all="ignore"):
        result = method(*copies)
    for (what, before), now in zip(given.items(), copies, strict=True):
        if not np.array_equal(before, now):
            raise SettingError(f"{who} must not change {what}")
    return result


def number(who: str, result: Any, *, finite: bool = False, where: str = "") -> float:
    """A real number, Python's or NumPy's, as a float. Raises SettingError for anything else."""
    value = np.asarray(result)
    if value.ndim or value.dtype.kind not in "biuf" or (finite and not np.isfinite(value)):
        what = "a finite number" if finite else "a number"
        raise SettingError(f"{who} must return {what}, got {shortened(repr(result))}{where}")
    return float(value)


def array(who: str, result: Any, what: str, *like: Any) -> None:
    """Raises SettingError for no array of numbers or, if given, of this shape and dtype."""
    kind = getattr(result, "shape", None), getattr(result, "dtype", None)
    numbers = isinstance(result, np.ndarray) and result.dtype.kind in "biufc"
    if not numbers or kind[: len(like)] != like:
        expected = ", ".join(filter(None, (what, " ".join(map(str, like)))))
        got = " ".join(str(word) for word in (type(result).__name__, *kind) if word is not None)
        raise SettingError(f"{who} must return {expected}, got {got}")


def put_back(part: Choice, memory: Mapping[str, Array], arrays: Mapping[str, Array]) -> None:
    """Copy what a part has put into its ``memory`` in place of its ``arrays`` into these.

    Raises SettingError for a name that is not among them, and for another shape or kind of number.
    """
    changed = {}  # all are copied before one is written: they may have been swapped
    for name, value in memory.items():
        if name in arrays and value is arrays[name]:
            continue
        who = f"{part.group}={part.name}: memory[{name!r}]"
        if name not in arrays:
            raise SettingError(f"{who} is not among its arrays: {', '.join(arrays) or 'none'}")
        now, before = np.array(value), arrays[name]
        if now.shape != before.shape or not np.can_cast(now.dtype, before.dtype, "same_kind"):
            kinds = f"{before.shape} {before.dtype}, got {now.shape} {now.dtype}"
            raise SettingError(f"{who} must stay an array {kinds}")
        changed[name] = now
    for name, now in changed.items():
        arrays[name][...] = now


def agree(who: str, one: Any, other: Any, dtype: Any) -> None:
    """Raises SettingError if two results differ by more than half of the digits of ``dtype``."""
    near = float(np.finfo(dtype).eps) ** 0.5
    if not np.allclose(one, other, near, near, equal_nan=True):
        raise SettingError(f"{who} must agree")


def protected(source: Source) -> Source:
    """A dataclass with read-only views of its arrays, for code from outside the package."""
    changed: dict[str, Any] = {}
    for field in fields(source):
        value = getattr(source, field.name)
        if isinstance(value, np.ndarray):
            changed[field.name] = _read_only(value)
        elif isinstance(value, list):
            changed[field.name] = [_read_only(each) for each in value]
    return replace(source, **changed)


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
