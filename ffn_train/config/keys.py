"""The keys of a configuration: choices, sections of settings, and settings of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffn_train.config.registry import FOLDERS
from ffn_train.config.settings import SettingError, nearest

MODEL_GROUPS = ("activation", "block", "residual", "norm", "init")
GROUPS = tuple(FOLDERS)
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "model": ("depth", "width", "expansion", "recompute"),
    "trainer": ("steps", "batch_size", "clip", "patience"),
    "evaluate": ("every", "limit"),
    "measure": ("every", "limit"),
    "log": ("every", "limit"),
    "checkpoint": ("every",),
    "plot": ("when", "figures", "formats", "theory"),
    "run": ("dir",),
    "sweep": ("dir", "grid", "zip", "search"),
}
SCALARS = ("seed", "dtype", "threads", "engine", "dry_run", "resume", "fail_fast", "experiment")


def check_keys(config: Mapping[str, Any]) -> None:
    """Raises SettingError for a key that is unknown or missing."""
    known = (*SCALARS, *SECTIONS, *GROUPS)
    for key in config:
        if key not in known:
            raise SettingError(f"{key} is not a setting{nearest(key, known)}")
    for key in known:
        if key not in config and key != "experiment":
            raise SettingError(f"{key} is missing")
    for section, keys in SECTIONS.items():
        if not isinstance(config[section], Mapping):
            allowed = ", ".join(f"{section}.{key}" for key in keys)
            raise SettingError(f"{section} holds {allowed}, got {config[section]!r}")
        full = [f"{section}.{key}" for key in keys]
        for key in config[section]:
            if key not in keys:
                hint = nearest(f"{section}.{key}", full)
                raise SettingError(f"{section}.{key} is not a setting{hint}")
        for key in keys:
            if key not in config[section]:
                raise SettingError(f"{section}.{key} is missing")


def dotted(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings by their dotted keys: ``{"model": {"depth": 3}}`` is ``{"model.depth": 3}``."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """The settings that two flat configurations do not share, in words."""
    return [
        f"{key}={there.get(key, '(unset)')!r} there, {here.get(key, '(unset)')!r} here"
        for key in {**there, **here}
        if there.get(key) != here.get(key)
    ]
