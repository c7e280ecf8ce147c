"""Hydra's errors in one line, with suggestions of what may have been meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ffn_train.config.keys import DECLARED, GROUPS, having
from ffn_train.config.places import CONF
from ffn_train.config.registry import choices
from ffn_train.config.sections import Settings
from ffn_train.config.settings import (
    SettingError,
    declared,
    nearest,
    nearest_key,
    one_of,
    sections,
    shortened,
)

# Hydra's name of a launcher -> ours, and the extra that brings it
EXTRAS = {
    "joblib": ("local", "parallel"),
    "submitit_slurm": ("slurm", "slurm"),
    "ray": ("ray_cluster", "ray"),
}

FUNCTIONS = {  # of a value, and how each is written
    "choice": "choice(A,B,...)",
    "range": "range(START,STOP) or range(START,STOP,STEP), of numbers",
    "interval": "interval(LOW,HIGH), of two numbers",
    "tag": "tag(log,interval(LOW,HIGH))",
    "glob": "glob(PATTERN)",
    "sort": "sort(A,B,...), of numbers or of words",
    **{kind: f"{kind}(NUMBER)" for kind in ("int", "float")},
    **{kind: f"{kind}(VALUE)" for kind in ("bool", "str")},
}
_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\"""")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """A context that turns Hydra's and OmegaConf's errors into a SettingError of one line."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingError(one_line(error)) from None


def one_line(error: BaseException) -> str:
    """An error of Hydra's in one line, reworded if it is a common one."""
    from omegaconf.errors import (
        GrammarParseError,
        InterpolationResolutionError,
        UnsupportedInterpolationType,
        ValidationError,
    )

    text = str(error) or str(error.__cause__ or "")  # Hydra may only wrap it
    options = getattr(error, "options", None)
    group, _, missing = (getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    if group == "hydra/launcher" and missing in EXTRAS:
        name, extra = EXTRAS[missing]
        return f"hydra/launcher={name} needs pip install 'ffn_train[{extra}]'"
    if options and missing:
        words = launchers() if group == "hydra/launcher" else sorted(options)
        return (
            f"{group} must be one of {', '.join(words)}, got {missing!r}{nearest(missing, words)}"
        )
    unknown = re.search(r"Could not override '([^']+)'\.\s*To append", text)
    if unknown:
        name = unknown.group(1)
        if others := having(name):
            group = name.partition(".")[0]
            has = " or ".join(f"{group}={choice}" for choice in others)
            return f"{name} is a setting of {has}, not of the {group} that is chosen"
        return f"{name} is not a setting{nearest_key(name, keys_like(name))}"
    if preset := re.match(r"In '([^']+)': ConfigTypeError .*\nCannot merge", text):
        return f"{preset[1]} has a list where a mapping is meant, or the other way round"
    unlike = r"Cannot merge .*\s+full_key: (\S+)\s+object_type=(list|dict)"
    if merged := re.match(unlike, str(error.__cause__)):
        kinds = {"list": "a list, got a mapping", "dict": "a mapping, got a list"}
        return f"{merged[1]} must be {kinds[merged[2]]}"
    unresolved = GrammarParseError, InterpolationResolutionError, UnsupportedInterpolationType
    if isinstance(wrong := error.__cause__ or error, unresolved):
        return f"{wrong.full_key}: {_no_reference(str(wrong))}; \\${{ is the text ${{"
    if isinstance(error.__cause__, ValidationError):  # of a launcher's setting, which has a type
        return f"{error.__cause__.full_key}: {str(error.__cause__).splitlines()[0]}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("See https")]
    return " ".join(lines[:2]) if lines else type(error).__name__


def _no_reference(text: str) -> str:
    """Why OmegaConf, which says this, cannot follow a reference, in words."""
    if missing := re.match("Interpolation key '(.*)' not found", text):
        return f"{missing[1]} is not a setting{nearest_key(missing[1], keys_like(missing[1]))}"
    said = re.search('interpolation: "(.*)"', text)
    return said[1] if said else "${ begins a reference to another setting, as in ${seed}"


def unreadable(value: str) -> str:
    """What keeps Hydra's grammar from reading a value, in words."""
    outside = _QUOTED.sub("_", value)
    if re.search("['\"]", outside):
        return "a quote is not closed"
    calls, brackets = re.findall(r"(\w+)\(", outside), _bracket(outside)
    unknown = [name for name in calls if name not in FUNCTIONS]
    if brackets:
        return brackets
    if re.search(r"(^|[,(\[{])\s*,|,\s*($|[)\]}])", outside):
        return "a value is missing beside a comma"
    if unknown:
        known = ", ".join(f"{name}()" for name in FUNCTIONS)
        return f"there is no {unknown[0]}(), only {known}"
    if calls:
        return f"write {FUNCTIONS['interval' if 'interval' in calls else calls[0]]}"
    if ";" in outside:
        return "several values are separated by commas"
    return "a value is a number, a word, a list [A,B] or a mapping {A: B}; other text is quoted"


def _bracket(text: str) -> str:
    """The first bracket that has no partner, in words; "" if all have one."""
    waiting: list[str] = []
    for letter in text:
        if letter in "([{":
            waiting.append(letter)
        elif letter in ")]}" and (not waiting or waiting.pop() + letter not in ("()", "[]", "{}")):
            return f"{letter} closes no bracket"
    return f"{waiting[-1]} is not closed" if waiting else ""


def keys_like(name: str) -> list[str]:
    """The settings that may have been meant by a name, the likeliest first."""
    known = [*DECLARED, *GROUPS, *sections(Settings)]
    if any(key.endswith(f".{name}") for key in known):
        return known
    for group in GROUPS:
        known += [f"{group}.{key}" for cls in choices(group).values() for key in declared(cls)]
    known = list(dict.fromkeys(known))
    section, dot, _ = name.partition(".")
    return [key for key in known if dot and key.startswith(f"{section}.")] or known


def plain(config: Any, *, resolve: bool = True) -> dict[str, Any]:
    """A configuration, with its references resolved or not, as a plain dictionary."""
    from omegaconf import OmegaConf

    plain = OmegaConf.to_container(config, resolve=resolve)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def refuse_hydra(override: Any) -> None:
    """Raises SettingError for an override of Hydra's own settings, except those of a launcher.

    Through them a configuration could name classes that Hydra would call.
    """
    key, text = override.key_or_group, override.input_line
    if re.split(r"[./@]", key)[0] != "hydra":
        return
    if re.fullmatch(r"hydra\.(run\.dir|sweep\.dir|output_subdir)", key):
        raise SettingError(
            f"{key} is not used here; run.dir=PATH names a run's directory, "
            "sweep.dir=PATH a sweep's"
        )
    if override.is_sweep_override():
        raise SettingError(f"{text} gives several values: a sweep has one launcher")
    plain = not (override.is_delete() or override.package)
    if key == "hydra/launcher" and plain:
        one_of(key, override.value(), launchers())
    elif not (plain and re.fullmatch(r"hydra\.launcher(\.[A-Za-z]\w*)+", key)):
        raise SettingError(
            f"{shortened(text)}: of Hydra's own settings only hydra/launcher=NAME and "
            "hydra.launcher.KEY=VALUE are used"
        )


def launchers() -> list[str]:
    """The names of the shipped launchers."""
    return sorted(path.stem for path in (CONF / "hydra" / "launcher").glob("*.yaml"))
