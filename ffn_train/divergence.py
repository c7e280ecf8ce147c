"""Where a step became non-finite: the first tensor, in the order of computation, that is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffn_train.core import Array, FlatVector, Views
from ffn_train.losses import Loss
from ffn_train.model import Stack


@dataclass(frozen=True)
class Divergence:
    """The step, the pass and the tensor in which a run's numbers left the useful range."""

    step: int
    phase: Literal["forward", "backward", "update", "training"]
    site: str
    reason: str

    def __str__(self) -> str:
        return f"diverged at step {self.step}, {self.phase} pass, {self.site}: {self.reason}"


def locate(
    model: Stack, params: FlatVector, x: Array, targets: Array, loss: Loss, step: int
) -> Divergence:
    """Repeat a step and name the first non-finite tensor."""
    with np.errstate(all="ignore"):
        phase, site, array = _search(model, params, x, targets, loss)
    if array is None:
        return Divergence(step, phase, site, "the numbers were finite when the step was repeated")
    kind = "NaN" if np.isnan(array).any() else "infinite"
    share = f"{np.count_nonzero(~np.isfinite(array))} of {array.size} entries"
    return Divergence(step, phase, site, f"{kind} values first appear here ({share})")


Found = tuple[Literal["forward", "backward", "update"], str, Array | None]


def _search(model: Stack, params: FlatVector, x: Array, targets: Array, loss: Loss) -> Found:
    for name, array in model.layout.named(params.vector).items():
        if not np.isfinite(array).all():
            return "update", name, array
    y, pullback = model.forward(params.views, x, keep_signals=True)
    forward = [("x_0 (input projection)", pullback.signals[0])]
    for index, hidden in enumerate(pullback.hidden):
        forward.append((f"hidden units of block {index}", hidden))
        forward.append((f"x_{index + 1} (output of block {index})", pullback.signals[index + 1]))
    forward.append(("read-out", y))
    value, dy = loss.value_and_gradient(y, targets)
    forward.append(("loss", np.array([value])))
    for site, array in forward:
        if not np.isfinite(array).all():
            return "forward", site, array
    grads = model.layout.zeros(params.vector.dtype)
    views = grads.views
    for index, dx, _, _ in pullback.flow(dy, views):
        if index == model.depth:
            found = _nonfinite(views.part("output"), "output.")
            found = found or _nonfinite_final_norm(views)
        else:
            block = views.part("blocks").part(str(index))
            found = _nonfinite(block, f"blocks.{index}.")
        if found:
            return "backward", f"gradient of {found[0]}", found[1]
        if not np.isfinite(dx).all():
            return "backward", f"dL/dx_{index}", dx
    found = _nonfinite(views.part("input"), "input.")
    return (
        ("backward", f"gradient of {found[0]}", found[1])
        if found
        else ("backward", "gradient", None)
    )


def _nonfinite_final_norm(grads: Views) -> tuple[str, Array] | None:
    final = grads.parts.get("final_norm")
    return _nonfinite(final, "final_norm.") if final else None


def _nonfinite(grads: Views, prefix: str) -> tuple[str, Array] | None:
    """The first non-finite gradient of a layer; its last part is the first to be computed."""
    for name, part in reversed(grads.parts.items()):
        found = _nonfinite(part, f"{prefix}{name}.")
        if found:
            return found
    for name, array in grads.arrays.items():
        if not np.isfinite(array).all():
            return prefix + name, array
    return None
