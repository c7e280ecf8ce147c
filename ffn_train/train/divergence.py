"""Where a step became non-finite: the first tensor, in the order of computation, that is not."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.core import Array, FlatVector, Layer, Pullback, Shape, Views
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
    def line(self) -> str:
        """What ended the run, when and where."""
        if self.phase == "training":
            return f"stopped as hopeless at step {self.step}: {self.reason}"
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
            what, growth = _entries(found.array), _growth(found, watch)
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
    """Takes each tensor as it is computed and raises at the first that is not finite."""

    def __init__(self) -> None:
        self.sizes: dict[str, float] = {}  # the largest magnitude of each finite tensor, in order
        self.signals: list[float] = []  # the same of x_0, x_1, ...
        self.gradients: list[float] = []  # the same of dL/dx_L, dL/dx_{L-1}, ...

    def __call__(self, phase: Phase, site: str, array: Slope) -> float:
        if not np.isfinite(array).all():
            raise _Found(phase, site, array)
        size = _largest(array)
        if phase != "update":
            self.sizes[site] = size
        return size


def _largest(array: Slope) -> float:
    return float(np.max(np.abs(array), initial=0))


class _Watched(Layer):
    """A layer whose output, gradients and dx are shown to the watch under its name."""

    def __init__(self, layer: Layer, name: str, watch: _Watch) -> None:
        self.layer, self.name, self.watch = layer, name, watch

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return self.layer.shapes

    @property
    def parts(self) -> Mapping[str, Layer]:
        return self.layer.parts

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        y, inner = self.layer.forward(params, x)
        self.watch("forward", f"output of {self.name}", y)

        def pullback(dy: Array, grads: Views) -> Array:
            dx = inner(dy, grads)
            for name, gradient in grads.arrays.items():
                self.watch("backward", f"gradient of {self.name}.{name}", gradient)
            self.watch("backward", f"dL/d(input of {self.name})", dx)
            return dx

        return y, pullback


class _WatchedActivation(Activation):
    def __init__(self, activation: Activation, name: str, watch: _Watch) -> None:
        self.activation, self.site, self.watch = activation, name, watch

    def value(self, z: Array) -> Array:
        return self.activation.value(z)

    def derivative(self, z: Array) -> Array:
        return self.activation.derivative(z)

    def pair_in_place(self, z: Array) -> tuple[Array, Slope]:
        value, slope = self.activation.pair_in_place(z)
        self.watch("forward", f"hidden units of {self.site}", value)
        self.watch("forward", f"act' of {self.site}", slope)
        return value, slope


class _WatchedBlocks(Layer):
    """The stack's block; each call is the next block, so that each has its own name."""

    def __init__(self, block: Any, watch: _Watch) -> None:
        self.block, self.watch, self.count = block, watch, 0

    def forward(self, params: Views, x: Array) -> tuple[Array, Any]:
        index = self.count
        self.count += 1
        if index == 0:
            self.watch.signals.append(_largest(x))
        name = f"blocks.{index}"
        y, pullback = _watch_parts(self.block, name, self.watch).forward(params, x)
        size = self.watch("forward", f"x_{index + 1} (output of block {index})", y)
        self.watch.signals.append(size)

        def watched(dy: Array, grads: Views) -> Array:
            if not self.watch.gradients:
                self.watch.gradients.append(_largest(dy))
            dx: Array = pullback(dy, grads)
            for parameter, gradient in grads.arrays.items():
                self.watch("backward", f"gradient of {name}.{parameter}", gradient)
            self.watch.gradients.append(self.watch("backward", f"dL/dx_{index}", dx))
            return dx

        return y, watched


def _watch_parts(layer: Any, name: str, watch: _Watch) -> Any:
    """A copy of a block or branch whose layers and activation are watched."""
    twin = copy.copy(layer)
    for attribute, value in vars(layer).items():
        if attribute == "branch":
            setattr(twin, attribute, _watch_parts(value, name, watch))
        elif isinstance(value, Layer):
            part = "norm" if attribute in ("pre", "post") else attribute
            setattr(twin, attribute, _Watched(value, f"{name}.{part}", watch))
        elif isinstance(value, Activation):
            setattr(twin, attribute, _WatchedActivation(value, name, watch))
    return twin


def _watched_stack(model: Stack, watch: _Watch) -> Stack:
    twin = copy.copy(model)
    for name in ("input", "final_norm", "output"):
        layer = getattr(model, name)
        if layer is not None:
            setattr(twin, name, _Watched(layer, name, watch))
    twin.block = _WatchedBlocks(model.block, watch)  # type: ignore[assignment]
    twin.engine = NUMPY
    twin.segment = model.depth  # each block runs once, so that their count names them
    return twin


def _entries(array: Slope) -> str:
    """What is not finite in an array, and how much of it."""
    kind = "NaN" if np.isnan(array).any() else "infinite"
    if array.size == 1:
        return kind
    return f"{kind} in {np.count_nonzero(~np.isfinite(array))} of {array.size} entries"


def _growth(found: _Found, watch: _Watch) -> float:
    """The factor per block by which signal or gradient grew on its way to what was found."""
    sizes = watch.gradients if found.phase == "backward" else watch.signals
    positive = [size for size in sizes if size > 0]
    if found.phase == "update" or len(positive) < 2:
        return 1.0
    return float((positive[-1] / positive[0]) ** (1 / (len(positive) - 1)))
