"""The choices and settings as text, from their declarations: for --help and conf/README.md."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ffn_train.config.keys import DECLARED, GROUPS, default_settings, dotted
from ffn_train.config.places import CONF
from ffn_train.config.registry import FOLDERS, LISTED, canonical, choices
from ffn_train.config.settings import Setting, declared, defaults, one_of

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
"""
COMPLETION = 'Tab completion: eval "$(ffn-train --shell-completion install=bash)"'
WIDTH = 100
_SHOWN = ("per", "equation", "unit", "needs", "kind", "kinds")  # attributes in a choice's help


def help_text(overrides: Sequence[str]) -> str:
    """All choices, settings and presets, a line each; with overrides such as ``optimizer=adam``
    only these choices.

    Raises SettingError for a choice that does not exist.
    """
    for group in (text for text in overrides if text in FOLDERS):
        return "\n".join(_group(group))
    subjects = [text.split("=", 1) for text in overrides if text.split("=")[0] in FOLDERS]
    if subjects:
        return "\n\n".join(_choice(group, name) for group, name in subjects)
    groups = [
        (group, name, summary(cls)) for group in GROUPS for name, cls in choices(group).items()
    ]
    width = max(len(f"{group}={name}") for group, name, _ in groups)
    lines = [USAGE, "Choices (GROUP=NAME; --help GROUP=NAME has the settings of each):", ""]
    lines += (_entry(f"{group}={name}", says, width) for group, name, says in groups)
    measured = [(name, summary(cls)) for name, cls in choices("quantity").items()]
    lines += ["", "Quantities (measure.quantities=[default,NAME]; default is all of these):", ""]
    lines += (_entry(name, says, width) for name, says in measured)
    lines += ["", "Settings and their defaults (KEY=VALUE):", ""]
    lines += _settings((key, default, DECLARED[key]) for key, default in _defaults().items())
    lines += ["", "Presets (experiment=NAME), those with sweep: for -m:", ""]
    lines += (_entry(name, says, width) for name, says in presets())
    return "\n".join([*lines, "", COMPLETION])


def _group(group: str) -> Iterator[str]:
    """The choices of a group, a line each."""
    width = max(map(len, choices(group)))
    return (_entry(name, summary(cls), width) for name, cls in choices(group).items())


def _choice(group: str, name: str) -> str:
    cls = choices(group)[one_of(group, canonical(group, name), choices(group))]
    values, known = defaults(cls), declared(cls)
    lines = _settings((f"{group}.{key}", values[key], known[key]) for key in known)
    written = f"{LISTED[group]}=[{name}]" if group in LISTED else f"{group}={name}"
    says = inspect.cleandoc(cls.__doc__ or "")
    facts = {word: getattr(cls, word) for word in _SHOWN if getattr(cls, word, "")}
    declares = [
        f"  {word}: {value}" for word, value in facts.items() if not isinstance(value, property)
    ]
    return "\n".join([f"{written}: {says}", "", *declares, *lines])


def _settings(known: Iterable[tuple[str, Any, Setting]]) -> Iterator[str]:
    rows = [(f"{key}={value(default)}", sentence(setting)) for key, default, setting in known]
    width = max((len(name) for name, _ in rows), default=0)
    return (_entry(name, says, width) for name, says in rows)


def _entry(name: str, says: str, width: int) -> str:
    indent = " " * (width + 4)
    return textwrap.fill(f"  {name:{width}}  {says}", WIDTH, subsequent_indent=indent)


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


def summary(cls: type[Any]) -> str:
    """The first line of a class's docstring."""
    return (cls.__doc__ or "").strip().partition("\n")[0]


def presets() -> list[tuple[str, str]]:
    """Name and purpose of every preset: single runs first, then sweeps."""
    rows = []
    for path in sorted((CONF / "experiment").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comments = [line[2:] for line in text.splitlines() if line.startswith("# ")]
        sweeps = "\nsweep:" in text
        rows.append((sweeps, path.stem, f"{'sweep: ' if sweeps else ''}{comments[1]}"))
    return [(name, says) for _, name, says in sorted(rows)]


def _defaults() -> dict[str, Any]:
    """The default of every setting that does not belong to a choice, by dotted key."""
    whole = default_settings()
    grid = whole["sweep"].pop("grid")
    return {**dotted(whole), "sweep.grid": grid}


def choices_table() -> str:
    """All choices with their settings, as a Markdown table."""
    lines = ["| choice | what it is | settings and defaults |", "|---|---|---|"]
    for group in GROUPS:
        for name, cls in choices(group).items():
            values = defaults(cls)
            keys = "; ".join(
                f"`{key}={value(values[key])}` {sentence(setting)}"
                for key, setting in declared(cls).items()
            )
            lines.append(f"| `{group}={name}` | {_cell(summary(cls))} | {_cell(keys)} |")
    return "\n".join(lines)


def settings_table() -> str:
    """All settings that do not belong to a choice, as a Markdown table."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    lines += (
        f"| `{key}` | `{value(default)}` | {_cell(sentence(DECLARED[key]))} |"
        for key, default in _defaults().items()
    )
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
