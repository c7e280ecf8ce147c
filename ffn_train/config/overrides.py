"""Overrides of the command line, parsed by Hydra's grammar and checked before composition."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from ffn_train.config.keys import DECLARED, GROUPS, KINDS, PRESET, having, silent
from ffn_train.config.mistakes import refuse_hydra, unreadable
from ffn_train.config.sections import path
from ffn_train.config.settings import SettingError, declared, kinds, shortened

CONFIG_DIR = "--config-dir="  # prefix of a directory of presets among the overrides
PATHS = {key for key, setting in DECLARED.items() if setting.check is path} | {"task.path"}
# a value of a comma-separated list, which may be a list itself
_ITEM = re.compile(r"""\s*("[^"]*"|'[^']*'|\[[^][]*\](?=\s*(?:,|$))|[^,]+)\s*(?:,|$)""")


def refuse_bytes(overrides: Sequence[str]) -> None:
    """Raises SettingError for an override that is not UTF-8, which a run's files could not hold."""
    for text in overrides:
        if re.search("[\ud800-\udfff]", text):
            raise SettingError(f"cannot read {shortened(text)!r}: it is not UTF-8")


def grammar(text: str) -> Any:
    """One override as Hydra's own object. Raises SettingError."""
    from hydra.errors import HydraException

    if not text.strip():
        raise SettingError(f"cannot read {text!r}: an override is KEY=VALUE")
    if "=" not in text and not text.startswith("~"):
        raise SettingError(f"{shortened(text)}: =VALUE is missing, as in {shortened(text)}=VALUE")
    try:
        try:
            override = _parser().parse_override(text)
        except HydraException:
            if not is_text(text.partition("=")[0]):
                raise
            override = _parser().parse_override(_literal(text))
    except (HydraException, ValueError, RecursionError) as error:
        raise SettingError(f"cannot read {shortened(text)!r}: {_why(text, error)}") from None
    if not override.key_or_group:
        raise SettingError(f"cannot read {shortened(text)!r}: an override is KEY=VALUE")
    refuse_hydra(override)
    if any(map(_varies, _items(override.value()))):
        raise SettingError(f"{text}: choice(), range(), sort() ... stand alone, not in a list")
    if override.key_or_group in (*GROUPS, PRESET) and not override.is_sweep_override():
        _refuse_no_choice(text, override)
    return override


def _why(text: str, error: Exception) -> str:
    """What is wrong with an override, in words."""
    key, _, value = text.partition("=")
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, ValueError):
        return "a number has too many digits"
    if not _readable(f"{key}=1"):
        return "a key is a name, or several joined by points"
    return unreadable(value)


def _items(value: Any) -> Sequence[Any]:
    """What a list, a mapping or several values consist of."""
    inner = getattr(value, "list", value)
    return (
        [*inner.values()] if isinstance(inner, dict) else inner if isinstance(inner, list) else []
    )


def _varies(value: Any) -> bool:
    """Whether a value has, at any depth, several values in the place of one."""
    from hydra.core.override_parser.types import Glob, Sweep

    return isinstance(value, (Sweep, Glob)) or any(map(_varies, _items(value)))


def _refuse_no_choice(text: str, override: Any) -> None:
    """Raises SettingError for a list, a number or nothing where a choice's name is expected."""
    value, key = override.value(), override.get_key_element()
    if isinstance(value, list):
        several = ",".join(map(str, value))
        fixed = key == PRESET or silent(key)
        sweeps = "" if fixed else f"; {key}={several} with -m sweeps over them"
        raise SettingError(f"{text} is a list where one choice is meant{sweeps}")
    if override.is_add() or override.is_force_add():
        raise SettingError(f"{text}: a choice is written without +, {text.lstrip('+')}")
    if override.is_delete() and value is None:
        return
    if not isinstance(value, str) or not value.strip() or ".." in value:
        raise SettingError(f"{text}: a choice is a word; --help lists those of {key}")


@cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions

    functions = create_functions()
    # its order is another one each time: the same command would not be the same sweep
    del functions.definitions["shuffle"]
    return OverridesParser(functions)


def is_text(key: str) -> bool:
    """Whether a setting takes text of any characters: a path, a name or several names."""
    key = key.lstrip("+")
    chosen = key.partition(".")[0] in GROUPS
    return key in PATHS or (chosen and any(str in types for types in kinds_of(key)))


