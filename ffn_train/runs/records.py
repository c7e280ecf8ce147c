"""Dataclasses as JSON objects: a key that is absent is None, and null is a number not finite.

Three things stay apart: what is not known or does not apply has no key, what is not finite is null
in the file and NaN in memory, and everything else is itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not None, those of dataclasses inside it likewise."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return to_json(value) if is_dataclass(value) else value


def from_json(cls: Callable[..., T], content: Any, name: str = "") -> T:
    """The dataclass that a JSON object describes; keys that it does not know are ignored.

    ``name``: the object's own, for errors. Raises ValueError for a value of the wrong type, and for
    a missing key whose field has no default.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} is not an object")
    values = {}
    for key, kind, needed in _fields(cls):
        full = f"{name}.{key}".lstrip(".")
        if key in content:
            values[key] = _value(full, content[key], kind)
        elif needed:
            raise ValueError(f"{full} is missing")
    return cls(**values)


@cache
def _fields(cls: Any) -> list[tuple[str, Any, bool]]:
    """Name, type and whether a key must be there."""
    hints = get_type_hints(cls)
    return [
        (f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(cls)
    ]


def _value(name: str, value: Any, kind: Any) -> Any:
    if kind is Any:
        return value
    kind, optional, origin, arguments, record = _taken_apart(kind)
    if value is None and (optional or kind is float):
        return math.nan if kind is float else None
    if record:
        return from_json(kind, value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_value(name, item, arguments[0]) for item in value)
    if origin is Mapping and isinstance(value, dict):
        return {key: _value(f"{name}.{key}", item, arguments[1]) for key, item in value.items()}
    if origin is Literal and value in arguments:
        return value
    if kind in (int, float, str) and not isinstance(value, bool):
        with suppress(OverflowError):  # an integer past the range of floats
            if isinstance(value, (int, float) if kind is float else kind):
                return kind(value)
    raise ValueError(f"{name} is of the wrong type")


@cache
def _taken_apart(kind: Any) -> tuple[Any, bool, Any, tuple[Any, ...], bool]:
    """A type without its None, whether it had one, its origin and arguments, and whether it is a
    dataclass: what ``typing`` takes long to answer.
    """
    optional = isinstance(kind, UnionType)
    if optional:
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    record = is_dataclass(kind) and isinstance(kind, type)
    return kind, optional, get_origin(kind), get_args(kind), record
