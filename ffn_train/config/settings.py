"""Settings: declared once, as dataclass fields, and checked against that declaration.

    @dataclass(frozen=True, kw_only=True)
    class Model:
        depth: int = setting("L, the number of blocks", 8, at_least=1)

A field has its meaning in a sentence, its default and bounds, what it changes, and the value that
it had before it existed. An error is one line with the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeGuard, TypeVar, cast, get_args, get_type_hints

T = TypeVar("T")
_hints = cache(get_type_hints)
Changes = Literal["numbers", "rounding", "source", "nothing"]
Check = Callable[[str, Any], object]
REQUIRED = "???"  # Hydra's mark, in place of a default
ALWAYS_THERE = object()  # in place of the value from before a setting existed

LARGEST_INTEGER = 10**50  # so that products of several are still in the range of a float
LARGEST_NUMBER = 1e300
_COMPARE = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


class UserError(ValueError):
    """What a user gave cannot be used; the message is one line, which a command ends with."""


class SettingError(UserError):
    """A setting that cannot be used."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if the message is empty or fails."""
    lines = []
    with suppress(BaseException):  # a part's error may run code
        lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def described(error: BaseException) -> str:
    """The first line of an error's message, behind its type unless the message is for the user."""
    line = first_line(error)
    return line if isinstance(error, UserError) else f"{type(error).__name__}: {line}"


def shortened(text: str, length: int = 100) -> str:
    """The text; if longer than ``length``, its beginning and its number of characters."""
    return text if len(text) <= length else f"{text[:length]}... ({len(text):,} characters)"


def counted(number: int | str, word: str) -> str:
    """A number and what it counts: ``1 row``, ``20 rows``, ``2 passes``."""
    text = number if isinstance(number, str) else f"{number:,}"
    return f"{text} {word}{'' if text == '1' else 'es' if word.endswith('s') else 's'}"


