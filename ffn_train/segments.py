"""The stack's forward pass in segments of blocks, which the backward pass can repeat.

A segment whose pullbacks are not kept holds its input alone, and the backward pass runs it once
more. Of L blocks in segments of k that is L/k inputs and the activations of k blocks at a time.
Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from ffn_train.blocks.residual import ResidualBlock, ResidualPullback
from ffn_train.core import Array, Views
from ffn_train.settings import SettingError

# called with k consecutive signals x_l (k, N, D), and from l = 1 on with the hidden units (k, N, H)
# of the blocks that made them
Observe = Callable[[Array, Array | None], None]


class SignalGradients(NamedTuple):
    """dLoss/dx_l, l = ``first`` ... ``first`` + k-1, and each one's skip and branch part (k, N, D).

    At l = L there are no parts: x_L feeds the read-out only. A plain block has no skip part.
    """

    first: int
    dx: Array
    skip: Array | None
    branch: Array | None


def segment_length(recompute: Any, depth: int) -> int:
    """The number of blocks of a segment, for ``model.recompute``.

    null: one segment of all blocks; auto: sqrt(L), rounded. Raises SettingError for anything else
    than these or an integer of at least 1.
    """
    if recompute is None:
        return depth
    if recompute == "auto":
        return round(math.sqrt(depth))
    if isinstance(recompute, bool) or not isinstance(recompute, int) or recompute < 1:
        raise SettingError(
            f"model.recompute must be null, auto or an integer >= 1, got {recompute!r}"
        )
    return recompute


class Segment(ABC):
    """The blocks ``span`` of one forward pass, from their input ``x`` on; serves one backward pass.

    ``params``, and ``grads`` in the backward pass, are the views of all blocks of the stack.
    """

    def __init__(self, block: ResidualBlock, params: Views, span: range, x: Array) -> None:
        self.block, self.params, self.span, self.x = block, params, span, x

    @classmethod
    @abstractmethod
    def check(cls, block: ResidualBlock) -> None:
        """Raises SettingError for a block that cannot be computed in this way."""

    @abstractmethod
    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        """The segment's output; what its backward pass needs is kept if asked for."""

    @abstractmethod
    def predict(self) -> Array:
        """The output of ``forward``, to the byte, where no backward pass follows."""

    @abstractmethod
    def backward(self, dx: Array, grads: Views) -> Array:
        """From dL/dx behind the segment to that in front of it; fills ``grads``."""

    @abstractmethod
    def flow(self, dx: Array, grads: Views) -> Iterator[SignalGradients]:
        """``backward``, showing all dL/dx_l as they pass by, from the last blocks to the first."""


class PlainSegment(Segment):
    """Layer by layer in NumPy. What is kept is each block's pullback.

    Repeated, the operations and their operands are the same, so the gradients are to the byte.
    """

    def __init__(self, block: ResidualBlock, params: Views, span: range, x: Array) -> None:
        super().__init__(block, params, span, x)
        self._pullbacks: list[ResidualPullback] = []

    @classmethod
    def check(cls, block: ResidualBlock) -> None:
        """Any block will do."""

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        x = self.x
        for views in self._views(self.params):
            x, pullback = self.block.forward(views, x)
            if keep:
                self._pullbacks.append(pullback)
            if observe is not None:
                observe(x[None], pullback.branch.hidden[None])
        return x

    def predict(self) -> Array:
        x = self.x
        for views in self._views(self.params):
            x = self.block.predict(views, x)
        return x

    def backward(self, dx: Array, grads: Views) -> Array:
        for pullback, views in self._reversed(grads):
            dx = pullback(dx, views)
        return dx

    def flow(self, dx: Array, grads: Views) -> Iterator[SignalGradients]:
        block, above = self.span.stop, dx[None]
        for pullback, views in self._reversed(grads):
            skip, branch = pullback.split(dx, views)
            parts = None if skip is None else above if skip is dx else skip[None]
            dx = branch if skip is None else branch + skip
            block, above = block - 1, dx[None]
            yield SignalGradients(block, above, parts, branch[None])

    def _reversed(self, grads: Views) -> Iterator[tuple[ResidualPullback, Views]]:
        """From the last block to the first, each pullback let go with the next."""
        if not self._pullbacks:
            self.forward(keep=True)
        views = self._views(grads)
        while self._pullbacks:
            yield self._pullbacks.pop(), views.pop()

    def _views(self, views: Views) -> list[Views]:
        return list(views.parts.values())[self.span.start : self.span.stop]
