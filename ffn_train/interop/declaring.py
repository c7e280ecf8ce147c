"""What a recorded run declares: its tensors, blocks, quantities and settings, checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any, Protocol, TypeVar, get_args

import numpy as np

from ffn_train.config import settings
from ffn_train.config.registry import choices
from ffn_train.config.settings import SettingError, nearest, one_of, shortened
from ffn_train.runs import records
from ffn_train.runs.files import MEASURES
from ffn_train.runs.layout import QuantityColumn, RunLayout, TensorColumn, column_of
from ffn_train.runs.score import ScoreDeclared
from ffn_train.train.quantities.quantity import RESERVED, Need, Per

T = TypeVar("T")
_KEYS = {field.name for field in fields(QuantityColumn)} - {"file"} | {"every"}


class Shaped(Protocol):
    """An array of any library."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...


def layout(
    tensors: Mapping[str, Sequence[int] | Shaped],
    blocks: str | Sequence[str],
    quantities: Iterable[str | Mapping[str, Any]],
    block_of: Mapping[str, int | None] | None = None,
) -> RunLayout:
    """The columns of a run's measures; ``block_of`` each tensor, if not by its name.

    Raises SettingError.
    """
    instance("tensors", tensors, Mapping, "a mapping from names to arrays or shapes")
    for name in tensors:
        instance("tensors: a name", name, str, "text")
    if isinstance(blocks, str):
        pattern = re.compile(rf"{named_by(blocks)}(?![^./])")
        matches = [match for name in tensors if (match := pattern.match(name))]
        if not matches:
            raise SettingError(f"blocks={blocks!r}: no tensor's name begins so")
        blocks = [*dict.fromkeys(match.group() for match in matches)]
    blocks = listed("blocks", blocks)
    for block in blocks:
        instance("blocks: a name", block, str, "text")
    depth = len(blocks)
    if not depth or len({*blocks}) < depth:
        raise SettingError(f"blocks must name at least one block, each once, got {list(blocks)}")
    columns = tuple(_column(quantity) for quantity in listed("quantities", quantities))
    unique("quantities", [column.name for column in columns])
    if block_of is None:
        block_of = {name: _block(name, blocks) for name in tensors}
    return RunLayout(depth, _tensors(tensors, blocks, block_of), columns)


def named_by(pattern: str) -> str:
    """The regular expression of a pattern, in which ``*`` is one part of a name."""
    return re.escape(pattern).replace(r"\*", r"[^./]+")


def _tensors(
    tensors: Mapping[str, Sequence[int] | Shaped],
    blocks: Sequence[str],
    block_of: Mapping[str, int | None],
) -> tuple[TensorColumn, ...]:
    layer_of = {
        name: _parent(name) if block is None else blocks[block] for name, block in block_of.items()
    }
    empty = {*range(len(blocks))} - {*block_of.values()}
    if empty:
        raise SettingError(f"blocks: no tensor belongs to {blocks[min(empty)]}")
    names = list(tensors)
    start = next(place for place, name in enumerate(names) if block_of[name] is not None)
    around = [[n for n in part if block_of[n] is None] for part in (names[:start], names[start:])]
    layers = [*(layer_of[name] for name in around[0]), *blocks, *(layer_of[n] for n in around[1])]
    order = {layer: place for place, layer in enumerate(dict.fromkeys(layers))}
    return tuple(
        TensorColumn(
            name=name,
            shape=_shape(f"tensors[{name!r}]", tensor),
            block=block_of[name],
            layer=layer_of[name],
            role=name.removeprefix(layer_of[name]).lstrip("./") or name,
            order=order[layer_of[name]],
        )
        for name, tensor in tensors.items()
    )


def _shape(key: str, tensor: Sequence[int] | Shaped) -> tuple[int, ...]:
    sizes = tensor if isinstance(tensor, Sequence) else getattr(tensor, "shape", None)
    if not isinstance(sizes, Iterable):
        raise SettingError(f"{key} must be an array or a shape, got {shortened(repr(tensor))}")
    return tuple(integer(key, size, at_least=0) for size in sizes)


