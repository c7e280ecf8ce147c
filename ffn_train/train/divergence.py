"""Where a step became non-finite: the first non-finite tensor in the order of computation."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.core import Array, Layer, Pullback, Views
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.stack import Stack
from ffn_train.train.diagnosis import Phase, Updates, likely_cause

REMEMBERED = 3  # finite tensors reported before the first non-finite one


@dataclass(frozen=True)
class Divergence:
    """The step, pass and tensor in which a run became non-finite, or the rule that stopped it.

    ``before``: the largest magnitudes of the tensors computed just before, oldest first.
    """

    step: int
    phase: Phase
    site: str
    reason: str
    before: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The run's state: diverged, or stopped by a rule."""
        return "stopped" if self.phase == "training" else "diverged"

    @property
    def line(self) -> str:
        """What ended the run, when and where."""
        if self.state == "stopped":
            return f"stopped at step {self.step}: {self.reason}"
        return f"diverged at step {self.step}, {self.phase} pass, {self.site}: {self.reason}"

    def __str__(self) -> str:
        text = self.line
        if not self.before:
            return text
        sizes = ", ".join(f"{site} {size:.2g}" for site, size in self.before.items())
        return f"{text} (largest magnitudes just before: {sizes})"


def locate(
    model: Stack,
    params: Views,
    x: Array,
    targets: Array,
    loss: Loss,
    updates: Updates,
    turns: int = 1,
) -> Divergence:
    """Repeat a step, on the batch ``x`` (N, D) and ``targets`` (N, M), and name the first
    non-finite tensor. ``updates`` are those before this step. The rows are passed in ``turns``,
    which bounds memory as in the step itself; the first part with such a tensor is reported.
    """
    for turn in range(turns):
        rows = slice(len(x) * turn // turns, len(x) * (turn + 1) // turns)
        watch = _Watch()
        try:
            with np.errstate(all="ignore"):
                _repeat(watch, model, params, x[rows], targets[rows], loss)
        except _NonFinite as error:
            phase, site, array = error.args
            before = dict(list(watch.sizes.items())[-REMEMBERED:])
            what, growth = _entries(array), _growth(phase, watch, model)
            reason = f"{what}; {likely_cause(model, phase, growth, updates)}"
            return Divergence(updates.made, phase, site, reason, before)
    reason = f"finite when the step was repeated; {likely_cause(model, 'backward', 1.0, updates)}"
    return Divergence(updates.made, "backward", "gradient", reason)


def _repeat(
    watch: _Watch, model: Stack, params: Views, x: Array, targets: Array, loss: Loss
) -> None:
    for name, array in model.layout.named(params.vector).items():
        watch("update", name, array)
    y, pullbacks, grads = x, dict[str, Pullback](), model.layout.zeros(params.vector.dtype)
    for name, part in model.parts.items():
        watched = _watched_part(part, name, model.block_of.get(name), watch)
        y, pullbacks[name] = watched.forward(params.part(name), y)
    value, dy = loss.value_and_gradient(y, targets)
    watch("forward", "loss", np.array([value]))
    watch("backward", "dL/dy", dy)
    while pullbacks:
        name, pullback = pullbacks.popitem()
        dy = pullback(dy, grads.part(name))


class _NonFinite(Exception):
    """Of a phase, a site and an array there."""


class _Watch:
    """Receives each tensor as it is computed and raises at the first that is not finite.

    ``sizes``: the largest magnitude of each finite signal and gradient, in order.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, float] = {}

    def __call__(self, phase: Phase, site: str, array: Slope) -> None:
        if not np.isfinite(array).all():
            raise _NonFinite(phase, site, array)
        if phase != "update":
            self.sizes[site] = float(np.max(np.abs(array), initial=0))


def _watched_part(part: Layer, name: str, block: int | None, watch: _Watch) -> Any:
    """A copy of a part of the stack, a block's with its index, that passes on what it computes."""
    if block is None:
        return _watched(part, name, watch)
    output, dx = f"x_{block + 1} (output of block {block})", f"dL/dx_{block}"
    return _watched(_with_watched_parts(part, name, watch), name, watch, output=output, dx=dx)


def _with_watched_parts(layer: Any, name: str, watch: _Watch) -> Any:
    """A copy of a block or branch whose layers and activation are watched."""
    clone = copy.copy(layer)
    for attribute, value in vars(layer).items():
        if attribute == "branch":
            setattr(clone, attribute, _with_watched_parts(value, name, watch))
        elif isinstance(value, Layer):
            part = "norm" if attribute in ("pre", "post") else attribute
            setattr(clone, attribute, _watched(value, f"{name}.{part}", watch))
        elif isinstance(value, Activation):
            setattr(clone, attribute, _watched_activation(value, name, watch))
    return clone


def _watched(layer: Any, name: str, watch: _Watch, *, output: str = "", dx: str = "") -> Any:
    """A copy of a layer that passes its output, its gradients and its dL/dx to ``watch``."""
    clone = copy.copy(layer)

    def forward(params: Views, x: Array) -> tuple[Array, Pullback]:
        y, inner = layer.forward(params, x)
        watch("forward", output or f"output of {name}", y)

        def pullback(dy: Array, grads: Views) -> Array:
            gradient: Array = inner(dy, grads)
            for parameter, array in grads.arrays.items():
                watch("backward", f"gradient of {name}.{parameter}", array)
            watch("backward", dx or f"dL/d(input of {name})", gradient)
            return gradient

        return y, pullback

    clone.forward = forward
    return clone


def _watched_activation(activation: Activation, name: str, watch: _Watch) -> SimpleNamespace:
    """A stand-in with the method that a branch's forward pass calls."""

    def pair_in_place(z: Array) -> tuple[Array, Slope]:
        value, slope = activation.pair_in_place(z)
        watch("forward", f"hidden units of {name}", value)
        watch("forward", f"act' of {name}", slope)
        return value, slope

    return SimpleNamespace(pair_in_place=pair_in_place)


def _entries(array: Slope) -> str:
    """What is not finite in an array, and how much of it."""
    kind = "NaN" if np.isnan(array).any() else "infinite"
    if array.size == 1:
        return kind
    return f"{kind} in {np.count_nonzero(~np.isfinite(array))} of {array.size} entries"


def _growth(phase: Phase, watch: _Watch, model: Stack) -> float:
    """The factor per block by which the signal, or its gradient, grew before the failure."""
    start, blocks = "output of input", "x_"
    if phase == "backward":
        start = f"dL/d(input of {'final_norm' if model.final_norm else 'output'})"
        blocks = "dL/dx_"
    sizes = [size for at, size in watch.sizes.items() if at == start or at.startswith(blocks)]
    positive = [size for size in sizes if size > 0]
    if phase == "update" or len(positive) < 2:
        return 1.0
    return float((positive[-1] / positive[0]) ** (1 / (len(positive) - 1)))
