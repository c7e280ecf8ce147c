"""From the command line to a plain dictionary, through Hydra."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, cast

from ffn_train.config.combinations import unused
from ffn_train.config.directory import search_path
from ffn_train.config.keys import DECLARED, GROUPS, PRESET, dotted
from ffn_train.config.mistakes import launchers, one_line, one_line_errors, plain
from ffn_train.config.outside import load, loaded
from ffn_train.config.overrides import CONFIG_DIR, as_written, grammar, refuse_bytes, several
from ffn_train.config.places import CONF
from ffn_train.config.registry import ALIASES, choices
from ffn_train.config.sections import Settings, listed
from ffn_train.config.settings import SettingError, check, defaults, one_of, shortened

Config = dict[str, Any]
IN_PROCESS = "basic"  # Hydra's default launcher
_composing = threading.Lock()  # Hydra composes one configuration at a time


@dataclass(frozen=True)
class Composition:
    """A resolved configuration, and the launcher that it names for a sweep's jobs, if any.

    ``launching``: that launcher's settings, and ``written``: the configuration, both with
    references unresolved.
    """

    config: Config
    launcher: str | None
    launching: Config
    written: Config


def compose(overrides: Sequence[str] = ()) -> Config:
    """The resolved configuration that the overrides of one run describe. Raises SettingError.

    They may include ``--config-dir=DIR``, directories of the user's presets.
    """
    composition = composed(texts(overrides))
    if composition.launcher is not None:
        raise SettingError(f"hydra/launcher={composition.launcher} starts a sweep's jobs, with -m")
    return composition.config


def texts(overrides: Any) -> Sequence[str]:
    """The overrides, a list of texts. Raises SettingError for anything else."""
    listed = isinstance(overrides, (list, tuple))
    if not listed or not all(isinstance(text, str) for text in overrides):
        raise SettingError(f"overrides must be a list of texts, got {shortened(repr(overrides))}")
    return cast("Sequence[str]", overrides)


def composed(overrides: Sequence[str]) -> Composition:
    """``compose`` with the launcher, for a sweep. Raises SettingError."""
    hydra, written, resolved = _compose(overrides)
    name = str(hydra["runtime"]["choices"]["hydra/launcher"])
    if any(text.startswith(CONFIG_DIR) for text in overrides):
        _refuse_hydra_of_presets(hydra)
    if name == IN_PROCESS:
        return Composition(resolved, None, {}, written)
    one_of("hydra/launcher", name, launchers())
    return Composition(resolved, name, hydra["launcher"], written)


def as_yaml(overrides: Sequence[str], part: str, *, resolve: bool) -> str:
    """The configuration as YAML: the job's, Hydra's own or all of it. Raises SettingError."""
    from omegaconf import OmegaConf

    hydra, job, _ = _compose(overrides)
    parts = {"hydra": {"hydra": hydra}, "job": job, "all": {"hydra": hydra, **job}}
    with one_line_errors():
        return OmegaConf.to_yaml(OmegaConf.create(parts[part]), resolve=resolve)


def _compose(overrides: Sequence[str]) -> tuple[Config, Config, Config]:
    """Hydra's own settings and the configuration, with references unresolved; that resolved.

    Raises SettingError.
    """
    from hydra import compose as hydra_compose
    from omegaconf import OmegaConf

    typed = [text for text in overrides if not text.startswith(CONFIG_DIR)]
    directories = [text.removeprefix(CONFIG_DIR) for text in overrides if text not in typed]
    refuse_bytes(typed)
    for text in typed:
        if grammar(text).is_sweep_override():
            raise several(text)
    hydra_overrides = [as_written(text) for text in typed]
    declare(hydra_overrides)
    elsewhere = [search_path(directories)] if directories else []
    try:
        with one_line_errors(), _initialized():
            config = hydra_compose(
                "config", [*hydra_overrides, *elsewhere], return_hydra_config=True
            )
            OmegaConf.set_struct(config, False)
            given = {text.lstrip("+").partition("=")[0] for text in typed}
            epochs = "trainer.epochs" in given and config.trainer.epochs is not None
            if epochs and "trainer.steps" not in given:
                config.trainer.steps = None  # a preset's, which would be a second length
            hydra = plain(config.pop("hydra"), resolve=False)
            written, resolved = plain(config, resolve=False), plain(config)
    except SettingError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # errors that Hydra does not wrap
        raise SettingError(f"{' '.join(hydra_overrides)}: {one_line(error)}") from None
    if misplaced := [*dotted({PRESET: resolved.get(PRESET, {})})]:  # Hydra's default place
        first = "a preset begins with the line # @package _global_"
        raise SettingError(f"{misplaced[0]} is not a setting; {first}")
    for group in unused(resolved):
        for text in typed:
            if text.lstrip("+").startswith((f"{group}=", f"{group}.")):
                subject = f"block={resolved['block']['name']} has an {group} of its own"
                raise SettingError(f"{subject}: {text} would have no effect")
    for group in GROUPS:
        # Hydra does not record lists
        if group in resolved and group not in hydra["runtime"]["choices"]:
            raise SettingError(f"{group} is a list in a preset, where one choice is meant")
    return hydra, written, resolved


@contextmanager
def _initialized() -> Iterator[None]:
    """Hydra for this thread's configuration, beside that of a program which Hydra has started."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with _composing:
        before = GlobalHydra.instance().hydra
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(CONF), **hydra_defaults()):
                yield
        finally:
            GlobalHydra.instance().hydra = before


