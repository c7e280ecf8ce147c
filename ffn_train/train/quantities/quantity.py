"""What a quantity declares, and its two kinds: taken during the passes, or from a whole step.

Everything about a quantity follows from its declaration: the columns of the run's files, how they
are read back, the figure drawn of it, the comparison's metric, the documentation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ffn_train.config.registry import Choice
from ffn_train.config.settings import SettingError, check_kinds, check_words, one_of
from ffn_train.nn.core import Array, Arrays, Floats, Shape
from ffn_train.nn.reductions import Reductions
from ffn_train.nn.stack import Stack
from ffn_train.nn.trial import array

Value = ArrayLike | None
# names that a quantity cannot have: words of settings, columns, metrics and figures
RESERVED = (
    *("step", "default", "loss", "lr", "gradient_ratio", "growth_per_block"),
    *("signal", "layers", "updates", "heatmap", "predictions", "confusion", "gradient_flow"),
)
Per = Literal["tensor", "boundary", "block", "run"]
Need = Literal[
    "signals",
    "hidden units",
    "signal gradients",
    "parameters",
    "gradient",
    "update",
    "memory",
    "extra passes",
]


def shape_of(per: Per, tensors: int, depth: int) -> Shape:
    """The shape of a value: (T,) per tensor, (L+1,) per boundary, (L,) per block, () per run."""
    return {"tensor": (tensors,), "boundary": (depth + 1,), "block": (depth,), "run": ()}[per]


class Quantity(Choice, ABC):
    """A number measured at a training step, one for each ``per``.

    per       ``tensor``: each parameter tensor (T,); ``boundary``: each signal x_0 ... x_L, before,
              between and after the blocks (L+1,); ``block`` (L,); ``run``: one number
    symbol    the label of a figure's axis, with matplotlib's mathematics
    equation  what is computed
    unit      of the value; "" for none
    needs     what it is computed from; it receives nothing else
    log       whether it is positive and judged by its order of magnitude

    All NaN counts as not measured at the first measured step of a quantity with ``memory``, and at
    the last of one that needs the ``update``.
    """

    per: ClassVar[Per]
    symbol: ClassVar[str]
    equation: ClassVar[str]
    unit: ClassVar[str] = ""
    needs: ClassVar[tuple[Need, ...]]
    log: ClassVar[bool] = True

    @classmethod
    def check_class(cls) -> None:
        """Raises ValueError for a declaration that lacks something or is misspelt."""
        for name in ("per", "symbol", "equation", "needs"):
            if not hasattr(cls, name):
                raise ValueError(f"{name} is not declared")
        check_kinds(cls, {"symbol": str, "equation": str, "unit": str, "log": bool})
        one_of("per", cls.per, get_args(Per))
        check_words(cls, "needs", "gradient")
        for need in cls.needs:
            one_of("needs", need, get_args(Need))
        if cls.name in RESERVED:
            raise ValueError(f"the name stands for something else: {', '.join(RESERVED)}")

    def absent(self, model: Stack) -> str:
        """Why it does not apply to a model; "" where it does. Its values are NaN then."""
        return ""

    def check_results(self, model: Stack, dtype: np.dtype[Any]) -> None:
        """Raises SettingError if it cannot be told whether it applies to the model, or if what it
        keeps, its ``memory`` or its ``start``, are no arrays.
        """
        if not isinstance(why := self.absent(model), str):
            raise SettingError(f"quantity {self.name}: absent must return text, got {why!r}")


@dataclass(frozen=True)
class Forward:
    """What a segment's forward pass computed: its signals x_l (N, D), and its blocks' hidden units
    (N, H) after the activation; ``boundaries`` and ``blocks`` are their indices in the stack. Must
    not be modified.
    """

    signals: Arrays
    boundaries: slice
    hidden: Arrays
    blocks: slice
    reductions: Reductions


@dataclass(frozen=True)
class Backward:
    """What a segment's backward pass computed: dLoss/dx_l (N, D) at ``boundaries``, its skip part
    (None without a skip path) and its branch part at the inputs of ``blocks``.
    """

    gradients: Arrays
    boundaries: slice
    skip: Arrays | None
    branch: Arrays
    blocks: slice
    reductions: Reductions


@dataclass(frozen=True)
class Batch:
    """The measured batch: N ``samples`` of ``width`` D."""

    samples: int
    width: int


# the needs that a method of a quantity serves
SERVES = {"forward": ("signals", "hidden units"), "backward": ("signal gradients",)}


class PassQuantity(Quantity):
    """A quantity taken during the passes, in parallel for shards of the batch's rows.

    ``forward`` and ``backward`` fill a shard's ``partial`` result, each block and each boundary
    once; ``combine`` merges the results of two shards, and ``value`` computes the batch's value
    from all merged. With the wrong ``combine`` (by default a sum) the value depends on the number
    of threads.
    """

    @classmethod
    def check_class(cls) -> None:
        super().check_class()
        for method, needs in SERVES.items():
            defined = getattr(cls, method) is not getattr(PassQuantity, method)
            if defined != bool({*needs} & {*cls.needs}):
                words = " or ".join(repr(need) for need in needs)
                raise ValueError(f"the method {method} goes with {words} among the needs")

    def start(self, model: Stack, dtype: np.dtype[Any]) -> Array:
        """A partial result, set to 0 before each pass; by default of the value's shape."""
        tensors = len(model.layout.tensors)
        return np.zeros(shape_of(self.per, tensors, model.depth))

    def check_results(self, model: Stack, dtype: np.dtype[Any]) -> None:
        super().check_results(model, dtype)
        array(f"quantity={self.name}: start", self.start(model, dtype), "an array of numbers")

    def forward(self, at: Forward, partial: Array) -> None:
        """Add a segment's forward pass to ``partial``; called if ``signals`` or ``hidden units``
        are among the needs.
        """

    def backward(self, at: Backward, partial: Array) -> None:
        """The same for its backward pass; called if ``signal gradients`` are among the needs."""

    def combine(self, partial: Array, other: Array) -> None:
        """Merge another shard's partial result into the first: by default their sum."""
        partial += other

    @abstractmethod
    def value(self, partial: Array, batch: Batch, out: Floats) -> Value:
        """Write the value into ``out``, or return it."""


