"""The keys of a configuration: choices, sections of settings, and settings of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
FORMATS = ("png", "svg", "pdf")  # of figures
SCALARS = ("seed", "dtype", "threads", "engine", "dry_run", "resume", "fail_fast", "experiment")


def check_keys(config: Mapping[str, Any]) -> None:
    """Raises SettingError for a key that is unknown or missing."""
    _check(config, (*SCALARS, *SECTIONS, *GROUPS), optional="experiment")
    for section, keys in SECTIONS.items():
        allowed = [f"{section}.{key}" for key in keys]
        if not isinstance(config[section], Mapping):
            raise SettingError(f"{section} holds {', '.join(allowed)}, got {config[section]!r}")
        _check([f"{section}.{key}" for key in config[section]], allowed)


def _check(given: Collection[str], known: Collection[str], optional: str = "") -> None:
    for key in given:
        if key not in known:
            raise SettingError(f"{key} is not a setting{nearest(key, known)}")
    for key in known:
        if key not in given and key != optional:
            raise SettingError(f"{key} is missing")


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
