"""Choices by group and name: what ``residual=scaled`` on the command line stands for.

A choice is a class whose keyword-only constructor takes its settings. It is declared with
``@choice("residual", "scaled")`` in a module of its group's folder, which is imported when the
group is first asked for; its defaults live in ``conf/residual/scaled.yaml``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

from ffn_train.config.settings import SettingError, nearest, one_of

T = TypeVar("T")

# group -> the package whose modules declare its choices
FOLDERS = {
    "activation": "ffn_train.nn.activations",
    "block": "ffn_train.nn.blocks",
    "residual": "ffn_train.nn.blocks",
    "norm": "ffn_train.nn.blocks",
    "init": "ffn_train.nn.initialisers",
    "task": "ffn_train.tasks",
    "loss": "ffn_train.nn.losses",
    "optimizer": "ffn_train.nn.optim",
    "schedule": "ffn_train.nn.optim",
}

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


@cache
def modules(package: str) -> tuple[ModuleType, ...]:
    """All modules of a package, imported, in the order of their names."""
    path = import_module(package).__path__
    found = [info.name for info in iter_modules(path) if info.name != "__main__"]
    return tuple(import_module(f"{package}.{name}") for name in found)


def names(group: str) -> tuple[str, ...]:
    """The names of a group's choices, sorted."""
    modules(FOLDERS[group])
    return tuple(sorted(_choices[group]))


def build(group: str, settings: Mapping[str, Any]) -> Any:
    """The object that ``{"name": ..., **its settings}`` describes.

    Raises SettingError for an unknown name or key; the class itself checks its values.
    """
    if not isinstance(settings, Mapping):
        raise SettingError(f"{group} must be one of {', '.join(names(group))}, got {settings!r}")
    values = dict(settings)
    name = one_of(f"{group}.name", values.pop("name", None), names(group))
    cls = _choices[group][name]
    parameters = _parameters(cls)  # type: ignore[arg-type]
    known = list(parameters)
    for key in values:
        if key not in known:
            raise SettingError(
                f"{group}.{key} is not a setting of {group}={name}, "
                f"which takes {', '.join(known) or 'none'}{nearest(key, known)}"
            )
    missing = [key for key in known if key not in values]
    if missing and parameters[missing[0]].default is inspect.Parameter.empty:
        raise SettingError(f"{group}.{missing[0]} is missing")
    return cls(**values)


@cache
def _parameters(cls: type[Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters
