"""layout.json: the columns of a run's measures, so that readers need no other source.

It has the name, shape, block, layer, role and order of each parameter tensor, and the declaration
of each quantity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ffn_train.config.registry import choices, summary
from ffn_train.nn.stack import Stack
from ffn_train.runs import records
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
from ffn_train.train.quantities.quantity import Per, Quantity


@dataclass(frozen=True)
class TensorColumn:
    """A parameter tensor.

    ``block``: its block's index, None outside blocks; ``layer``: the layer whose norm it belongs
    to; ``role``: its name there, such as ``up.weight``; ``order``: its layer's position from input
    to output.
    """

    name: str
    shape: tuple[int, ...]
    block: int | None
    layer: str
    role: str
    order: int


@dataclass(frozen=True)
class QuantityColumn:
    """The declaration of a quantity, see ``train.quantities.quantity.Quantity``.

    ``file``: the file that holds it. ``absent``: why it does not apply to this model, "" if it
    does; None in a run of schema 1, where this is unknown.
    """

    name: str
    per: Per
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
        """Write layout.json into a run's directory."""
        columns = {name: list(map(vars, getattr(self, name))) for name in ("tensors", "quantities")}
        content = {"schema": SCHEMA, "depth": self.depth, **columns}
        write_json(run / LAYOUT, content, durable=False)


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
        column_of(quantity, f"{instrument.name}.npy", quantity.absent(model))
        for instrument in instruments
        for quantity in instrument.quantities
    )
    return RunLayout(model.depth, tensors, quantities)


def column_of(quantity: Quantity, file: str, absent: str | None) -> QuantityColumn:
    """The declaration of a quantity that a file has."""
    declared = ("name", "per", "symbol", "equation", "unit", "log", "needs")
    values: dict[str, Any] = {name: getattr(quantity, name) for name in declared}
    return QuantityColumn(**values, says=summary(type(quantity)), file=file, absent=absent)


def read_layout(run: Path, content: bytes | None = None) -> RunLayout:
    """The layout in a run's directory; ``content``: the file's, if it has been read.

    Raises RunError.
    """
    path = run / LAYOUT
    with damaged(path, OSError, ValueError):
        return _parsed(read_bytes(path, LARGEST_JSON) if content is None else content)


@lru_cache(16)  # the runs of a sweep share few layouts
def _parsed(text: bytes) -> RunLayout:
    content = json_object(text)
    if "schema" not in content:
        try:
            content["tensors"] = [_located(t, content["depth"]) for t in content["tensors"]]
        except (KeyError, TypeError):
            raise ValueError("it does not list the tensors and the depth") from None
    layout = records.from_json(RunLayout, {"quantities": [], **content})
    if "quantities" not in content:
        known = choices("quantity")
        columns = tuple(column_of(known[name](), MEASURES, None) for name in USUAL)
        layout = replace(layout, quantities=columns)
    return layout


def _located(tensor: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """A tensor of schema 1 with the block, layer, role and order that follow from its name."""
    parted = re.match(r"(blocks\.(\d+)|\w+)\.(.*)", tensor["name"])
    if parted is None:
        return {**tensor, "block": None, "layer": tensor["name"], "role": "", "order": 0}
    layer, block, role = parted.groups()
    index = int(block) if block else None
    order = int(block) + 1 if block else {"input": 0, "final_norm": depth + 1}.get(layer, depth + 2)
    return {**tensor, "block": index, "layer": layer, "role": role, "order": order}
