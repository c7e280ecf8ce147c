"""A model is a pure function of one parameter vector; a layer returns its output and a pullback.

    y, pullback = layer.forward(params, x)    # params: the layer's named views of the flat vector
    dx = pullback(dy, grads)                  # grads: the same names over the gradient vector

The pullback is the backward pass of that one forward pass, and holds everything that it needs: a
layer keeps no state between calls. A pullback overwrites the gradients of its layer, so they need
not be set to zero first, and does not change ``dy``, but for that of a block's pre-norm, after
which nothing reads it. It reads the parameters where they are stored, and an update changes them in
place, so a pullback must be called before the next update: later it silently mixes old activations
with new weights.

Shapes, here and in every docstring of the package: N samples, D width, H hidden width, L depth
(number of blocks), M outputs, T parameter tensors, P parameters. Rows are samples: x is (N, D);
weights are (fan_out, fan_in); so y = x Wᵀ + b. ``dx`` is dLoss/dx.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.floating[Any]]
Floats = NDArray[np.float64]
Arrays = Array | list[Array]  # arrays of one shape, stacked along the first axis or in a list
Shape = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Views:
    """Named views into one flat vector: a layer's own arrays by name, and the views of its parts.

    ``vector`` is the slice of the flat vector that they cover, for a whole layout all of it.
    """

    arrays: dict[str, Array]
    parts: dict[str, Views]
    vector: Array

    def __getitem__(self, name: str) -> Array:
        return self.arrays[name]

    def part(self, name: str) -> Views:
        return self.parts[name]


class Pullback(Protocol):
    """The backward pass of one forward pass: takes dLoss/dy, writes ``grads``, returns dLoss/dx.

    To be called before the parameters change: it reads them.
    """

    def __call__(self, dy: Array, grads: Views) -> Array: ...


class Layer(ABC):
    """A differentiable function with named parameters; it holds settings, never state."""

    @property
    def shapes(self) -> Mapping[str, Shape]:
        """The shapes of the layer's own parameters."""
        return {}

    def initial_value(self, name: str) -> float:
        """The initial value of every entry of one of the layer's own parameters.

        It holds for what ``Stack.initial`` does not draw: that draws the weights of input
        projection and read-out, and the weights and biases of the branches.
        """
        return 0.0

    @property
    def parts(self) -> Mapping[str, Layer]:
        """The layers that this one consists of; one layer may have several names."""
        return {}

    @abstractmethod
    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        """Map x (N, fan_in) to y (N, fan_out) and the pullback of this pass."""

    def predict(self, params: Views, x: Array) -> Array:
        """``forward``'s y, bit for bit, without a pullback."""
        return self.forward(params, x)[0]


@dataclass(frozen=True)
class Tensor:
    """Where one parameter lies in the flat vector, under its full name (``blocks.3.up.weight``).

    ``part``: the part of the layout's layer that it belongs to (``blocks.3``; "" for the layer's
    own parameters); ``role``: its name there (``up.weight``). ``initial``: the layer's initial
    value of its entries.
    """

    name: str
    shape: Shape
    start: int
    initial: float
    part: str
    role: str

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def span(self) -> slice:
        return slice(self.start, self.start + self.size)


class Layout:
    """Where each of a layer's parameters lies, by name, in one flat vector.

    Parameters, gradients and the optimizer's memory share it, so a checkpoint is a vector with a
    table of names, and the norm of a tensor is one reduction over a slice.
    """

    def __init__(self, layer: Layer) -> None:
        self.tensors = tuple(_tensors(layer))
        self.size = sum(tensor.size for tensor in self.tensors)
        self.starts = np.array([tensor.start for tensor in self.tensors])
        self._layer = layer

    def zeros(self, dtype: DTypeLike) -> Views:
        """The views of a new flat vector of this layout."""
        return self.views(np.zeros(self.size, dtype))

    def views(self, vector: Array) -> Views:
        """The flat vector's named views, nested as the layers are. Raises ValueError for a shape
        other than (P,).
        """
        if vector.shape != (self.size,):
            raise ValueError(f"vector has shape {vector.shape}, the layout needs ({self.size},)")
        return _views(self._layer, vector, iter(self.tensors), 0)

    def named(self, vector: Array) -> dict[str, Array]:
        """The flat vector's views by full name, in the layout's order."""
        return {t.name: vector[t.span].reshape(t.shape) for t in self.tensors}


def _views(layer: Layer, vector: Array, tensors: Iterator[Tensor], start: int) -> Views:
    """The views of a layer whose parameters, the next of ``tensors``, begin at ``start``."""
    arrays, parts, end = {}, {}, start
    for name in layer.shapes:
        tensor = next(tensors)
        arrays[name] = vector[tensor.span].reshape(tensor.shape)
        end = tensor.span.stop
    for name, part in layer.parts.items():
        parts[name] = _views(part, vector, tensors, end)
        end += parts[name].vector.size
    return Views(arrays, parts, vector[start:end])


def _tensors(layer: Layer, path: tuple[str, ...] = (), start: int = 0) -> Iterator[Tensor]:
    for name, shape in layer.shapes.items():
        part, role = ".".join(path[:1]), ".".join((*path[1:], name))
        full = ".".join((*path, name))
        tensor = Tensor(full, shape, start, layer.initial_value(name), part, role)
        start = tensor.span.stop
        yield tensor
    for name, inner in layer.parts.items():
        for tensor in _tensors(inner, (*path, name), start):
            start = tensor.span.stop
            yield tensor