def complete(words: Sequence[str]) -> None:
    """Install, remove or answer a shell's completion: ``install=bash``. Raises SettingError."""
    import hydra

    if len(words) != 1 or not re.fullmatch(r"(install|uninstall|query)=(bash|zsh|fish)", words[0]):
        raise SettingError("--shell-completion takes install=SHELL, of bash, zsh, fish")
    if words[0].startswith("query=") and "COMP_LINE" not in os.environ:
        raise SettingError(f"--shell-completion {words[0]} is for the shell, which sets COMP_LINE")
    declare(())
    sys.argv[1:] = ["--shell-completion", *words]
    with one_line_errors():
        hydra.main(config_path=str(CONF), config_name="config", **hydra_defaults())(print)()


def hydra_defaults() -> dict[str, str]:
    """Which defaults Hydra is asked for: those of 1.3, which are the only ones from 1.4 on."""
    from hydra import __version__

    return {"version_base": "1.3"} if __version__.startswith("1.3.") else {}


@cache
def _own_hydra() -> Config:
    """Hydra's own node without any override."""
    return _compose(())[0]


def _refuse_hydra_of_presets(node: Config) -> None:
    """Raises SettingError if a user's preset changes Hydra's settings other than the launcher's."""
    default = _own_hydra()
    ours = {"runtime", "overrides", "job", "searchpath"}  # what composing itself sets
    if node["runtime"]["choices"]["hydra/launcher"] != IN_PROCESS:
        ours.add("launcher")
    for key in node:
        if key not in ours and node[key] != default[key]:
            raise SettingError(
                f"hydra.{key} in a preset: of Hydra's own settings only the launcher's are used"
            )


def load_parts(overrides: Sequence[str]) -> None:
    """Load the parts that the overrides name."""
    for text in overrides:
        if text.lstrip("+").startswith("parts="):
            override = grammar(text)
            if override.is_sweep_override():
                raise several(text)
            parts = override.value()
            check("parts", parts, DECLARED["parts"], list)
            load(listed(parts))


def declare(overrides: Sequence[str]) -> None:
    """Load the parts that the overrides name, and register all choices and settings with Hydra."""
    load_parts(overrides)
    _declare(loaded())


@lru_cache(maxsize=1)  # Hydra knows what was registered last
def _declare(parts: tuple[str, ...]) -> None:
    """Register the choices and settings declared in Python with Hydra, with their defaults, in
    place of those that had their names.
    """
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance().store
    in_place: dict[str, Any] = {} if hydra_defaults() else {"replace": True}  # 1.3 always does
    store("settings", defaults(Settings), **in_place)
    for group in GROUPS:
        known = choices(group)
        for label, name in {**{name: name for name in known}, **ALIASES.get(group, {})}.items():
            store(label, {"name": name, **defaults(known[name])}, group=group, **in_place)
