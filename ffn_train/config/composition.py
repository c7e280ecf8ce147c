"""From the command line to a plain dictionary, by Hydra."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ffn_train.config.keys import GROUPS, default_settings
from ffn_train.config.mistakes import one_line, one_line_errors, plain, refuse_options
from ffn_train.config.outside import load, loaded
from ffn_train.config.places import CONF
from ffn_train.config.registry import choices
from ffn_train.config.sections import listed
from ffn_train.config.settings import SettingError, defaults

Config = dict[str, Any]


def compose(overrides: Sequence[str] = ()) -> Config:
    """The resolved configuration that the overrides describe. Raises SettingError."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    _refuse_directories(overrides)
    _declare(_load(overrides))
    try:
        with one_line_errors(), initialize_config_dir(str(CONF), version_base="1.3"):
            return plain(hydra_compose("config", overrides=list(overrides)))
    except SettingError as error:
        raise _mistake(overrides) or error from None
    except (KeyError, TypeError, ValueError) as error:  # what Hydra lets through unwrapped
        wrong = SettingError(f"{' '.join(overrides)}: {one_line(error)}")
        raise _mistake(overrides) or wrong from None


def _load(overrides: Sequence[str]) -> tuple[str, ...]:
    """Load the parts that the overrides name; what tells all that are loaded from any others."""
    for text in overrides:
        if text.lstrip("+").startswith("parts="):
            load(listed(_grammar(text).value()))
    return loaded()


@cache
def _declare(parts: tuple[str, ...]) -> None:
    """Tell Hydra the choices and the settings that are declared in Python, with their defaults."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    store.store("settings", default_settings())
    for group in GROUPS:
        for name, cls in choices(group).items():
            store.store(name, {"name": name, **defaults(cls)}, group=group)


def _mistake(overrides: Sequence[str]) -> SettingError | None:
    """What is wrong with one of them by itself: it is unreadable, or gives several values."""
    try:
        for override in map(_grammar, overrides):
            if override.is_sweep_override():
                text = override.input_line
                return SettingError(f"{text} gives several values: a sweep, with -m")
    except SettingError as error:
        return error
    return None


def _grammar(override: str) -> Any:
    """One override as Hydra's own object. Raises SettingError."""
    from hydra.errors import HydraException

    if not override.strip():
        raise SettingError(f"cannot read {override!r}: an override is KEY=VALUE")
    if "=" not in override and not override.startswith("~"):
        raise SettingError(f"{override}: =VALUE is missing, as in {override}=VALUE")
    try:
        return _parser().parse_override(override)
    except HydraException as error:
        form = "" if "interval(" not in override else "; write interval(LOW,HIGH), of two numbers"
        reason = str(error).splitlines()[0]
        raise SettingError(f"cannot read {override!r}: {reason}{form}") from None


@cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


@dataclass(frozen=True)
class Interval:
    """``interval(low,high)``, ``int(interval(low,high))`` or ``tag(log,interval(low,high))``."""

    low: float
    high: float
    log: bool

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def crowded(self) -> bool:
        """Whether nearly all of what is drawn evenly lies in the uppermost of several decades."""
        return not self.log and 0 < self.low < self.high / 30


@dataclass(frozen=True)
class Swept:
    """One override as Hydra's grammar reads it.

    ``values`` are those of ``key=a,b``, as written; ``value`` that of ``key=a``. ``plain``: a
    number, word or truth value for a key that is no group, which needs no composition of its own.
    ``interval`` is that of a key to search over.
    """

    key: str
    text: str
    swept: bool
    values: list[str]
    value: Any
    plain: bool
    interval: Interval | None = None


def parse(overrides: Sequence[str]) -> list[Swept]:
    """Read overrides that may vary a key (``model.depth=4,16``). Raises SettingError."""
    parsed = []
    for text in overrides:
        override = _grammar(text)
        swept = override.is_sweep_override()
        if swept and not override.is_discrete_sweep():
            found = _interval(text, override.value())
            parsed.append(Swept(override.get_key_element(), text, False, [], None, True, found))
            continue
        values = [str(value) for value in override.sweep_string_iterator()] if swept else []
        value = None if swept else override.value()
        key = override.get_key_element()
        group = "/" in key or key in (*GROUPS, "experiment") or not key[:1].isalpha()
        plain = not group and not any("$" in value for value in values)
        parsed.append(Swept(key, text, swept, values, value, plain))
    return parsed


def _interval(text: str, value: Any) -> Interval:
    """Raises SettingError for an interval without an inside."""
    found = Interval(value.start, value.end, "log" in value.tags)
    if not found.low < found.high:
        raise SettingError(f"{text}: an interval's low end must be below its high end")
    if found.log and found.low <= 0:
        raise SettingError(f"{text}: an interval on a log scale must be above 0")
    return found


def launch(run: Callable[[Config], None]) -> None:
    """Run what the command line describes; ``run`` gets the resolved configuration.

    Overrides alone are composed here. A flag (--help, --cfg, --multirun ...) is Hydra's to handle.
    Raises SettingError for what cannot be composed.
    """
    arguments = sys.argv[1:]
    if not any(argument.startswith("-") for argument in arguments):
        run(compose(arguments))
        return
    if "--help" in arguments or "-h" in arguments:
        from ffn_train.config.reference import help_text

        overrides = [text for text in arguments if not text.startswith("-")]
        _load(overrides)
        print(help_text(overrides))
        return
    if "--version" in arguments:
        print(f"ffn_train {_version()}")
        return
    import hydra

    refuse_options(arguments)
    _refuse_directories(arguments)
    _declare(_load([text for text in arguments if not text.startswith("-")]))
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions come here instead of being printed

    def task(config: Any) -> None:
        run(plain(config))

    with one_line_errors(), tempfile.TemporaryDirectory() as aside:
        # for what Hydra's sweeper insists on writing; argparse wants all overrides side by side
        given = (at for at, text in enumerate(arguments, 1) if re.match(r"~|[^-].*=", text))
        sys.argv.insert(next(given, len(sys.argv)), f"hydra.sweep.dir={aside}")
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(task)()


def _version() -> str:
    try:
        return version("ffn_train")
    except PackageNotFoundError:
        return "(not installed)"


def _refuse_directories(overrides: Sequence[str]) -> None:
    for override in overrides:
        if re.match(r"\+*(hydra\.run\.dir|hydra\.sweep\.dir|hydra\.output_subdir)=", override):
            key = override.split("=")[0]
            raise SettingError(f"{key} is not used here; run.dir=PATH names a run's directory")
