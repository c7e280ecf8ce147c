"""A model is a pure function of one parameter vector; a layer returns its output and a pullback.

    y, pullback = layer.forward(params, x)    # params: the layer's named views of the flat vector
    dx = pullback(dy, grads)                  # grads: the same names over the gradient vector

Nothing is remembered between calls: everything that the backward pass needs lives in the pullback
that its own forward pass returned. A pullback overwrites the gradients of its layer, so there is
nothing to set to zero first, and never changes the ``dy`` that it is given.

Shapes, here and in every docstring of the package: N samples, D width, H hidden width, L depth
(number of blocks), M outputs. Rows are samples: x is (N, D); weights are (fan_out, fan_in); so
y = x Wᵀ + b. ``dx`` is dLoss/dx.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALL = 2**11  # entries up to which a tensor is taken together with its neighbours
NEIGHBOURS = 2**14  # entries that are taken together at most

Array = NDArray[np.floating[Any]]
Shape = tuple[int, ...]


class Views:
    """Named views of one flat vector: a layer's own arrays by name, those of its parts by part."""

    __slots__ = ("arrays", "parts")

    def __init__(self, arrays: dict[str, Array], parts: dict[str, Views]) -> None:
        self.arrays = arrays
        self.parts = parts

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def part(self, name: str) -> Views:
        return self.parts[name]


class Pullback(Protocol):
    """The backward pass of one forward pass: takes dLoss/dy, writes ``grads``, returns dLoss/dx."""

    def __call__(self, dy: Array, grads: Views) -> Array: ...


class Layer(ABC):
    """A differentiable function with named parameters; it holds settings, never state."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """The shapes of the layer's own parameters."""
        return {}

    @property
    def parts(self) -> Mapping[str, Layer]:
        """The layers that this one is made of; one layer may stand under several names."""
        return {}

    @abstractmethod
    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        """Map x (N, fan_in) to y (N, fan_out) and the pullback of this very pass."""

    def predict(self, params: Views, x: Array) -> Array:
        """``forward``'s y, to the byte, where no backward pass follows."""
        return self.forward(params, x)[0]


@dataclass(frozen=True)
class FlatVector:
    """A flat vector and the named views into it."""

    vector: Array
    views: Views


@dataclass(frozen=True)
class Tensor:
    """Where one parameter lies in the flat vector, under its full name (``blocks.3.up.weight``)."""

    name: str
    shape: Shape
    start: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + self.size)


class Layout:
    """The table of names of a layer's parameters in one flat vector.

    Parameters, gradients and the optimizer's memory share it, so a checkpoint is a vector with a
    table of names, and the norm of a tensor is one reduction over a slice. ``neighbours`` are the
    tensors in runs, each a slice of the vector and the starts within it.
    """

    def __init__(self, layer: Layer) -> None:
        self.tensors = tuple(_tensors(layer))
        self.size = sum(tensor.size for tensor in self.tensors)
        self.neighbours = tuple(_neighbours(self.tensors))
        self._layer = layer

    def zeros(self, dtype: DTypeLike) -> FlatVector:
        """A new flat vector of this layout with its views."""
        vector = np.zeros(self.size, dtype)
        return FlatVector(vector, self.views(vector))

    def views(self, vector: Array) -> Views:
        """The flat vector's named views, nested as the layers are; writing to one writes to it."""
        if vector.shape != (self.size,):
            raise ValueError(f"vector has shape {vector.shape}, the layout needs ({self.size},)")
        tensors = iter(self.tensors)

        def nest(layer: Layer) -> Views:
            arrays = {}
            for name in layer.shapes:
                tensor = next(tensors)
                arrays[name] = vector[tensor.span].reshape(tensor.shape)
            return Views(arrays, {name: nest(part) for name, part in layer.parts.items()})

        return nest(self._layer)

    def named(self, vector: Array) -> dict[str, Array]:
        """The flat vector's views by full name, in their order."""
        return {t.name: vector[t.span].reshape(t.shape) for t in self.tensors}


def _neighbours(tensors: Sequence[Tensor]) -> Iterator[tuple[slice, NDArray[np.intp]]]:
    """Runs of small tensors that follow each other, and each large one alone.

    A run is its slice of the flat vector and where its tensors start within that slice.
    """
    run: list[Tensor] = []
    for tensor in (*tensors, None):
        if run and (
            tensor is None
            or max(tensor.size, run[0].size) > SMALL
            or tensor.start + tensor.size - run[0].start > NEIGHBOURS
        ):
            starts = np.array([one.start for one in run])
            yield slice(run[0].start, run[-1].start + run[-1].size), starts - starts[0]
            run = []
        if tensor is not None:
            run.append(tensor)


def _tensors(layer: Layer) -> Iterator[Tensor]:
    start = 0

    def walk(layer: Layer, prefix: str) -> Iterator[Tensor]:
        nonlocal start
        for name, shape in layer.shapes.items():
            tensor = Tensor(prefix + name, shape, start)
            start += tensor.size
            yield tensor
        for name, part in layer.parts.items():
            yield from walk(part, f"{prefix}{name}.")

    return walk(layer, "")
