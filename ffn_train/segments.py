"""The stack's forward pass in segments of blocks, which the backward pass can repeat.

A segment whose pullbacks are not kept holds its input alone, and the backward pass runs it once
more. Of L blocks in segments of k that is L/k inputs and the activations of k blocks at a time.
Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ffn_train.blocks.residual import ResidualBlock, ResidualPullback
from ffn_train.core import Array, Views
from ffn_train.settings import SettingError

# called with x_l, and from l = 1 on with the hidden units of the block that made it
Observe = Callable[[Array, Array | None], None]


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


@dataclass(slots=True)
class Segment:
    """Consecutive blocks of one forward pass: their input ``x`` and, where kept, their pullbacks.

    Repeated, the operations and their operands are the same, so the gradients are to the byte.
    """

    block: ResidualBlock
    views: Sequence[Views]
    x: Array
    pullbacks: list[ResidualPullback]

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        """The segment's output; its pullbacks are kept if asked for."""
        x = self.x
        for views in self.views:
            x, pullback = self.block.forward(views, x)
            if keep:
                self.pullbacks.append(pullback)
            if observe is not None:
                observe(x, pullback.branch.hidden)
        return x

    def backward(self) -> Iterator[ResidualPullback]:
        """The pullbacks from the last block to the first, each let go with the next."""
        if not self.pullbacks:
            self.forward(keep=True)
        while self.pullbacks:
            yield self.pullbacks.pop()
