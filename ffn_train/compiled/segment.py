"""A segment whose blocks are computed by compiled code, its numbers kept in a few large arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np

from ffn_train.activations import LeakyReLU
from ffn_train.blocks.feedforward import FeedForward
from ffn_train.blocks.gated import Gated
from ffn_train.blocks.residual import ResidualBlock
from ffn_train.compiled.activations import CODES, TOLD_BY_VALUE
from ffn_train.compiled.blocks import backward, forward
from ffn_train.compiled.scheme import NO_NORM, POST, PRE, Flow, Kept, Scheme
from ffn_train.core import Array, Views
from ffn_train.layers.norms import LayerNorm, RMSNorm
from ffn_train.segments import Observe, Segment, SignalGradients
from ffn_train.settings import SettingError


@lru_cache(maxsize=16)
def scheme_of(block: ResidualBlock) -> Scheme:
    """What the compiled code needs to know of a block. Raises SettingError where it has none."""
    branch, norm = block.branch, block.pre or block.post
    activation = branch.activation
    if type(branch) not in (FeedForward, Gated):
        raise SettingError(
            f"engine=compiled has no {type(branch).__name__} block; engine=numpy has"
        )
    if type(activation) not in CODES:
        raise SettingError(f"engine=compiled has no {type(activation).__name__}; engine=numpy has")
    if type(norm) not in (type(None), LayerNorm, RMSNorm):
        raise SettingError(f"engine=compiled has no {type(norm).__name__}; engine=numpy has")
    hidden, width = branch.parts[branch.inner[0]].shapes["weight"]
    code = CODES[type(activation)]
    return Scheme(
        width=width,
        hidden=hidden,
        gated=isinstance(branch, Gated),
        activation=code,
        parameter=activation.slope if isinstance(activation, LeakyReLU) else 0.0,
        keeps_slope=code not in TOLD_BY_VALUE,
        placement=NO_NORM if norm is None else PRE if block.pre is norm else POST,
        centred=isinstance(norm, LayerNorm),
        eps=float(getattr(norm, "eps", 0)),
        skip=float(block.skip),
        multiplier=float(block.multiplier),
        learnable=block.learnable,
    )


class CompiledSegment(Segment):
    """The blocks' passes as two calls of compiled code."""

    def __init__(self, block: ResidualBlock, params: Views, span: range, x: Array) -> None:
        super().__init__(block, params, span, x)
        self._scheme = scheme_of(block)
        self._theta = _part(params, span)
        self._kept: Kept | None = None

    @classmethod
    def check(cls, block: ResidualBlock) -> None:
        scheme_of(block)

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        blocks, seen = len(self.span), keep or observe is not None
        kept = self._storage(blocks if seen else 1)
        kept.signals[0] = self.x
        forward(self._scheme, self._theta, kept, blocks)
        if observe is not None:
            observe(kept.signals[1:], kept.hidden)
        if keep:
            self._kept = kept
        x: Array = kept.signals[-1]
        return x if keep else x.copy()  # a view would hold all signals

    def predict(self) -> Array:
        return self.forward(keep=False)

    def backward(self, dx: Array, grads: Views) -> Array:
        nothing = _none(3, dx.dtype)
        return self._backward(dx, grads, Flow(nothing, nothing, nothing))

    def flow(self, dx: Array, grads: Views) -> Iterator[SignalGradients]:
        blocks, block = len(self.span), self.block
        shown = block.skip != 0 and not block.passes_gradient_on
        flow = Flow(
            dx=np.empty((blocks + 1, *dx.shape), dx.dtype),
            skip=np.empty((blocks if shown else 0, *dx.shape), dx.dtype),
            branch=np.empty((blocks, *dx.shape), dx.dtype),
        )
        flow.dx[-1] = dx
        self._backward(dx, grads, flow)
        skip = flow.skip if shown else flow.dx[1:]
        yield SignalGradients(
            self.span.start, flow.dx[:-1], None if block.skip == 0 else skip, flow.branch
        )

    def _backward(self, dx: Array, grads: Views, flow: Flow) -> Array:
        first = np.empty_like(dx)
        gradient = _part(grads, self.span)
        backward(self._scheme, self._theta, gradient, self._needed(), dx, first, flow)
        return first

    def _needed(self) -> Kept:
        if self._kept is None:
            self.forward(keep=True)
        kept, self._kept = self._kept, None
        assert kept is not None
        return kept

    def _storage(self, blocks: int) -> Kept:
        scheme, rows, dtype = self._scheme, len(self.x), self.x.dtype

        def new(needed: bool, *shape: int) -> Array:
            return np.empty((blocks, *shape), dtype) if needed else _none(len(shape) + 1, dtype)

        return Kept(
            signals=np.empty((blocks + 1, rows, scheme.width), self.x.dtype),
            inner=new(scheme.placement == PRE, rows, scheme.width),
            hidden=new(True, rows, scheme.hidden),
            slope=new(scheme.keeps_slope, rows, scheme.hidden),
            value=new(scheme.gated, rows, scheme.hidden),
            branch=new(scheme.learnable, rows, scheme.width),
            normed=new(scheme.placement != NO_NORM, rows, scheme.width),
            inverse=new(scheme.placement != NO_NORM, rows),
        )


@cache
def _none(axes: int, dtype: np.dtype[Any]) -> Array:
    return np.empty((0,) * axes, dtype)


def _part(views: Views, span: range) -> Array:
    """The blocks' part of the flat vector."""
    vector = views.vector
    size = len(vector) // len(views.parts)
    return vector[span.start * size : span.stop * size]
