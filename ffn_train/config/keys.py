"""The keys of a configuration: choices, sections of settings, and settings without a section."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ffn_train.config.registry import (
    ALIASES,
    BEFORE,
    FOLDERS,
    LISTED,
    OBSERVING,
    canonical,
    choices,
)
from ffn_train.config.sections import SECTIONS, STEPS, Settings
from ffn_train.config.settings import (
    ALWAYS_THERE,
    Changes,
    Setting,
    SettingError,
    declared,
    defaults,
    nearest,
    read,
)

MODEL_GROUPS = ("activation", "block", "residual", "norm", "init")
GROUPS = tuple(group for group in FOLDERS if group not in LISTED)
PRESET = "experiment"  # the preset's name; its values are among the settings

# all settings that do not belong to a choice, by dotted key
DECLARED = {
    f"{section}.{name}".lstrip("."): setting
    for section, cls in SECTIONS.items()
    for name, setting in declared(cls).items()
}

# the sections that older versions did not have
_NEW = {
    section
    for section, cls in SECTIONS.items()
    if all(setting.before is not ALWAYS_THERE for setting in declared(cls).values())
}


def default_settings() -> dict[str, Any]:
    """The configuration of all sections' defaults, without the choices."""
    whole: dict[str, Any] = {}
    for section, cls in SECTIONS.items():
        *outer, name = section.split(".")
        parent = whole[outer[0]] if outer else whole
        parent.update(defaults(cls) if not name else {name: defaults(cls)})
    return whole


def read_settings(config: Mapping[str, Any]) -> Settings:
    """The checked settings of a resolved configuration. Raises SettingError."""
    nested = {section for section in SECTIONS if section and "." not in section}
    general = {key: value for key, value in config.items() if key not in (*nested, *GROUPS, PRESET)}
    known = [*declared(SECTIONS[""]), *nested, *GROUPS]
    for key in general:
        if key not in known:
            raise SettingError(f"{key} is not a setting{nearest(key, known)}")
    for key in (*nested - _NEW, *GROUPS):
        if key not in config and key not in BEFORE:
            raise SettingError(f"{key} is missing")
    sweep = config["sweep"]
    search = sweep.get("search") if isinstance(sweep, Mapping) else None
    if isinstance(sweep, Mapping):
        sweep = {key: value for key, value in sweep.items() if key != "search"}
    inner = {section: config.get(section, {}) for section in nested}
    values = {"": general, **inner, "sweep": sweep, "sweep.search": search}
    return Settings(*(read(cls, values[section], section) for section, cls in SECTIONS.items()))


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
    version lacks has the value from before it existed.
    """
    changing = {"numbers", *also}
    declarations = {**DECLARED, **_of_choices(config)}
    before = {
        key: setting.before
        for key, setting in declarations.items()
        if setting.before is not ALWAYS_THERE
    }
    flat = {**before, **dotted(config)}
    for group, _ in ALIASES:
        if f"{group}.name" in flat:
            flat[f"{group}.name"] = canonical(group, flat[f"{group}.name"])
    if flat.get("trainer.steps", 0) is None and flat.get("trainer.epochs") is None:
        flat["trainer.steps"] = STEPS
    return {
        key: value
        for key, value in flat.items()
        if key.partition(".")[0] not in (PRESET, *OBSERVING)
        and (key not in declarations or declarations[key].changes in changing)
    }


def _of_choices(config: Mapping[str, Any]) -> dict[str, Setting]:
    """The declared settings of a configuration's choices, by dotted key; none of unknown ones."""
    settings: dict[str, Setting] = {}
    for group in GROUPS:
        value = config.get(group)
        name = value.get("name") if isinstance(value, Mapping) else None
        cls: Any = choices(group).get(str(canonical(group, name)))
        if cls is not None:
            settings |= _of_choice(cls)
    return settings


@cache
def _of_choice(cls: Any) -> dict[str, Setting]:
    return {f"{cls.group}.{name}": setting for name, setting in declared(cls).items()}


def differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """The settings that differ between two flat configurations, in words."""
    return [
        f"{key}={stored.get(key, '(unset)')!r} there, {current.get(key, '(unset)')!r} here"
        for key in {**stored, **current}
        if stored.get(key) != current.get(key)
    ]
