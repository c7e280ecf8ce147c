"""The values of a step at boundaries and blocks, from its passes, and the run's layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ffn_train.interop import declaring
from ffn_train.interop.torch.blocks import Unwatchable
from ffn_train.interop.torch.passes import Call, Pass, Start
from ffn_train.nn.core import Floats
from ffn_train.runs.layout import RunLayout
from ffn_train.train.instruments import USUAL


@dataclass(frozen=True)
class Part:
    """A block, or one branch of a block that is split; ``starts``: of all its branches."""

    call: Call
    starts: list[Start]
    place: int

    @property
    def start(self) -> Start:
        return self.starts[self.place]

    @property
    def name(self) -> str:
        """The block's name; if it is split, with the first submodule that reads the signal."""
        return self.call.name + (f".{self.start.reader}" if len(self.starts) > 1 else "")

    def has(self, order: int) -> bool:
        """Whether a call within the block belongs to this part."""
        before = [place for place, start in enumerate(self.starts) if start.order <= order]
        return self.place == max(before, default=0)

    @property
    def alive(self) -> Tensor:
        """Which of its hidden units are positive for a sample."""
        units = [units for order, units in self.call.alive if self.has(order)]
        return torch.cat(units) if units else torch.zeros(0, dtype=torch.bool)


@dataclass(frozen=True)
class Flow:
    """A pass that was observed completely: B boundaries, B - 1 parts.

    ``sizes`` (B,): how many numbers a signal has; ``signals``, ``gradients`` (B,): norms, as are
    ``skips`` and ``branches`` (B - 1,).
    """

    parts: list[Part]
    sizes: Floats
    signals: Floats
    gradients: Floats
    skips: Floats
    branches: Floats

    @property
    def structure(self) -> list[tuple[str, int]]:
        """The names of the parts, and how many hidden units each has."""
        return [(part.name, len(part.alive)) for part in self.parts]


def flow(seen: Pass, names: list[str], split: bool | None) -> Flow:
    """The values of a pass. Raises Unwatchable if any is missing."""
    called = [call.name for call in seen.calls.values()]
    for name, other in zip(names, [*called, *["none"] * len(names)], strict=False):
        if name != other:
            raise Unwatchable(f"a forward pass calls {other} where {name} is expected")
    parts = [part for call in seen.calls.values() for part in _parts(call, split)]
    at = [part.start.boundary for part in parts]
    whole = [boundary for boundary in (*at, seen.output) if boundary is not None]
    values = [(part.start.skip, part.start.branch) for part in parts]
    for part, boundary, value in zip(parts, whole, values, strict=False):
        if boundary.gradient is None or None in value:
            where = f"the input of {part.start.reader} in {part.call.name}"
            raise Unwatchable(f"the backward pass gave no gradient to {where}")
    if whole[-1].gradient is None:
        raise Unwatchable(f"the backward pass gave no gradient to the output of {names[-1]}")
    table = np.array([(b.size, b.signal, b.gradient) for b in whole], np.float64).T
    gradients, pieces = table[2] / seen.scale, np.array(values, np.float64).T / seen.scale
    return Flow(parts, table[0], table[1], gradients, *pieces)


def _parts(call: Call, split: bool | None) -> Iterator[Part]:
    if split is None and len(call.starts) > 1:
        first, second, *_ = (start.reader for start in call.starts)
        raise Unwatchable(
            f"{call.name} has {len(call.starts)} branches: {first} reads its input and {second} a "
            "later sum; split=True makes each a block, split=False takes the first for the branch"
        )
    starts = call.starts if split else call.starts[:1]
    return (Part(call, starts, place) for place in range(len(starts)))


def values(flows: list[Flow]) -> dict[str, Any]:
    """The quantities of a step of one pass, or of several whose gradients accumulate."""
    structure = flows[0].structure
    for other in flows[1:]:
        for now, before in zip(other.structure, structure, strict=False):
            if now != before:
                raise Unwatchable(f"{now[0]}: its branches or units differ between two passes")
    root = np.sqrt(sum(each.sizes for each in flows))
    return {
        "signal_rms": _norm(each.signals for each in flows) / root,
        "signal_gradient_rms": _norm(each.gradients for each in flows) / root,
        "skip_gradient_rms": _norm(each.skips for each in flows) / root[:-1],
        "branch_gradient_rms": _norm(each.branches for each in flows) / root[:-1],
        "dead_share": [
            1 - float(torch.stack([part.alive for part in parts]).any(0).double().mean())
            for parts in zip(*(each.parts for each in flows), strict=True)
        ],
    }


def _norm(norms: Iterable[Floats]) -> Floats:
    """The norm of a vector from the norms of its parts."""
    total: Floats = np.hypot.reduce(list(norms))
    return total


def absent(measured: Flow) -> dict[str, str]:
    """Why some quantities do not apply to a model."""
    reasons = {}
    if not any(part.call.skips for part in measured.parts):
        reasons["skip_gradient_rms"] = "no block adds its input to anything outside its submodules"
        reasons["branch_gradient_rms"] = (
            "the blocks have no skip path: the branch part is the whole gradient"
        )
    bare = [name for name, units in measured.structure if not units]
    if bare:
        reasons["dead_share"] = f"{bare[0]} has no ReLU, GELU or SiLU module"
    return reasons


def layout(measured: Flow, model: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> RunLayout:
    """The columns of a run, from its first pass. Raises Unwatchable for a part of no tensors."""
    reasons = absent(measured)
    quantities = [{"name": name, "absent": reasons.get(name, "")} for name in USUAL]
    modules = dict(model.named_modules(remove_duplicate=False))
    part_of = {name: _part_of(name, measured.parts, modules) for name in shapes}
    for place, part in enumerate(measured.parts):
        if place not in part_of.values():
            raise Unwatchable(f"{part.name} has no trained parameter: split=False joins the parts")
    return declaring.layout(shapes, [part.name for part in measured.parts], quantities, part_of)


def _part_of(name: str, parts: list[Part], modules: Mapping[str, nn.Module]) -> int | None:
    """The part whose submodules a parameter belongs to; None outside the blocks."""
    for place, part in enumerate(parts):
        owner = name.rpartition(".")[0]
        while owner.startswith(f"{part.call.name}.") and modules[owner] not in part.call.modules:
            owner = owner.rpartition(".")[0]
        order = part.call.modules.get(modules[owner], 0)
        if f"{owner}.".startswith(f"{part.call.name}.") and part.has(order):
            return place
    return None
