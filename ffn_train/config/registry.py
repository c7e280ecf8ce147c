"""Choices by group and name, as in ``residual=scaled`` on the command line.

A choice is a dataclass whose fields are its settings, with their defaults. It is declared with
``@choice("residual", "scaled")`` in a module of its group's folder, which is imported when the
group is first asked for.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, ClassVar, TypeVar, dataclass_transform

from ffn_train.config.settings import (
    SettingError,
    check_all,
    check_defaults,
    declared,
    nearest,
    one_of,
    setting,
)

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
    "quantity": "ffn_train.train.quantities",
    "logger": "ffn_train.interop.loggers",
    "figure": "ffn_train.plots",
}
# group -> the setting that lists its choices; every other group has a key of its own
LISTED = {"figure": "plot.figures", "quantity": "measure.quantities"}
# groups that change nothing of a run and do not belong to its identity
OBSERVING = ("figure", "logger")
# group -> name of a choice in older versions -> its name
ALIASES = {"task": {"csv": "table"}}
# group -> what a configuration from before the group existed has for it
BEFORE = {"logger": {"name": "none"}}
# what Hydra reads as something else than a word, in any case
NO_WORDS = ("null", "true", "false", "nan", "inf")

_choices: dict[str, dict[str, type[Any]]] = {group: {} for group in FOLDERS}


class Choice:
    """A class whose instances are choices: its fields are settings, checked at construction."""

    group: ClassVar[str] = ""
    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        check_all(self, self.group)

    @classmethod
    def check_class(cls) -> None:
        """Raises ValueError for a class that violates the contract of its group."""

    @property
    def ours(self) -> bool:
        """Whether it is declared in this package."""
        return is_ours(type(self))


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(setting,))
def choice(group: str, name: str) -> Callable[[type[T]], type[T]]:
    """Declare a class as the choice ``group=name``; it becomes a frozen dataclass."""

    def declare(cls: type[T]) -> type[T]:
        if group not in FOLDERS:
            raise ValueError(f"there is no group {group!r} of choices{nearest(group, FOLDERS)}")
        if not is_ours(cls):
            modules(FOLDERS[group])  # first the package's own, whose names are reserved
        earlier = _choices[group].get(name)
        if earlier is not None:
            raise ValueError(
                f"{group}={name} is declared twice, in {_place(earlier)} and in {_place(cls)}"
            )
        if "__dataclass_fields__" not in vars(cls):
            cls = dataclass(frozen=True, kw_only=True)(cls)
        cls.group, cls.name = group, name  # type: ignore[attr-defined]
        if not is_ours(cls):
            _check_outside(group, name, cls)
        _choices[group][name] = cls
        return cls

    return declare


def is_ours(cls: type[Any]) -> bool:
    """Whether a class is declared in this package."""
    return cls.__module__.startswith("ffn_train.")


def _place(cls: type[Any]) -> str:
    """The module in which a class is declared or, for a part, the file."""
    module = cls.__module__
    file = getattr(sys.modules.get(module), "__file__", None)
    return module if is_ours(cls) or file is None else Path(file).name


def _check_outside(group: str, name: str, cls: type[Any]) -> None:
    """Raises ValueError for a class of a part that is not a valid choice of the group."""
    ours: tuple[type[Any], ...] = next(iter(_choices[group].values())).__mro__
    base = ours[ours.index(Choice) - 1]
    where = f"{group}={name}, the class {cls.__name__}"
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ValueError(
            f"{where}: a name has letters, digits and underscores, and begins with a letter: "
            "a-z, A-Z, 0-9, _"
        )
    if name.lower() in NO_WORDS:
        raise ValueError(f"{where}: on the command line {name} is no word but a value")
    if not issubclass(cls, base):
        raise ValueError(
            f"{where}, is not derived from {base.__name__}, the base class in ffn_train.parts"
        )
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise ValueError(f"{where}, has no {', '.join(missing)}")
    needed = [f for f in fields(cls) if f.init and f.default is f.default_factory is MISSING]
    for unknown in (f.name for f in needed if "setting" not in f.metadata):
        what = f"{unknown} is not declared as a setting"
        raise ValueError(f'{where}: {what}, as in {unknown}: float = setting("...", 2.0)')
    try:
        check_defaults(cls)
        cls.check_class()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None


@cache
def modules(package: str) -> tuple[ModuleType, ...]:
    """All modules of a package, imported, sorted by name."""
    path = import_module(package).__path__
    module_names = [info.name for info in iter_modules(path) if info.name != "__main__"]
    return tuple(import_module(f"{package}.{name}") for name in module_names)


def forget(module: str) -> None:
    """Remove the choices that a module, or the modules of a package, declared."""
    for cls in _of_module(module):
        del _choices[cls.group][cls.name]


def groups_of(module: str) -> set[str]:
    """The groups in which a module, or the modules of a package, declared choices."""
    return {cls.group for cls in _of_module(module)}


def _of_module(module: str) -> list[type[Any]]:
    classes = [cls for known in _choices.values() for cls in known.values()]
    return [cls for cls in classes if f"{cls.__module__}.".startswith(f"{module}.")]


def choices(group: str) -> Mapping[str, type[Any]]:
    """The choices of a group by name, sorted."""
    modules(FOLDERS[group])
    return dict(sorted(_choices[group].items()))


def summary(cls: type[Any]) -> str:
    """What a choice is: the first line of its class's docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def canonical(group: str, name: Any) -> Any:
    """The present name of a choice, from that or an older name."""
    return ALIASES.get(group, {}).get(name, name) if isinstance(name, str) else name


def build(group: str, settings: Mapping[str, Any], **more: Any) -> Any:
    """The object that ``{"name": ..., **its settings}`` describes; ``more``: what is not a setting.

    Raises SettingError for an unknown name or key; the class checks the values.
    """
    classes = choices(group)
    if not isinstance(settings, Mapping):
        raise SettingError(f"{group} must be one of {', '.join(classes)}, got {settings!r}")
    values = dict(settings)
    word = values.pop("name", None)
    name = one_of(f"{group}.name", canonical(group, word), classes)
    cls = classes[name]
    known = list(declared(cls))
    for key in values:
        if key not in known:
            raise SettingError(
                f"{group}.{key} is not a setting of {group}={name}, "
                f"which takes {', '.join(known) or 'none'}{nearest(key, known)}"
            )
    return cls(**values, **more)
