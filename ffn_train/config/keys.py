"""The keys of a configuration: choices, sections of settings, and settings without a section."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import PurePath
from typing import Any, TypeVar

from ffn_train.config.registry import (
    ALIASES,
    BEFORE,
    FOLDERS,
    LISTED,
    OBSERVING,
    canonical,
    choices,
)
from ffn_train.config.sections import STEPS, Settings
from ffn_train.config.settings import (
    ALWAYS_THERE,
    Changes,
    Setting,
    SettingError,
    declared,
    is_number,
    kinds,
    nearest,
    read,
    sections,
)

T = TypeVar("T")
MODEL_GROUPS = ("activation", "block", "residual", "norm", "init")
GROUPS = tuple(group for group in FOLDERS if group not in LISTED)
PATHS = ("task.path", "task.validation_path", "task.test_path", "init.path", "parts")  # of files
PRESET = "experiment"  # the preset's name; its values are among the settings


def _by_key(of: Callable[[Any], Mapping[str, T]], cls: Any, prefix: str = "") -> dict[str, T]:
    """What ``of`` has for each setting of a dataclass and of its sections, by dotted key."""
    flat = {f"{prefix}{name}": value for name, value in of(cls).items()}
    for name, section in sections(cls).items():
        flat |= _by_key(of, section, f"{prefix}{name}.")
    return flat


DECLARED: dict[str, Setting] = _by_key(declared, Settings)  # those that belong to no choice
KINDS = _by_key(kinds, Settings)  # their types


def having(key: str) -> dict[str, type[Any]]:
    """The choices that have a setting, by name: of ``optimizer.momentum`` those of optimizers."""
    group, _, name = key.partition(".")
    known = choices(group) if group in GROUPS else {}
    return {choice: cls for choice, cls in known.items() if name in declared(cls)}


def read_settings(config: Mapping[str, Any]) -> Settings:
    """The checked settings of a resolved configuration. Raises SettingError."""
    known = [*declared(Settings), *sections(Settings), *GROUPS]
    for key in config:
        if key not in known and key != PRESET:
            raise SettingError(f"{key} is not a setting{nearest(key, known)}")
    for key in GROUPS:
        if key not in config and key not in BEFORE:
            raise SettingError(f"{key} is missing")
    general = {key: value for key, value in config.items() if key not in (*GROUPS, PRESET)}
    return read(Settings, general, "")


def dotted(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings by their dotted keys: ``{"model": {"depth": 3}}`` is ``{"model.depth": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def lasting(config: Mapping[str, Any], *also: Changes) -> dict[str, Any]:
    """The settings that change a run's numbers, by dotted key; ``also``: further kinds of changes.

    Runs with equal settings and rows have equal numbers. A setting that a configuration of an older
    version lacks has the value from before it existed; a number is a float where one is declared,
    however it was typed.
    """
    changing = {"numbers", *also}
    flat = dotted(config)
    for group in ALIASES:
        if f"{group}.name" in flat:
            flat[f"{group}.name"] = canonical(group, flat[f"{group}.name"])
    declarations, real = _known(_chosen(flat))
    before = {
        key: setting.before
        for key, setting in declarations.items()
        if setting.before is not ALWAYS_THERE
    }
    flat = {**before, **flat}
    if flat.get("trainer.steps", 0) is None and flat.get("trainer.epochs") is None:
        flat["trainer.steps"] = STEPS
    return {
        key: float(value) if key in real and is_number(value) else value
        for key, value in flat.items()
        if key.partition(".")[0] not in (PRESET, "sweep", *OBSERVING)
        and (key not in declarations or declarations[key].changes in changing)
    }


def silent(key: str) -> bool:
    """Whether a setting changes no result, so that a sweep cannot vary it."""
    return key.partition(".")[0] in OBSERVING or (
        key in DECLARED and DECLARED[key].changes == "nothing"
    )


def without_paths(value: Any, key: str = "") -> Any:
    """A setting's value with the file's name in place of a path; so too in a list as JSON's text.

    A path is any value of the settings of files, and an absolute path of any other.
    """
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        with suppress(ValueError, RecursionError):
            items = json.loads(value)
            names = [without_paths(item, key) for item in items]
            return value if names == items else json.dumps(names)
    path = PurePath(value)
    # "/word" may be the name of a column, and does not say where anything lies
    return path.name if key in PATHS or (path.is_absolute() and len(path.parts) > 2) else value


def _chosen(flat: Mapping[str, Any]) -> tuple[Any, ...]:
    """The classes of a flat configuration's choices; none of unknown ones."""
    classes = (choices(group).get(str(flat.get(f"{group}.name"))) for group in GROUPS)
    return tuple(cls for cls in classes if cls is not None)


@cache
def _known(classes: tuple[Any, ...]) -> tuple[dict[str, Setting], set[str]]:
    """All settings of a configuration with these choices, by dotted key, and which are floats."""
    settings, types = DECLARED.copy(), KINDS.copy()
    for cls in classes:
        settings |= _by_key(declared, cls, f"{cls.group}.")
        types |= _by_key(kinds, cls, f"{cls.group}.")
    return settings, {key for key, some in types.items() if float in some}


def differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """The settings that differ between two flat configurations, in words."""
    lines = []
    for key in {**stored, **current}:
        if stored.get(key) != current.get(key):
            values = [flat.get(key, "(unset)") for flat in (stored, current)]
            there, here = (json.dumps(value, ensure_ascii=False) for value in values)
            lines.append(f"{key}={there} there, {here} here")
    return lines
