"""The measurements of one training step, each taken as soon as what it needs is computed."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ffn_train.config.settings import SettingError, shortened
from ffn_train.nn.core import Array, Arrays, Floats
from ffn_train.nn.reductions import Reductions
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack
from ffn_train.nn.trial import protected, put_back
from ffn_train.train.quantities.quantity import (
    SERVES,
    Backward,
    Batch,
    Forward,
    PassQuantity,
    Quantity,
    Step,
    StepQuantity,
    Value,
    shape_of,
)
from ffn_train.train.shards import Shards, worth_threads

Values = Mapping[str, Floats]  # what was measured at a step, by the quantity's name


def memory_of(
    quantities: Sequence[Quantity], model: Stack, dtype: np.dtype[Any]
) -> dict[str, Array]:
    """The quantities' memory before the first step, by ``quantity/slot``; checkpoints store it."""
    return {
        f"{quantity.name}/{slot}": array
        for quantity in quantities
        if isinstance(quantity, StepQuantity)
        for slot, array in quantity.memory(model, dtype).items()
    }


Source = TypeVar("Source", Forward, Backward, Step)


def _shown(source: Source, quantity: Quantity) -> Source:
    """What a quantity sees: the same or, from outside the package, with read-only arrays."""
    if quantity.ours:
        return source
    if isinstance(source, Step):
        return protected(source)
    # compiled code takes writable arrays only
    return replace(protected(source), reductions=Reductions())


class ShardMeasurement:
    """The partial results of one shard of a batch, taken during its two passes."""

    def __init__(
        self, quantities: Sequence[PassQuantity], model: Stack, dtype: np.dtype[Any]
    ) -> None:
        self._reductions = model.engine.reductions
        self.partial = {q.name: q.start(model, dtype) for q in quantities}

    def begin(self, due: Sequence[PassQuantity]) -> None:
        """Reset, to measure the quantities that are due."""
        self._due = {
            method: [quantity for quantity in due if {*needs} & {*quantity.needs}]
            for method, needs in SERVES.items()
        }
        for quantity in due:
            self.partial[quantity.name].fill(0)
        self.seconds = 0.0
        self.samples = self._signals = self._blocks = 0

    def forward(self, signals: Arrays, hidden: Arrays) -> None:
        """Measure a segment's signals (N, D) and the hidden units (N, H) of its blocks."""
        before = time.perf_counter()
        boundaries = slice(self._signals, self._signals + len(signals))
        blocks = slice(self._blocks, self._blocks + len(hidden))
        self._signals, self._blocks = boundaries.stop, blocks.stop
        self.samples = len(signals[0])
        at = Forward(signals, boundaries, hidden, blocks, self._reductions)
        for quantity in self._due["forward"]:
            quantity.forward(_shown(at, quantity), self.partial[quantity.name])
        self.seconds += time.perf_counter() - before

    def backward(self, flow: SignalGradients) -> None:
        """Measure the gradients of a segment's signals."""
        before = time.perf_counter()
        first, dx, skip, branch = flow
        boundaries, blocks = slice(first, first + len(dx)), slice(first, first + len(branch))
        at = Backward(dx, boundaries, skip, branch, blocks, self._reductions)
        for quantity in self._due["backward"]:
            quantity.backward(_shown(at, quantity), self.partial[quantity.name])
        self.seconds += time.perf_counter() - before


