"""Dataclasses as JSON objects: None is an absent key, and a number that is not finite is null.

So "unknown or not applicable" and "not finite" stay distinct; the latter is NaN when read back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ffn_train.runs import files
from ffn_train.runs.files import damaged, read_json
from ffn_train.runs.old_names import renamed
from ffn_train.runs.seal import check_digest

T = TypeVar("T")


def write(path: Path, record: Any) -> None:
    """Write a dataclass as a JSON file of a run, atomically but not durably."""
    files.write_json(path, {"schema": files.SCHEMA, **to_json(record)}, durable=False)


def read(cls: Callable[..., T], path: Path) -> T | None:
    """The dataclass in a JSON file of a run, also of old versions; None without the file.

    Raises RunError.
    """
    if not files.there(path):
        return None
    content = read_json(path)
    check_digest(path, content)
    with damaged(path, ValueError):
        return from_json(cls, renamed(content))


def to_json(record: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not None; nested dataclasses likewise."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return to_json(value) if is_dataclass(value) else value


def from_json(cls: Callable[..., T], content: Any, name: str = "") -> T:
    """The dataclass that a JSON object describes; unknown keys are ignored.

    ``name``: of the object, for errors. Raises ValueError for a value of the wrong type, and for a
    missing key whose field has no default.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{name} is not an object")
    values = {}
    prefix = f"{name}." if name else ""
    for key, kind, needed in _fields(cls):
        if key in content:
            values[key] = _value(prefix + key, content[key], kind)
        elif needed:
            raise ValueError(f"{prefix}{key} is missing")
    return cls(**values)


@cache
def _fields(cls: Any) -> list[tuple[str, Any, bool]]:
    """The name and type of each field, and whether its key is required."""
    hints = get_type_hints(cls)
    return [
        (f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(cls)
    ]


def _value(name: str, value: Any, kind: Any) -> Any:
    if isinstance(kind, UnionType):
        (kind,) = (part for part in kind.__args__ if part is not NoneType)
        if value is None and kind is not float:
            return None
    if kind is Any or type(value) is kind:
        return value
    if value is None and kind is float:
        return math.nan
    if is_dataclass(kind) and isinstance(kind, type):
        return from_json(kind, value, name)
    origin, arguments = get_origin(kind), get_args(kind)
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