class RootMeanSquare(PassQuantity):
    """A root mean square over the batch and the features; the partial results are norms."""

    def combine(self, partial: Array, other: Array) -> None:
        np.hypot(partial, other, out=partial)

    def value(self, partial: Array, batch: Batch, out: Floats) -> None:
        np.divide(partial, math.sqrt(batch.samples * batch.width), out=out)


@dataclass
class Step:
    """A training step as its quantities see it; vectors are flat, in the model's layout.

    ``number``: the updates made before it. ``loss``: of its batch. ``params``: θ (P,);
    ``gradient``: dLoss/dθ (P,); neither may be modified. A quantity that needs the ``update`` Δθ
    (P,) sees the step after it: θ is updated, the gradient is clipped, and ``lr`` is the learning
    rate. Any other sees it before: θ is not updated, and the gradient is not clipped.
    ``loss_at(vector)``: the loss of this batch at other parameters (P,).
    """

    number: int
    loss: float
    model: Stack
    params: Array
    gradient: Array
    loss_at: Callable[[Array], float]
    lr: float = math.nan
    update: Array | None = None

    def tensors(self, vector: Array) -> dict[str, Array]:
        """A flat vector's tensors by name, in their order."""
        return self.model.layout.named(vector)

    def blocks(self, vector: Array) -> list[Array]:
        """A flat vector's part of each block (L of them), flat."""
        views = self.model.layout.views(vector)
        return [views.part(name).vector for name in self.model.block_of]


class StepQuantity(Quantity):
    """A quantity computed from a step's vectors, before its update or, if it needs it, after."""

    def memory(self, model: Stack, dtype: np.dtype[Any]) -> Mapping[str, Array]:
        """The initial arrays of its memory, by name; checkpoints store them."""
        return {}

    def check_results(self, model: Stack, dtype: np.dtype[Any]) -> None:
        super().check_results(model, dtype)
        for slot, initial in self.memory(model, dtype).items():
            who = f"quantity={self.name}: memory"
            array(who, initial, f"an array of numbers as {slot!r}")
            kind = initial.dtype
            if kind.itemsize > 8 or not kind.isnative:
                raise SettingError(f"{who}[{slot!r}] is {kind}, which no checkpoint holds")

    @abstractmethod
    def value(self, step: Step, memory: dict[str, Array], out: Floats) -> Value:
        """Write the value into ``out``, or return it.

        ``memory`` holds the quantity's own arrays, kept from one measured step to the next; an
        array put into it in place of another is copied into that one afterwards.
        """
