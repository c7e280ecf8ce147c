"""Activation checkpointing: a stack's passes in segments, which the backward pass can repeat.

A segment is a run of consecutive blocks; the first also has the input projection, the last the
final norm and the read-out. A segment whose pullbacks are not kept is a checkpoint: it keeps only
its input, and the backward pass runs it again. L blocks in segments of k take the memory of L/k
inputs and of the activations of k blocks at a time.
Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ffn_train.nn.blocks.residual import ResidualPullback
from ffn_train.nn.core import Array, Arrays, Layer, Pullback, Views

if TYPE_CHECKING:
    from ffn_train.nn.stack import Stack

# called once per segment with the signals x_l (N, D) that it computes, in order, and the hidden
# units (N, H) of its blocks; the first segment's signals begin with x_0
Observe = Callable[[Arrays, Arrays], None]
# called once per segment, from the last to the first, with the gradients of its blocks' inputs
ObserveGradients = Callable[["SignalGradients"], None]


class SignalGradients(NamedTuple):
    """dLoss/dx_l from l = ``first`` on, and the skip and branch part of each, all (N, D).

    In the last segment ``dx`` also has dLoss/dx_L, without parts: x_L feeds the read-out only.
    ``skip`` is None without a skip path.
    """

    first: int
    dx: Arrays
    skip: Arrays | None
    branch: Arrays


def segment_length(recompute: int | str | None, depth: int) -> int:
    """The number of blocks in a segment: None is all of them, "auto" is sqrt(L), rounded."""
    if recompute is None:
        return depth
    if recompute == "auto":
        return round(math.sqrt(depth))
    return int(recompute)


class Segment:
    """The blocks ``span`` in one forward pass of a stack, with the ends next to them.

    ``x`` (N, D) is their input: the stack's, or the output of the block before. ``params``, and
    ``grads`` in the backward pass, are the views of the whole stack. Serves one backward pass.

    This one goes layer by layer in NumPy and keeps each layer's pullback. A repeated forward pass
    has the same operations and operands: gradients are bit-identical.
    """

    def __init__(self, stack: Stack, params: Views, span: range, x: Array) -> None:
        self.stack, self.params, self.span, self.x = stack, params, span, x
        self.is_first, self.is_last = span.start == 0, span.stop == stack.depth
        self.pullbacks: dict[str, Pullback] = {}

    @classmethod
    def check(cls, stack: Stack) -> None:
        """Raises SettingError for a stack that cannot be computed in this way."""

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        """The segment's output, the same bit for bit whether or not it is to ``keep`` what its
        backward pass needs.
        """
        x = self.x
        signals: list[Array] = []
        hidden: list[Array] = []
        for name, layer in self._layers.items():
            views = self.params.part(name)
            if not keep and observe is None:
                x = layer.predict(views, x)
                continue
            x, pullback = layer.forward(views, x)
            if keep:
                self.pullbacks[name] = pullback
            if observe is not None and name == "input":
                signals.append(x)
            elif observe is not None and isinstance(pullback, ResidualPullback):
                signals.append(x)
                hidden.append(pullback.branch.hidden)
        if observe is not None:
            observe(signals, hidden)
        return x

    def backward(
        self, dy: Array, grads: Views, *, observe: ObserveGradients | None = None
    ) -> Array:
        """From dL/dy of the segment's output to dL/dx of its input; fills ``grads``.

        If ``forward`` kept nothing, it runs again first, with the parameters as they are then.
        ``observe`` is called with the dL/dx_l of the blocks' inputs, and of x_L.
        """
        if not self.pullbacks:
            self.forward(keep=True)
        dx, flow = dy, list[Array]()
        skips: list[Array] = []
        branches: list[Array] = []
        for name in reversed(self._layers):
            pullback, views = self.pullbacks.pop(name), grads.part(name)
            if observe is None or not isinstance(pullback, ResidualPullback):
                dx = pullback(dx, views)
                continue
            if self.is_last and not flow:
                flow.append(dx)
            skip, dx = pullback.split(dx, views)
            branches.append(dx)
            if skip is not None:
                skips.append(skip)
                dx = dx + skip
            flow.append(dx)
        if observe is not None:
            parts = skips[::-1] or None, branches[::-1]
            observe(SignalGradients(self.span.start, flow[::-1], *parts))
        return dx

    @cached_property
    def _layers(self) -> dict[str, Layer]:
        """The segment's parts by name, from input to output."""
        stack, norm = self.stack, self.stack.final_norm
        before = {"input": stack.input} if self.is_first else {}
        blocks = dict.fromkeys((f"blocks.{index}" for index in self.span), stack.block)
        after = {**({"final_norm": norm} if norm else {}), "output": stack.output}
        return {**before, **blocks, **(after if self.is_last else {})}