def several(text: str) -> SettingError:
    """The error of several values in the place of one: what they may be meant as."""
    key, _, values = text.partition("=")
    bare = key.lstrip("+")
    lists = KINDS.get(bare) == (Any,) and bare not in {*PATHS, "sweep.grid"}
    ways = []
    if lists or any(Sequence[str] in types for types in kinds_of(key)):
        ways.append(f"as a list: {shlex.quote(f'{key}=[{values}]')}")
    elif not silent(bare) and bare != PRESET:
        ways.append("a sweep, with -m of ffn_train or theory")
    if is_text(key):
        as_text = shlex.quote(f'{key}="{values}"')
        ways.append(f"as one text: {as_text}")
    return SettingError(f"{text} gives several values: {'; '.join(ways) or 'one is meant'}")


def kinds_of(key: str) -> list[tuple[Any, ...]]:
    """The types that a setting takes, of each choice that has it; none of an unknown one."""
    key = key.lstrip("+")
    if key in KINDS:
        return [KINDS[key]]
    name = key.partition(".")[2]
    return [kinds(cls)[name] for cls in having(key).values()]


def _literal(text: str) -> str:
    """An override that Hydra's grammar cannot parse, with each of its values in quotes."""
    key, _, value = text.partition("=")
    values = items(value)
    # [a],[b] are two lists, not one of a] and [b
    several_lists = len(values) > 1 and re.fullmatch(r"\[[^][]*\]", values[0])
    if key not in PATHS and re.fullmatch(r"\[.*\]", value.strip()) and not several_lists:
        return f"{key}={_verbatim(value.strip())}"
    return f"{key}={','.join(map(_verbatim, values))}"


def items(values: str) -> list[str]:
    """Comma-separated values as they are written, what is in quotes or in brackets whole."""
    return list(filter(None, map(str.strip, _ITEM.findall(values))))


def as_written(text: str) -> str:
    """The override for Hydra, quoted so that names and paths are taken literally.

    ``task.target=w,z`` is one name, and ``run.dir=1e5`` names 1e5, not 100000.0. Raises
    SettingError.
    """
    key, equals, value = text.partition("=")
    if equals and value.strip() and is_literal(text):
        return f"{key}={_verbatim(value.strip())}"
    override = grammar(text)
    key = override.get_key_element()
    if key == "sweep.grid":  # its keys are settings, which Hydra does not know there
        return f"++{text}"
    path = key.lstrip("+") in PATHS and not override.is_sweep_override()
    if path and not isinstance(override.value(), (str, type(None))):
        return f"{key}={quoted(text.partition('=')[2].strip())}"
    return str(override.input_line)


def is_literal(text: str) -> bool:
    """Whether an override sets a literal setting, as a path or a column's name, of some choice.

    If another choice has a setting of that name that is not literal, only what Hydra cannot parse.
    """
    key = text.partition("=")[0].lstrip("+")
    name = key.partition(".")[2]
    literal = [declared(cls)[name].literal for cls in having(key).values()]
    return any(literal) and (all(literal) or not _readable(text))


def _verbatim(value: str) -> str:
    """The text in quotes, each item of a list by itself; quotes and references are kept."""
    if value in ("null", "???") or (
        (value[0] in "'\"" or "${" in value) and _readable(f"x={value}")
    ):
        return value
    if value[0] == "[" and value[-1] == "]":
        return f"[{','.join(map(_verbatim, items(value[1:-1])))}]"
    return quoted(value)


def _readable(text: str) -> bool:
    from hydra.errors import HydraException

    try:
        _parser().parse_override(text)
    except (HydraException, ValueError, RecursionError):
        return False
    return True


def written(key: str, value: str) -> str:
    """The override that sets a key to exactly this text, in quotes if Hydra needs them."""
    from hydra.errors import HydraException

    plain = f"{key}={value}"
    with suppress(HydraException):
        if "${" not in value and _parser().parse_override(plain).value() == value:
            return plain
    # a reference is escaped, and so are the backslashes before it
    escaped = re.sub(r"(\\*)\$(?={)", r"\1\1\\$", value)
    return f"{key}={quoted(escaped)}"


def quoted(text: str) -> str:
    """A text in quotes, with Hydra's escapes."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def command(*words: str, module: str = "ffn_train", path: Path | None = None) -> str:
    """``python -m MODULE WORD ... PATH``, to be pasted into a shell.

    Unprintable characters are written as ``$'...'``, which bash, zsh and ksh understand.
    """
    last = [] if path is None else [str(path)]
    if last and re.match("-|parts=", last[0]):  # would be read as an option
        last = [f"./{path}"]
    return " ".join(map(_shell, ["python", "-m", module, *words, *last]))


def _shell(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    escaped = (c if c.isprintable() and c not in "\\'" else _escaped(c) for c in word)
    return f"$'{''.join(escaped)}'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