def _block(name: str, blocks: Sequence[str]) -> int | None:
    """The block that a tensor belongs to: the longest name that its name continues."""
    matching = [b for b in blocks if name.startswith(b) and not name[len(b) :][:1].isalnum()]
    return blocks.index(max(matching, key=len)) if matching else None


def _parent(name: str) -> str:
    """What a tensor outside the blocks is a part of: ``output`` of ``output.weight``."""
    return re.sub(r"[./][^./]*$", "", name)


def _column(declaration: str | Mapping[str, Any]) -> QuantityColumn:
    instance("quantities: each", declaration, str | Mapping, "a name or a mapping")
    given = {"name": declaration} if isinstance(declaration, str) else dict(declaration)
    for key in given:
        one_of("quantities: a key of a declaration", key, sorted(_KEYS))
    name, every = identifier("quantities", given.get("name")), given.pop("every", None)
    if every is not None:
        every = integer(f"quantities: every of {name}", every, at_least=1)
    given["file"] = MEASURES if every is None else f"measures-{every}.npy"
    known = choices("quantity")
    if name in known:
        given = {**asdict(column_of(known[name](), MEASURES, "")), **given, "per": known[name].per}
    elif "per" not in given:
        hint = nearest(name, known)
        raise SettingError(
            f"quantities: {name} is unknown{hint}; a quantity of your own needs a per"
        )
    elif name in RESERVED:
        raise SettingError(f"quantities: the name {name} stands for something else")
    one_of(f"quantities: per of {name}", given["per"], get_args(Per))
    key = f"quantities: needs of {name}"
    needs = [one_of(key, need, get_args(Need)) for need in listed(key, given.get("needs", ()))]
    try:
        return records.from_json(QuantityColumn, {**given, "needs": needs}, name)
    except ValueError as error:
        raise SettingError(f"quantities: {error}") from None


def listed(key: str, values: Iterable[T]) -> tuple[T, ...]:
    """Several values; a single word, whose letters would be taken for values, is refused."""
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise SettingError(f"{key} must be a list, got {shortened(repr(values))}")
    return tuple(values)


def instance(key: str, value: Any, kind: Any, what: str) -> None:
    """Raises SettingError for a value that is not of a type or union; ``what``: that in words."""
    if not isinstance(value, kind):
        raise SettingError(f"{key} must be {what}, got {shortened(repr(value))}")


def unique(key: str, names: Sequence[str]) -> None:
    """Raises SettingError for a name that is given twice."""
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise SettingError(f"{key}: {twice[0]} is given twice")


def identifier(key: str, name: Any) -> str:
    """A name that a column and a file can have. Raises SettingError."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z]\w*", name):
        raise SettingError(f"{key}: a name has letters, digits and underscores, got {name!r}")
    return name


def integer(key: str, value: Any, *, at_least: int) -> int:
    """An integer of Python or NumPy as Python's. Raises SettingError."""
    value = value.item() if isinstance(value, np.integer) else value
    return settings.integer(key, value, at_least=at_least)


def number(key: str, value: Any) -> float:
    """The value, or an array's only one, as a float. Raises SettingError."""
    with suppress(TypeError, ValueError, OverflowError, RuntimeError):  # the last is PyTorch's
        if not isinstance(value, (str, np.complexfloating)):
            return float(value)
    shape = getattr(value, "shape", None)
    got = f"an array of the shape {tuple(shape)}" if shape else shortened(repr(value))
    raise SettingError(f"{key} must be one number, got {got}")


def score(given: Any) -> ScoreDeclared:
    """The declaration of a score. Raises SettingError."""
    instance("score", given, Mapping, "a mapping")
    for key in given:
        one_of("score: a key", key, [field.name for field in fields(ScoreDeclared)])
    try:
        return records.from_json(ScoreDeclared, given, "score")
    except ValueError as error:
        raise SettingError(str(error)) from None


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as config.json holds them. Raises SettingError for what JSON cannot hold."""
    try:
        return dict(json.loads(json.dumps(dict(config), allow_nan=False, default=_scalar)))
    except (TypeError, ValueError) as error:
        reason = f"config must hold numbers, words and mappings of them: {error}"
        raise SettingError(reason) from None


def _scalar(value: Any) -> Any:
    """A number of NumPy as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
