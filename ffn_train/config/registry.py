"""Choices by group and name: what ``residual=scaled`` on the command line stands for.

A choice is a class whose keyword-only constructor takes its settings. It is declared with
``@choice("residual", "scaled")`` and its defaults live in ``conf/residual/scaled.yaml``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ffn_train.config.settings import SettingError, nearest, one_of

T = TypeVar("T")

_choices: dict[str, dict[str, type[Any]]] = {}


def choice(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as the choice ``group=name``."""

    def declare(cls: type[T]) -> type[T]:
        if name in _choices.setdefault(group, {}):
            raise ValueError(f"{group}={name} is declared twice")
        _choices[group][name] = cls
        cls.name = name  # type: ignore[attr-defined]
        return cls

    return declare


def names(group: str) -> tuple[str, ...]:
    """The names declared in a group, in the order of their declaration."""
    return tuple(_choices.get(group, {}))


def build(group: str, settings: Mapping[str, Any]) -> Any:
    """The object that ``{"name": ..., **its settings}`` describes.

    Raises SettingError for an unknown name or key; the class itself checks its values.
    """
    if not isinstance(settings, Mapping):
        raise SettingError(f"{group} must be one of {', '.join(names(group))}, got {settings!r}")
    values = dict(settings)
    name = one_of(f"{group}.name", values.pop("name", None), names(group))
    cls = _choices[group][name]
    known = list(inspect.signature(cls).parameters)
    for key in values:
        if key not in known:
            raise SettingError(
                f"{group}.{key} is not a setting of {group}={name}, "
                f"which takes {', '.join(known) or 'none'}{nearest(key, known)}"
            )
    missing = [key for key in known if key not in values]
    if missing and inspect.signature(cls).parameters[missing[0]].default is inspect.Parameter.empty:
        raise SettingError(f"{group}.{missing[0]} is missing")
    return cls(**values)