def either(words: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last


def printable(text: str) -> str:
    """The text with control characters escaped, except line ends."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


@dataclass(frozen=True)
class Setting:
    """The declaration of a setting, besides its name and type.

    ``says``: its meaning in a sentence. ``unit``: of its value. ``squared``: computations use its
    square root, as of a variance. ``changes``: a run's numbers, their rounding (last digits), the
    source of its rows (which are compared themselves) or nothing; runs are the same if all settings
    that change numbers are. ``before``: the value in configurations from before the setting
    existed. ``check``: replaces the check of type and bounds. ``literal``: a path or names of
    columns, taken literally from the command line.
    """

    says: str
    default: Any = REQUIRED
    unit: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    among: tuple[str, ...] = ()
    squared: bool = False
    changes: Changes = "numbers"
    before: Any = ALWAYS_THERE
    check: Check | None = None
    literal: bool = False

    @property
    def bounds(self) -> list[tuple[str, float]]:
        """The declared bounds, each with its sign."""
        ends = {">": self.above, ">=": self.at_least, "<": self.below, "<=": self.at_most}
        return [(sign, bound) for sign, bound in ends.items() if bound is not None]

    @property
    def range(self) -> str:
        """``> 0 and <= 1``."""
        return " and ".join(f"{sign} {bound:g}" for sign, bound in self.bounds)


def unchecked(key: str, value: Any) -> None:
    """No check, for a setting that is checked together with others."""


def setting(says: str, default: Any = REQUIRED, **declared: Any) -> Any:
    """A dataclass field that is a setting, with its meaning in a sentence and its default, if any.

    The keywords are those of ``Setting``: ``at_least``, ``above``, ``at_most``, ``below`` for
    numbers, ``among`` for words, ``squared``, ``unit``, ``changes``, ``before``, ``check``,
    ``literal``.
    """
    known = [f.name for f in fields(Setting)]
    for keyword in declared:
        if keyword not in known:
            hint = nearest(keyword, known)
            raise ValueError(f"setting({says!r}): {keyword} is not a keyword{hint}")
    if getattr(default, "ndim", None) == 0:  # NumPy's numbers, which Hydra does not take
        default = default.item()
    metadata = {"setting": Setting(says, default, **declared)}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=MISSING if default is REQUIRED else default, metadata=metadata)


def section(cls: type[T]) -> T:
    """A dataclass field that is a section, whose settings another dataclass declares."""
    return cast("T", field(metadata={"section": cls}))


def declared(cls: Any) -> Mapping[str, Setting]:
    """The settings of a dataclass by name, in order, without those of its sections."""
    return _fields(cls, "setting")


def sections(cls: Any) -> Mapping[str, type[Any]]:
    """The sections of a dataclass by name, in order."""
    return _fields(cls, "section")


@cache
def _fields(cls: Any, kind: str) -> dict[str, Any]:
    return {f.name: f.metadata[kind] for f in fields(cls) if kind in f.metadata}


def kinds(cls: Any) -> Mapping[str, tuple[Any, ...]]:
    """The types that each setting of a dataclass takes, by name."""
    hints = _hints(cls)
    return {name: get_args(hints[name]) or (hints[name],) for name in declared(cls)}


def defaults(cls: type[Any]) -> dict[str, Any]:
    """The default of each setting, or ``REQUIRED``."""
    values = {name: setting.default for name, setting in declared(cls).items()}
    return values | {name: defaults(inner) for name, inner in sections(cls).items()}


def check_defaults(cls: Any) -> None:
    """Raises TypeError for a setting whose type needs a check of its own, and SettingError for a
    default that is none of the setting's values; one with such a check may have a default that
    passes it on some machines only.
    """
    hints = _hints(cls)
    for name, setting in declared(cls).items():
        if setting.check is not None:
            continue
        if setting.default is REQUIRED:
            _simple(name, hints[name])
        else:
            check(name, setting.default, setting, hints[name])


def check_all(section: Any, key: str) -> None:
    """Check every setting of a dataclass's instance; ``key`` is the dotted name of the section."""
    cls: Any = type(section)
    hints = _hints(cls)
    for name, setting in declared(cls).items():
        check(f"{key}.{name}" if key else name, getattr(section, name), setting, hints[name])


def check(key: str, value: Any, setting: Setting, kind: Any) -> None:
    """Check a value against its declaration and its annotated type. Raises SettingError."""
    if setting.check is not None:
        setting.check(key, value)
        return
    kind, optional = _simple(key, kind)
    if isinstance(value, str) and value == REQUIRED:
        raise SettingError(f"{key} is missing")
    if value is None and optional:
        return
    if kind is int:
        integer(key, value, at_least=setting.at_least)
    elif kind is float:
        _number(key, value, setting)
    elif kind is str and setting.among:
        one_of(key, value, setting.among)
    elif not isinstance(value, kind):
        what = "text" if kind is str else "true or false"
        raise SettingError(f"{key} must be {what}, got {value!r}")


def _simple(key: str, kind: Any) -> tuple[Any, bool]:
    """The type that a setting has, and whether it may be None. Raises TypeError for one that needs
    its own check.
    """
    kinds = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    simple = [part for part in kinds if part is not NoneType]
    if len(simple) != 1 or simple[0] not in (int, float, str, bool):
        raise TypeError(f"{key}: a setting of type {kind} needs a check of its own, check=...")
    return simple[0], len(kinds) > 1


def read(cls: type[T], values: Any, key: str) -> T:
    """The section ``key`` of a configuration, "" for all of it, as a checked dataclass.

    An absent key has the value from before it existed. Raises SettingError for an unknown or
    missing key and for an invalid value.
    """
    prefix, inner = f"{key}." if key else "", sections(cls)
    dotted = {name: f"{prefix}{name}" for name in (*declared(cls), *inner)}
    if not isinstance(values, Mapping):
        raise SettingError(f"{key} holds {', '.join(dotted.values())}, got {values!r}")
    for name in values:
        if name not in dotted:
            full = f"{prefix}{name}"
            raise SettingError(f"{full} is not a setting{nearest(full, dotted.values())}")
    complete: dict[str, Any] = {
        name: read(part, values.get(name, {}), dotted[name]) for name, part in inner.items()
    }
    for name, setting in declared(cls).items():
        complete[name] = values.get(name, setting.before)
        if complete[name] is ALWAYS_THERE:
            raise SettingError(f"{dotted[name]} is missing")
    section = cls(**complete)
    check_all(section, key)
    return section


def integer(key: str, value: Any, *, at_least: float | None = None) -> int:
    """The value as an int of at least ``at_least``; 3.0 and True are not integers."""
    low = -math.inf if at_least is None else at_least
    if isinstance(value, int) and abs(value) >= LARGEST_INTEGER:
        raise SettingError(f"{key} must be an integer of at most 50 digits, got a longer one")
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        bound = "" if at_least is None else f" >= {at_least:g}"
        raise SettingError(f"{key} must be an integer{bound}, got {value!r}")
    return value


def _number(key: str, value: Any, setting: Setting) -> None:
    """Check a finite number and its bounds."""
    got = shortened(repr(value))
    infinite = value in (math.inf, -math.inf) or value != value
    held = _is_real(value) and all(_COMPARE[sign](value, end) for sign, end in setting.bounds)
    if infinite or not held:
        kind = "finite number" if infinite else "number"
        raise SettingError(f"{key} must be a {kind} {setting.range}".rstrip() + f", got {got}")
    if not is_number(value):
        raise SettingError(f"{key} must be at most {LARGEST_NUMBER:g} in size, got {got}")


def is_number(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    return _is_real(value) and abs(value) <= LARGEST_NUMBER


def _is_real(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def one_of(key: str, value: Any, allowed: Iterable[str]) -> str:
    """The value, which must be one of the allowed words."""
    words = list(allowed)
    if not isinstance(value, str) or value not in words:
        hint = nearest(value, words)
        raise SettingError(f"{key} must be one of {', '.join(words)}, got {value!r}{hint}")
    return value


def check_kinds(owner: Any, kinds: Mapping[str, type], prefix: str = "") -> None:
    """Raises SettingError for an attribute that is declared as something of another type."""
    words = {str: "text", bool: "True or False"}
    for name, kind in kinds.items():
        if not isinstance(value := getattr(owner, name), kind):
            what = f"{words[kind]}, got {shortened(repr(value))}"
            raise SettingError(f"{prefix}{name} must be {what}")


def check_words(owner: Any, name: str, example: str) -> None:
    """Make a declared list of texts a tuple. Raises ValueError for what is neither."""
    words = getattr(owner, name)
    if not isinstance(words, (tuple, list)) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{name} must be a tuple such as ({example!r},), got {words!r}")
    setattr(owner, name, tuple(words))


def some_of(key: str, words: Sequence[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """The words without duplicates: at least one, and only allowed words."""
    allowed = tuple(allowed)
    if not words:
        raise SettingError(f"{key} must name some of {', '.join(allowed)}, got none")
    return tuple(dict.fromkeys(one_of(key, word, allowed) for word in words))


def nearest_key(name: str, keys: Iterable[str]) -> str:
    """``nearest`` among dotted keys, of which only the last part may have been typed."""
    known = list(keys)
    last = {key: key.rpartition(".")[2] for key in known}
    meant = difflib.get_close_matches(name, last.values(), n=1, cutoff=0.75)
    same = [key for key in known if last[key] in meant]
    return f"; did you mean {either(same)}?" if same else nearest(name, known)


def nearest(word: Any, words: Iterable[str]) -> str:
    """``"; did you mean X?"`` for the closest of the words, or "" if none is close."""
    close = difflib.get_close_matches(str(word), list(words), n=1)
    return f"; did you mean {close[0]}?" if close else ""