class Measurement:
    """The quantities' values at one step, filled in while the step runs.

    ``seconds``: the time that measuring adds to the step, by clocks around its operations.
    """

    def __init__(
        self,
        model: Stack,
        quantities: Sequence[Quantity],
        memory: Mapping[str, Array],
        dtype: np.dtype[Any],
        shards: int = 1,
        turns: int = 1,
    ) -> None:
        tensors, depth = len(model.layout.tensors), model.depth
        self._model = model
        self._values = {
            q.name: np.full(shape_of(q.per, tensors, depth), np.nan) for q in quantities
        }
        self._absent = {q.name for q in quantities if q.absent(model)}
        self._memory: dict[str, dict[str, Array]] = {q.name: {} for q in quantities}
        for key, array in memory.items():
            name, slash, slot = key.partition("/")
            if slash and name in self._memory:
                self._memory[name][slot] = array
        of_passes = [q for q in quantities if isinstance(q, PassQuantity)]
        self._turns = turns
        self.shards = [ShardMeasurement(of_passes, model, dtype) for _ in range(shards * turns)]
        self._before: Array | None = None
        self._whole: Step | None = None
        self.begin(0, quantities)

    def begin(self, step: int, due: Collection[Quantity]) -> Measurement:
        """Start over, for the quantities that are due at this step; returns itself."""
        self.step, self._seconds, self._due = step, 0.0, due
        applying = [quantity for quantity in due if quantity.name not in self._absent]
        self._of_passes = [q for q in applying if isinstance(q, PassQuantity)]
        of_step = [q for q in applying if isinstance(q, StepQuantity)]
        self._of_gradient = [q for q in of_step if "update" not in q.needs]
        self._of_update = [q for q in of_step if "update" in q.needs]
        for quantity in applying:
            self._values[quantity.name].fill(np.nan)
        for shard in self.shards:
            shard.begin(self._of_passes)
        return self

    @property
    def values(self) -> Values:
        """What was measured, by name; NaN for what needs an update if none was made."""
        return {quantity.name: self._values[quantity.name].copy() for quantity in self._due}

    @property
    def seconds(self) -> float:
        return self._seconds + self._turns * max(shard.seconds for shard in self.shards)

    def after_backward(self, step: Step, threads: Shards) -> None:
        """Measure what is known after the backward pass: signals, parameters and gradients.

        Raises SettingError for a quantity's value of the wrong shape, or that is no real number.
        """
        before = time.perf_counter()
        batch = Batch(sum(shard.samples for shard in self.shards), self._model.width)
        whole = self.shards[0].partial
        for quantity in self._of_passes:
            for shard in self.shards[1:]:
                quantity.combine(whole[quantity.name], shard.partial[quantity.name])
            self._set(
                quantity, quantity.value(whole[quantity.name], batch, self._values[quantity.name])
            )
        self._whole = step

        def take(shard: int) -> None:
            self._take(self._of_gradient[shard :: threads.count], step)

        threads.each(take, side_by_side=worth_threads(step.params))
        self._seconds += time.perf_counter() - before

    def before_update(self, params: Array) -> None:
        """Remember the parameters that the update starts from, if a quantity needs it."""
        if self._of_update:
            before = time.perf_counter()
            if self._before is None:
                self._before = np.empty_like(params)
            np.copyto(self._before, params)
            self._seconds += time.perf_counter() - before

    def after_update(self, params: Array, lr: float) -> None:
        """Measure what needs the update, made at the learning rate ``lr``; raises as above."""
        if self._of_update:
            before = time.perf_counter()
            assert self._before is not None
            assert self._whole is not None
            self._whole.lr = lr
            self._whole.update = np.subtract(params, self._before, out=self._before)
            self._take(self._of_update, self._whole)
            if worth_threads(params):  # large: do not hold it beside the activations till next time
                self._before = None
            self._seconds += time.perf_counter() - before
        self._whole = None

    def _take(self, quantities: Sequence[StepQuantity], step: Step) -> None:
        for quantity in quantities:
            arrays, out = self._memory[quantity.name], self._values[quantity.name]
            memory = dict(arrays)
            self._set(quantity, quantity.value(_shown(step, quantity), memory, out))
            put_back(quantity, memory, arrays)

    def _set(self, quantity: Quantity, value: Value) -> None:
        """Store a value that was returned instead of written to ``out``."""
        if value is None:
            return
        out = self._values[quantity.name]
        if np.shape(value) != out.shape:
            raise SettingError(
                f"quantity={quantity.name}: a value per {quantity.per} has the shape {out.shape}, "
                f"got {np.shape(value)}"
            )
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise SettingError(
                f"quantity={quantity.name}: a value per {quantity.per} must be a real number, "
                f"got {shortened(repr(array.tolist()))}"
            )
        out[...] = array
