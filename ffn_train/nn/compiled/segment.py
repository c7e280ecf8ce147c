"""A segment computed by compiled code, which keeps its values in a few large arrays."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.blocks.gated import Gated
from ffn_train.nn.compiled.activations import TWINS, loops_of
from ffn_train.nn.compiled.blocks import backward, forward
from ffn_train.nn.compiled.refusal import no_twin
from ffn_train.nn.compiled.scheme import NO_NORM, POST, PRE, Scheme
from ffn_train.nn.core import Array, Layout, Views
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm
from ffn_train.nn.segments import Observe, ObserveGradients, Segment, SignalGradients

if TYPE_CHECKING:
    from ffn_train.nn.stack import Stack


class _Passed(NamedTuple):
    """What a forward pass of k blocks keeps."""

    signals: Array  # (k+1, N, D): x_l
    hidden: Array  # (k, N, H): act(z)
    rest: Array  # what else the backward pass needs


@lru_cache(maxsize=16)
def scheme_of(
    stack: Stack, dtype: np.dtype[Any], is_first: bool, is_last: bool
) -> tuple[Scheme, NDArray[Any]]:
    """The description of a segment, and the same as a record for compiled code."""
    block = stack.block
    branch, norm = block.branch, block.pre or block.post
    loops = loops_of(branch.activation, dtype)
    hidden, width = branch.parts[branch.inner[0]].shapes["weight"]
    scheme = Scheme(
        inputs=stack.input.fan_in if is_first else 0,
        outputs=stack.output.fan_out if is_last else 0,
        before=Layout(stack.input).size if is_first else 0,
        block=Layout(block).size,
        width=width,
        hidden=hidden,
        gated=isinstance(branch, Gated),
        **loops._asdict(),
        placement=NO_NORM if norm is None else PRE if block.pre is norm else POST,
        centred=isinstance(norm, LayerNorm),
        eps=float(getattr(norm, "eps", 0)),
        skip=float(block.skip),
        multiplier=float(block.multiplier),
        learnable=block.learnable,
    )
    return scheme, scheme.record()


class CompiledSegment(Segment):
    """A segment's passes as two calls of compiled code; inputs are converted to its dtype."""

    def __init__(self, stack: Stack, params: Views, span: range, x: Array) -> None:
        super().__init__(stack, params, span, x)
        dtype = params.vector.dtype
        self._scheme, self._record = scheme_of(stack, dtype, self.is_first, self.is_last)
        self._theta = self._part(params)
        self.x = self._matrix(x, len(x), self._scheme.inputs or self._scheme.width)
        self._kept: _Passed | None = None

    @classmethod
    def check(cls, stack: Stack) -> None:
        block = stack.block
        if type(block.branch) not in (FeedForward, Gated):
            raise no_twin(stack.block_choice)
        if type(block.pre or block.post) not in (type(None), LayerNorm, RMSNorm):
            raise no_twin(stack.norm)
        if type(block.branch.activation) not in TWINS:  # with one of the user's own, it may fail
            loops_of(block.branch.activation, np.dtype(np.float32))

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        blocks, keep_all = len(self.span), keep or observe is not None
        passed = self._storage(blocks if keep_all else 1)
        y = np.empty((len(self.x), self._scheme.outputs), self._theta.dtype)
        forward(self._record, self._theta, self.x, *passed, y, blocks)
        if observe is not None:
            observe(passed.signals[0 if self.is_first else 1 :], passed.hidden)
        if keep:
            self._kept = passed
        if self.is_last:
            return y
        x: Array = passed.signals[-1]
        return x if keep else x.copy()  # a view would keep all signals alive

    def backward(
        self, dy: Array, grads: Views, *, observe: ObserveGradients | None = None
    ) -> Array:
        if self._kept is None:
            self.forward(keep=True)
        kept, self._kept = self._kept, None
        assert kept is not None
        flow = self._flow(observed=observe is not None)
        gradient, dx = self._part(grads), np.empty_like(self.x)
        dy = self._matrix(dy, len(self.x), self._scheme.outputs or self._scheme.width)
        backward(self._record, self._theta, gradient, self.x, *kept, dy, dx, flow)
        if observe is not None:
            observe(self._signal_gradients(flow))
        return dx

    def _flow(self, *, observed: bool) -> Array:
        """Storage for the signals' gradients and their parts, if they are observed; but for a skip
        part that is the gradient above itself.
        """
        block, rows, width = self.stack.block, len(self.x), self._scheme.width
        parts = 2 if block.skip == 0 or (block.skip == 1 and block.post is None) else 3
        shape = (parts, len(self.span) + 1, rows, width) if observed else (0, 0, 0, 0)
        return np.empty(shape, self._theta.dtype)

    def _signal_gradients(self, flow: Array) -> SignalGradients:
        dx = flow[0] if self.is_last else flow[0, :-1]
        skip = flow[2, :-1] if len(flow) > 2 else flow[0, 1:]
        part = None if self.stack.block.skip == 0 else skip
        return SignalGradients(self.span.start, dx, part, flow[1, :-1])

    def _storage(self, blocks: int) -> _Passed:
        scheme, rows, dtype = self._scheme, len(self.x), self._theta.dtype
        return _Passed(
            np.empty((blocks + 1, rows, scheme.width), dtype),
            np.empty((blocks, rows, scheme.hidden), dtype),
            np.empty(rows * scheme.kept(blocks), dtype),
        )

    def _part(self, views: Views) -> Array:
        """The segment's part of the flat vector."""
        first, size = views.part("input").vector.size, self._scheme.block
        start = 0 if self.is_first else first + self.span.start * size
        return views.vector[start : None if self.is_last else first + self.span.stop * size]

    def _matrix(self, array: Array, rows: int, columns: int) -> Array:
        """The array, C-ordered and of the parameters' dtype: the BLAS checks neither.

        Raises ValueError for another shape.
        """
        if array.shape != (rows, columns):
            raise ValueError(f"array has shape {array.shape}, the stack needs ({rows}, {columns})")
        return np.ascontiguousarray(array, self._theta.dtype)
