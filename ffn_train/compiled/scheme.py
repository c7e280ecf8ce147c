"""What compiled code is told of a stack's blocks, and what their forward pass keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffn_train.compiled.jit import inlined
from ffn_train.core import Array

NO_NORM, PRE, POST = range(3)


class Scheme(NamedTuple):
    """A block's sizes, activation, norm and residual sum.

    Its parameters follow each other in this order: the multiplier if that is learnable; the norm's
    gain and, if it is ``centred``, shift; [gate,] up and down, each a weight and a bias.
    """

    width: int
    hidden: int
    gated: bool
    activation: int
    parameter: float  # a rectifier's slope below zero
    keeps_slope: bool
    placement: int
    centred: bool
    eps: float
    skip: float
    multiplier: float
    learnable: bool

    def record(self) -> NDArray[Any]:
        """The same as an array (1,) of one record, which is handed over in a third of the time."""
        kinds = [(name, type(value)) for name, value in self._asdict().items()]
        return np.array([tuple(self)], np.dtype(kinds, align=True))

    def kept(self) -> int:
        """The numbers that ``kept_of`` shares out, of each block and sample."""
        pre, norm = self.placement == PRE, self.placement != NO_NORM
        hidden = self.hidden * (self.keeps_slope + self.gated)
        return hidden + self.width * (pre + self.learnable + norm) + norm


class Kept(NamedTuple):
    """Of k blocks and N rows; what the scheme does not need has no blocks."""

    slope: Array  # (k, N, H): act'(z), where the value does not tell it
    value: Array  # (k, N, H): what the gate multiplies
    inner: Array  # (k, N, D): what the branch reads, where a norm stands before it
    branch: Array  # (k, N, D): the branch's output, where its multiplier is learnable
    normed: Array  # (k, N, D): x̂ of the norm
    inverse: Array  # (k, N): 1/scale of the norm


@inlined
def _share(storage, at, needed, blocks, rows, size):
    count = blocks if needed else 0
    end = at + count * rows * size
    return storage[at:end].reshape(count, rows, size), end


@inlined
def kept_of(scheme, storage, blocks, rows):
    """The arrays that lie one behind the other in ``storage``."""
    width, hidden, normed = scheme.width, scheme.hidden, scheme.placement != NO_NORM
    slope, at = _share(storage, 0, scheme.keeps_slope, blocks, rows, hidden)
    value, at = _share(storage, at, scheme.gated, blocks, rows, hidden)
    inner, at = _share(storage, at, scheme.placement == PRE, blocks, rows, width)
    branch, at = _share(storage, at, scheme.learnable, blocks, rows, width)
    standard, at = _share(storage, at, normed, blocks, rows, width)
    inverse = storage[at:].reshape(blocks if normed else 0, rows)
    return Kept(slope, value, inner, branch, standard, inverse)
