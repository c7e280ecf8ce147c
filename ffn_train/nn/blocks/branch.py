"""The interface of a residual branch: a layer from width to width with hidden units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

from ffn_train.config.registry import Choice
from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.core import Array, Layer, Pullback, Views


class BranchPullback(Pullback, Protocol):
    """A pullback that also holds the activation's output (N, H), for measuring hidden units."""

    hidden: Array


class Branch(Layer):
    """Maps (N, D) to (N, D) through H hidden units.

    ``inner`` and ``outer`` name the parts that read from the residual stream and the one that
    writes back to it, attributes of these names; initialisers treat the two differently.
    """

    activation: Activation
    inner: ClassVar[tuple[str, ...]]
    outer: ClassVar[str]

    @property
    def parts(self) -> Mapping[str, Layer]:
        return {name: getattr(self, name) for name in (*self.inner, self.outer)}

    @abstractmethod
    def forward(self, params: Views, x: Array) -> tuple[Array, BranchPullback]:
        """Map x (N, D) to y (N, D) and the pullback, which must not read y.

        The block adds the skip path into the array y, after ``forward`` and after ``predict``. So y
        must be a new array, and a backward pass that needs its values, such as that of
        y = tanh(Wx + b), needs a copy.
        """


class Block(Choice, ABC):
    """``block=...``: makes the branch for a width, a hidden width and an activation."""

    @abstractmethod
    def branch(self, *, width: int, hidden: int, activation: Activation) -> Branch:
        """The branch of each block: (N, ``width``) to (N, ``width``) through ``hidden`` units."""
