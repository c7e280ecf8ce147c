"""Where a step became non-finite: the first tensor, in the order of computation, that is not."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.core import Array, FlatVector, Layer, Pullback, Views
from ffn_train.nn.engine import NUMPY
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.stack import Stack
from ffn_train.train.diagnosis import Phase, Updates, likely_cause

REMEMBERED = 3  # finite tensors just before the first one that is not


@dataclass(frozen=True)
class Divergence:
    """The step, the pass and the tensor in which a run's numbers left the useful range.

    ``before`` holds the largest magnitudes of the tensors computed just before, oldest first.
    """

    step: int
    phase: Phase
    site: str
    reason: str
    before: Mapping[str, float] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """What the run is because of it: diverged, or stopped by a rule."""
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
    model: Stack, params: FlatVector, x: Array, targets: Array, loss: Loss, updates: Updates
) -> Divergence:
    """Repeat a step with every tensor watched, and name the first that is not finite.

    ``updates`` are those that led to this step.
    """
    watch = _Watch()
    with np.errstate(all="ignore"):
        try:
            _repeat(watch, model, params, x, targets, loss)
        except _Found as found:
            before = dict(list(watch.sizes.items())[-REMEMBERED:])
            what, growth = _entries(found.array), _growth(found, watch, model)
            reason = f"{what}; {likely_cause(model, found.phase, growth, updates)}"
            return Divergence(updates.made, found.phase, found.site, reason, before)
    reason = f"finite when the step was repeated; {likely_cause(model, 'backward', 1.0, updates)}"
    return Divergence(updates.made, "backward", "gradient", reason)


def _repeat(
    watch: _Watch, model: Stack, params: FlatVector, x: Array, targets: Array, loss: Loss
) -> None:
    for name, array in model.layout.named(params.vector).items():
        watch("update", name, array)
    y, pullback = _watched_stack(model, watch).forward(params.views, x)
    value, dy = loss.value_and_gradient(y, targets)
    watch("forward", "loss", np.array([value]))
    watch("backward", "dL/dy", dy)
    pullback(dy, model.layout.zeros(params.vector.dtype).views)


class _Found(Exception):
    def __init__(self, phase: Phase, site: str, array: Slope) -> None:
        self.phase, self.site, self.array = phase, site, array


class _Watch:
    """Takes each tensor as it is computed and raises at the first that is not finite.

    ``sizes``: the largest magnitude of each finite signal and gradient, in order.
    """

    def __init__(self) -> None:
        self.sizes: dict[str, float] = {}

    def __call__(self, phase: Phase, site: str, array: Slope) -> None:
        if not np.isfinite(array).all():
            raise _Found(phase, site, array)
        if phase != "update":
            self.sizes[site] = float(np.max(np.abs(array), initial=0))


def _watched_stack(model: Stack, watch: _Watch) -> Stack:
    """A copy of the stack whose layers show the watch what they compute, each under its name."""
    twin: Any = copy.copy(model)
    for name in ("input", "final_norm", "output"):
        layer = getattr(model, name)
        if layer is not None:
            setattr(twin, name, _watched(layer, name, watch))
    twin.block = copy.copy(model.block)
    calls = itertools.count()  # each call is the next block, so that each has its own name

    def forward(params: Views, x: Array) -> tuple[Array, Pullback]:
        index = next(calls)
        name, output = f"blocks.{index}", f"x_{index + 1} (output of block {index})"
        block = _with_watched_parts(model.block, name, watch)
        watched: Layer = _watched(block, name, watch, output=output, dx=f"dL/dx_{index}")
        return watched.forward(params, x)

    twin.block.forward = forward
    twin.engine = NUMPY
    twin.segment = model.depth  # each block runs once, so that the calls count them
    stack: Stack = twin
    return stack


def _with_watched_parts(layer: Any, name: str, watch: _Watch) -> Any:
    """A copy of a block or branch whose layers and activation are watched."""
    twin = copy.copy(layer)
    for attribute, value in vars(layer).items():
        if attribute == "branch":
            setattr(twin, attribute, _with_watched_parts(value, name, watch))
        elif isinstance(value, Layer):
            part = "norm" if attribute in ("pre", "post") else attribute
            setattr(twin, attribute, _watched(value, f"{name}.{part}", watch))
        elif isinstance(value, Activation):
            setattr(twin, attribute, _watched_activation(value, name, watch))
    return twin


def _watched(layer: Any, name: str, watch: _Watch, *, output: str = "", dx: str = "") -> Any:
    """A copy of a layer that shows the watch its output, its gradients and its dL/dx."""
    twin = copy.copy(layer)

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

    twin.forward = forward
    return twin


def _watched_activation(activation: Activation, name: str, watch: _Watch) -> SimpleNamespace:
    """What a branch's forward pass calls of its activation."""

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


def _growth(found: _Found, watch: _Watch, model: Stack) -> float:
    """The factor per block by which signal or gradient grew on its way to what was found."""
    start, blocks = "output of input", "x_"
    if found.phase == "backward":
        start = f"dL/d(input of {'final_norm' if model.final_norm else 'output'})"
        blocks = "dL/dx_"
    sizes = [size for at, size in watch.sizes.items() if at == start or at.startswith(blocks)]
    positive = [size for size in sizes if size > 0]
    if found.phase == "update" or len(positive) < 2:
        return 1.0
    return float((positive[-1] / positive[0]) ** (1 / (len(positive) - 1)))
