"""Calls of a user's functions, in this process or in a child (``child.py``).

An answer is plain data: arrays of numbers, or one line that says why there are none.
"""

from __future__ import annotations

import inspect
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Protocol

import numpy as np

from ffn_train.config.settings import SettingError, described, shortened
from ffn_train.nn.core import Floats
from ffn_train.teach.activations import ACTIVATIONS

LARGEST = 1_000_000  # entries of an array that a function is given or returns
DIMENSIONS = 32
MEMORY = 2 << 30  # bytes that a file which is checked may use


@dataclass(frozen=True)
class Passed:
    """An activation, or its derivative, as an argument of a user's function."""

    name: str
    derivative: bool = False


Argument = Floats | Passed


@dataclass(frozen=True)
class Call:
    """A call of a function, after that of ``forward`` if there is one, as in a training step.

    The first ``count`` of the arguments are those of ``forward``. ``cached``: what it returns
    after y is passed on, ``y, cache = forward(...)``, ``backward(dy, cache)``; y if that is all.
    """

    name: str
    arguments: Sequence[Argument]
    forward: str = ""
    count: int = 0
    cached: bool = False


@dataclass(frozen=True)
class Signature:
    """The names of the arguments, the ``required`` ones first; ``more``: it takes any number.

    Those with a default count as far as it is a function or None; numbers are settings.
    """

    names: tuple[str, ...]
    required: int
    more: bool = False

    @property
    def choices(self) -> list[tuple[str, ...]]:
        """What it may be given, the most arguments first."""
        return [self.names[:count] for count in range(len(self.names), self.required - 1, -1)]

    def takes(self, count: int) -> bool:
        return self.required <= count and (self.more or count <= len(self.names))


@dataclass
class Answer:
    """What a function returned: arrays (None for anything else), and a dictionary's keys.

    ``single``: one array, not a tuple. ``after`` are the arguments after the call,
    those of the forward function first.
    ``error`` says in one line why there is nothing; ``missing``: it is not written yet.
    """

    arrays: list[Floats | None] = field(default_factory=list)
    names: list[str] | None = None
    single: bool = False
    after: list[Floats | None] = field(default_factory=list)
    error: str | None = None
    missing: bool = False


class Bench(Protocol):
    """Functions that are called by name."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    @property
    def shapes(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        """The declared shapes of the arguments of forward functions."""

    def call(self, call: Call) -> Answer:
        """What a function returns, or why it returns nothing."""


class Local:
    """The functions of this process."""

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        shapes: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.signatures = {
            name: signature
            for name, function in functions.items()
            if (signature := signature_of(function)) is not None
        }
        self.functions = {name: _by_place(functions[name]) for name in self.signatures}
        self.shapes = {
            name: shapes_of(declared, ("x", *self.signatures[name].names))
            for name, declared in (shapes or {}).items()
            if name in self.signatures
        }

    def call(self, call: Call) -> Answer:
        def run(*given: Any) -> Any:
            rest = given[call.count :]
            if call.forward:
                result = self.functions[call.forward](*given[: call.count])
                kept = result[1:] if isinstance(result, (tuple, list)) else [result]
                rest += tuple(kept) if call.cached else ()
            return self.functions[call.name](*rest)

        return _guarded(run, call.arguments)


def shapes_of(declared: Mapping[str, Any], names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The declared shapes of the arguments with these names; what else is declared is ignored.

    Raises SettingError for what is not the shape of an array, or of too large a one.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for name in names:
        if name not in declared:
            continue
        given = shortened(repr(declared[name]))
        try:
            shape = tuple(map(operator.index, declared[name]))
        except TypeError:
            shape = (0,)
        if min(shape, default=1) < 1:
            raise SettingError(f"shapes: {name} must be a tuple of integers >= 1, got {given}")
        if len(shape) > DIMENSIONS or math.prod(shape) > LARGEST:
            most = f"at most {DIMENSIONS} dimensions and {LARGEST:,} entries"
            raise SettingError(f"shapes: {name} must have {most}, got {given}")
        shapes[name] = shape
    return shapes


def signature_of(function: Callable[..., Any]) -> Signature | None:
    """The parameters of a function; None if it has no signature."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    single = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    required = [p.name for p in single if p.default is p.empty]
    optional = [p for p in single if p.default is not p.empty and p.kind != p.KEYWORD_ONLY]
    given = takewhile(lambda p: p.default is None or callable(p.default), optional)
    more = any(p.kind == p.VAR_POSITIONAL for p in parameters)
    names = () if _keywords(parameters) else (p.name for p in given)
    return Signature((*required, *names), len(required), more)


def _keywords(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """The arguments that have to be given by keyword."""
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.default is p.empty]


def _by_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the arguments that it takes by keyword alone behind the others."""
    names = _keywords(inspect.signature(function).parameters.values())

    def call(*given: Any) -> Any:
        count = len(given) - len(names)
        return function(*given[:count], **dict(zip(names, given[count:], strict=True)))

    return call if names else function


def _guarded(function: Callable[..., Any], arguments: Sequence[Argument]) -> Answer:
    given = [_given(argument) for argument in arguments]
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = _answer(function(*given))
    except NotImplementedError as error:
        return Answer(error=f"not written yet{f': {error}' if str(error) else ''}", missing=True)
    except KeyboardInterrupt:
        raise
    except SystemExit as error:
        return Answer(error=f"it ends the program (SystemExit: {error.code})")
    except BaseException as error:
        return Answer(error=reason(error)[:200])
    answer.after = [g if isinstance(g, np.ndarray) else None for g in given]
    return answer


def reason(error: BaseException) -> str:
    """Why there is no answer, in one line."""
    if isinstance(error, MemoryError):
        return f"it runs out of memory: a file that is checked has {MEMORY >> 30} GB"
    return described(error)


def _given(argument: Argument) -> Any:
    if isinstance(argument, Passed):
        activation = ACTIVATIONS[argument.name]
        return _of_numbers_too(activation.derivative if argument.derivative else activation.value)
    return argument.copy()


def _of_numbers_too(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of arrays, which also takes a number, as in a loop over units."""
    return lambda z: function(z) if np.ndim(z) else function(np.full(1, z, np.float64))[0]


def _answer(result: Any) -> Answer:
    if result is None or result is Ellipsis or result is NotImplemented:
        return Answer(error="it returns nothing", missing=True)
    if isinstance(result, Mapping):
        return Answer([_array(value) for value in result.values()], [str(key) for key in result])
    if isinstance(result, tuple) or (isinstance(result, list) and _array(result) is None):
        return Answer([_array(value) for value in result])
    return Answer([_array(result)], single=True)


def _array(value: Any) -> Floats | None:
    """A copy of the same dtype; None for anything but real numbers."""
    if value is None:
        return None
    try:
        array = np.array(value)
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "fiub" and array.size <= LARGEST else None
