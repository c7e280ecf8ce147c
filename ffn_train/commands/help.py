"""``--help``: the choices, settings and presets, from their declarations."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ffn_train.config.keys import DECLARED, GROUPS, PRESET
from ffn_train.config.mistakes import keys_like
from ffn_train.config.places import CONF
from ffn_train.config.registry import FOLDERS, LISTED, canonical, choices, summary
from ffn_train.config.settings import Setting, SettingError, declared, nearest_key, one_of

USAGE = """\
ffn_train: gradient flow in residual feed-forward stacks.

  python -m ffn_train                                     the default run
  python -m ffn_train model.depth=64 residual=none        change settings and choices
  python -m ffn_train experiment=diabetes seed=3          start from a preset
  python -m ffn_train task=table task.path=data.csv task.target=price
  python -m ffn_train residual=rezero residual.start=0.1 run.dir=outputs/mine
  python -m ffn_train -m seed=0,1,2                       a sweep
  python -m ffn_train --cfg job                           print the configuration, run nothing
  python -m ffn_train --help optimizer=adam               one choice and its settings
  python -m ffn_train.gradcheck block=swiglu              check the backward pass
  python -m ffn_train.theory model.depth=512              predict, without training
  python -m ffn_train.plots outputs/mine --formats pdf    redraw a run's figures
  python -m ffn_train predict outputs/mine new.csv        apply a run's network to a table

Other commands: compare, view, diff, export, check, reproduce, clean; each has --help.
"""
COMPLETION = 'Tab completion: eval "$(ffn-train --shell-completion install=bash)"'
WIDTH = 100
_SHOWN = ("per", "equation", "unit", "needs", "kind", "kinds")  # attributes in a choice's help


def help_text(overrides: Sequence[str]) -> str:
    """All choices, settings and presets, a line each; with words such as ``optimizer=adam`` or
    ``model.depth`` only what these words name.

    Raises SettingError for a choice or a setting that does not exist.
    """
    named = dict.fromkeys(text for text in map(_named, overrides) if text)
    if named:
        return "\n\n".join(named)
    lines = [USAGE, "Choices (GROUP=NAME; --help GROUP=NAME has the settings of each):", ""]
    lines += _aligned((f"{group}={name}", says) for group in GROUPS for name, says in _group(group))
    lines += ["", "Quantities (measure.quantities=[default,NAME]; default is all of these):", ""]
    lines += _aligned(_group("quantity"))
    lines += ["", "Settings and their defaults (KEY=VALUE):", ""]
    lines += _settings(DECLARED)
    lines += ["", "Presets (experiment=NAME), those with sweep: for -m:", ""]
    lines += _aligned(presets())
    return "\n".join([*lines, "", COMPLETION])


def _named(text: str) -> str:
    """The help on what a word names; "" for parts and for what Hydra owns."""
    key, equals, name = text.lstrip("+~").partition("=")
    if key in FOLDERS:
        return _choice(key, name) if equals else "\n".join(_aligned(_group(key)))
    if key == PRESET:
        return "\n".join(_aligned(presets()))
    if key == "parts" or key.startswith("hydra"):
        return ""
    group, _, last = key.partition(".")
    having = choices(group) if group in FOLDERS else {}
    if chosen := [name for name, cls in having.items() if last in declared(cls)]:
        return "\n\n".join(_choice(group, name) for name in chosen)
    settings = {k: s for k, s in DECLARED.items() if f"{k}.".startswith(f"{key}.")}
    if not settings:
        raise SettingError(f"{key} is not a choice or a setting{nearest_key(key, keys_like(key))}")
    return "\n".join(_settings(settings))


def _group(group: str) -> list[tuple[str, str]]:
    """Name and meaning of each choice of a group."""
    usual = default_choices().get(group)
    marks = {usual: " (the default)"}
    return [(name, summary(cls) + marks.get(name, "")) for name, cls in choices(group).items()]


def default_choices() -> dict[str, str]:
    """The choice of each group that is made without an override."""
    listed = re.findall(r"^  - (\w+): (\w+)$", (CONF / "config.yaml").read_text("utf-8"), re.M)
    return {group: name for group, name in listed if group in GROUPS}


def _choice(group: str, name: str) -> str:
    cls = choices(group)[one_of(group, canonical(group, name), choices(group))]
    lines = _settings({f"{group}.{key}": setting for key, setting in declared(cls).items()})
    written = f"{LISTED[group]}=[{name}]" if group in LISTED else f"{group}={name}"
    says = inspect.cleandoc(cls.__doc__ or "")
    facts = {word: getattr(cls, word) for word in _SHOWN if getattr(cls, word, "")}
    declares = [
        f"  {word}: {value}" for word, value in facts.items() if not isinstance(value, property)
    ]
    return "\n".join([f"{written}: {says}", "", *declares, *lines])


def _settings(known: Mapping[str, Setting]) -> Iterator[str]:
    return _aligned((f"{key}={value(s.default)}", sentence(s)) for key, s in known.items())


def _aligned(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A line for each name and its meaning, which start in the same columns."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    for name, says in rows:
        indent = " " * (width + 4)
        yield textwrap.fill(f"  {name:{width}}  {says}", WIDTH, subsequent_indent=indent)


def sentence(setting: Setting) -> str:
    """A setting's meaning, with its unit and bounds."""
    notes = [", ".join(setting.among), setting.unit, setting.range]
    details = "; ".join(note for note in notes if note)
    return f"{setting.says} ({details})" if details else setting.says


def value(default: Any) -> str:
    """A default as written on the command line."""
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default]
    return f"[{','.join(map(str, default))}]" if isinstance(default, list) else str(default)


def presets() -> list[tuple[str, str]]:
    """Name and purpose of every preset: single runs first, then sweeps."""
    rows = []
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comments = [line[2:] for line in text.splitlines() if line.startswith("# ")]
        sweeps = "\nsweep:" in text
        rows.append((sweeps, path.stem, f"{'sweep: ' if sweeps else ''}{comments[1]}"))
    return [(name, says) for _, name, says in sorted(rows)]
