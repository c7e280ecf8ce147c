"""layout.json: what the columns of a run's measures are, so that no reader has to know it.

For each parameter tensor its name, shape, block, layer, role and order, and for each quantity what
was declared of it when it was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from ffn_train.config.reference import summary
from ffn_train.config.registry import choices
from ffn_train.nn.stack import Stack
from ffn_train.runs.files import (
    LARGEST_JSON,
    LAYOUT,
    MEASURES,
    SCHEMA,
    damaged,
    json_object,
    read_bytes,
    write_json,
)
from ffn_train.train.instruments import USUAL, Instrument
from ffn_train.train.quantities.quantity import Quantity


@dataclass(frozen=True)
class TensorColumn:
    """A parameter tensor. ``block``: its block's index, None for one of no block; ``layer``: what
    its norms are added up by; ``role``: what it is there, such as ``up.weight``; ``order``: its
    layer's place on the way from input to output.
    """

    name: str
    shape: tuple[int, ...]
    block: int | None
    layer: str
    role: str
    order: int


@dataclass(frozen=True)
class QuantityColumn:
    """What is known of a quantity: the declaration of ``train.quantities.quantity.Quantity``.

    ``file``: where it lies. ``absent``: why it does not apply to this model, "" where it does; None
    in a run of schema 1, which did not say.
    """

    name: str
    per: str
    says: str = ""
    symbol: str = ""
    equation: str = ""
    unit: str = ""
    log: bool = True
    file: str = MEASURES
    absent: str | None = ""
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunLayout:
    """A run's blocks, its parameter tensors and its quantities."""

    depth: int
    tensors: tuple[TensorColumn, ...]
    quantities: tuple[QuantityColumn, ...]

    def write(self, run: Path) -> None:
        """Write it into a run's directory."""
        write_json(run / LAYOUT, {"schema": SCHEMA, **asdict(self)}, durable=False)


def layout_of(model: Stack, instruments: Iterable[Instrument] = ()) -> RunLayout:
    """The layout of a run of a model."""
    parts = list(dict.fromkeys(tensor.part for tensor in model.layout.tensors))
    tensors = tuple(
        TensorColumn(
            t.name, t.shape, model.block_of.get(t.part), t.part, t.role, parts.index(t.part)
        )
        for t in model.layout.tensors
    )
    quantities = tuple(
        _column(quantity, f"{instrument.name}.npy", quantity.absent(model))
        for instrument in instruments
        for quantity in instrument.quantities
    )
    return RunLayout(model.depth, tensors, quantities)


def _column(quantity: Quantity, file: str, absent: str | None) -> QuantityColumn:
    return QuantityColumn(
        name=quantity.name,
        per=quantity.per,
        says=summary(type(quantity)),
        symbol=quantity.symbol,
        equation=quantity.equation,
        unit=quantity.unit,
        log=quantity.log,
        file=file,
        absent=absent,
        needs=quantity.needs,
    )


def read_layout(run: Path) -> RunLayout:
    """The layout in a run's directory. Raises RunError."""
    path = run / LAYOUT
    with damaged(path, OSError, ValueError, RecursionError):
        return _parsed(read_bytes(path, LARGEST_JSON))


@lru_cache(16)  # the runs of a sweep have few different ones
def _parsed(text: bytes) -> RunLayout:
    content = json_object(text)
    try:
        depth, named = content["depth"], content["tensors"]
        read = _tensor if "schema" in content else _tensor_by_name
        tensors = tuple(read(tensor, depth) for tensor in named)
        if "quantities" in content:
            quantities = tuple(_quantity(each) for each in content["quantities"])
        else:
            known = choices("quantity")
            quantities = tuple(_column(known[name](), MEASURES, None) for name in USUAL)
    except (KeyError, TypeError, AttributeError):
        raise ValueError("it does not list the tensors and the depth") from None
    if not isinstance(depth, int) or not all(isinstance(t.name, str) for t in tensors):
        raise ValueError("a tensor's name or the depth is of the wrong type")
    return RunLayout(depth, tensors, quantities)


def _tensor(entry: Mapping[str, Any], depth: int) -> TensorColumn:
    tensor: TensorColumn = _known(TensorColumn, {**entry, "shape": tuple(entry["shape"])})
    return tensor


def _quantity(entry: Mapping[str, Any]) -> QuantityColumn:
    needs = tuple(entry.get("needs", ()))
    quantity: QuantityColumn = _known(QuantityColumn, {**entry, "needs": needs})
    return quantity


def _known(cls: Any, entry: Mapping[str, Any]) -> Any:
    """An instance from the fields that it has; others are of a newer version."""
    names = {field.name for field in fields(cls)}
    return cls(**{name: value for name, value in entry.items() if name in names})


def _tensor_by_name(entry: Mapping[str, Any], depth: int) -> TensorColumn:
    """A tensor of schema 1, which says where it belongs by its name alone."""
    name = entry["name"]
    parted = re.match(r"(blocks\.(\d+)|\w+)\.(.*)", name)
    if parted is None:
        return TensorColumn(name, tuple(entry["shape"]), None, name, "", 0)
    layer, block, role = parted.groups()
    order = int(block) + 1 if block else {"input": 0, "final_norm": depth + 1}.get(layer, depth + 2)
    index = int(block) if block else None
    return TensorColumn(name, tuple(entry["shape"]), index, layer, role, order)
