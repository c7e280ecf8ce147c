"""A segment whose blocks are computed by compiled code, its numbers kept in a few large arrays."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffn_train.activations import LeakyReLU
from ffn_train.blocks.feedforward import FeedForward
from ffn_train.blocks.gated import Gated
from ffn_train.blocks.residual import ResidualBlock
from ffn_train.compiled.activations import CODES, TOLD_BY_VALUE
from ffn_train.compiled.blocks import backward, forward
from ffn_train.compiled.scheme import NO_NORM, POST, PRE, Scheme
from ffn_train.core import Array, Views
from ffn_train.layers.norms import LayerNorm, RMSNorm
from ffn_train.segments import Observe, Segment, SignalGradients
from ffn_train.settings import SettingError


class _Passed(NamedTuple):
    """What a forward pass of k blocks leaves behind."""

    signals: Array  # (k+1, N, D): x_l
    hidden: Array  # (k, N, H): act(z)
    rest: Array  # what else the backward pass needs


@lru_cache(maxsize=16)
def scheme_of(block: ResidualBlock) -> tuple[Scheme, NDArray[Any]]:
    """What the compiled code needs to know of a block, also as it takes it.

    Raises SettingError for a block that it does not know.
    """
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
    scheme = Scheme(
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
    return scheme, scheme.record()


class CompiledSegment(Segment):
    """The blocks' passes as two calls of compiled code."""

    def __init__(self, block: ResidualBlock, params: Views, span: range, x: Array) -> None:
        super().__init__(block, params, span, x)
        self._scheme, self._record = scheme_of(block)
        self._theta = _part(params, span)
        self._kept: _Passed | None = None

    @classmethod
    def check(cls, block: ResidualBlock) -> None:
        scheme_of(block)

    def forward(self, *, keep: bool, observe: Observe | None = None) -> Array:
        blocks, seen = len(self.span), keep or observe is not None
        passed = self._storage(blocks if seen else 1)
        forward(self._record, self._theta, self.x, *passed, blocks)
        if observe is not None:
            observe(passed.signals[1:], passed.hidden)
        if keep:
            self._kept = passed
        x: Array = passed.signals[-1]
        return x if keep else x.copy()  # a view would hold all signals

    def predict(self) -> Array:
        return self.forward(keep=False)

    def backward(self, dx: Array, grads: Views) -> Array:
        return self._backward(dx, grads, _nowhere(dx.dtype))

    def flow(self, dx: Array, grads: Views) -> Iterator[SignalGradients]:
        blocks, block = len(self.span), self.block
        own_skip = block.skip != 0 and not block.passes_gradient_on
        flow = np.empty((3 if own_skip else 2, blocks + 1, *dx.shape), dx.dtype)
        flow[0, -1] = dx
        self._backward(dx, grads, flow)
        skip = flow[2, :-1] if own_skip else flow[0, 1:]
        yield SignalGradients(
            self.span.start, flow[0, :-1], None if block.skip == 0 else skip, flow[1, :-1]
        )

    def _backward(self, dx: Array, grads: Views, flow: Array) -> Array:
        first = np.empty_like(dx)
        gradient = _part(grads, self.span)
        backward(self._record, self._theta, gradient, *self._needed(), dx, first, flow)
        return first

    def _needed(self) -> _Passed:
        if self._kept is None:
            self.forward(keep=True)
        kept, self._kept = self._kept, None
        assert kept is not None
        return kept

    def _storage(self, blocks: int) -> _Passed:
        scheme, rows, dtype = self._scheme, len(self.x), self._theta.dtype
        return _Passed(
            np.empty((blocks + 1, rows, scheme.width), dtype),
            np.empty((blocks, rows, scheme.hidden), dtype),
            np.empty(blocks * rows * scheme.kept(), dtype),
        )


@cache
def _nowhere(dtype: np.dtype[Any]) -> Array:
    return np.empty((0, 0, 0, 0), dtype)


def _part(views: Views, span: range) -> Array:
    """The blocks' part of the flat vector."""
    vector = views.vector
    size = len(vector) // len(views.parts)
    return vector[span.start * size : span.stop * size]
