"""How a segment of a stack is described to compiled code, and what its forward pass keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.core import Array

NO_NORM, PRE, POST = range(3)


class Scheme(NamedTuple):
    """A segment's sizes, activation, norm and residual sum.

    The order of its parameters: the ``before`` of the input projection, if it has ``inputs``; the
    ``block`` of each block; those of a final norm and the read-out, if it has ``outputs``. In a
    block: the multiplier, if learnable; the norm's gain and, if ``centred``, shift; [gate,] up and
    down, each a weight and a bias.
    """

    inputs: int
    outputs: int
    before: int
    block: int
    width: int
    hidden: int
    gated: bool
    activate: int  # the address of the activation's loop,
    activate_backward: int  # that of its backward loop,
    settings: int  # and that of the settings that both take
    keeps_slope: bool
    placement: int
    centred: bool
    eps: float
    skip: float
    multiplier: float
    learnable: bool

    def record(self) -> NDArray[Any]:
        """The same as a structured array (1,), which costs a third of the time to pass on."""
        kinds = [(name, type(value)) for name, value in self._asdict().items()]
        return np.array([tuple(self)], np.dtype(kinds, align=True))

    def kept(self, blocks: int) -> int:
        """The numbers per sample that ``kept_of`` needs for ``blocks`` blocks."""
        hidden = self.hidden * (self.keeps_slope + self.gated) + self.width * self.learnable
        pre, norm = self.placement == PRE, self.placement != NO_NORM
        norms = blocks + (pre and self.outputs > 0)
        return blocks * hidden + norms * (self.width * (pre + norm) + norm)


class Kept(NamedTuple):
    """What is kept of k blocks and N rows; an array that the scheme does not need has length 0.

    There are m = k norms, or k + 1 with the final norm before a read-out.
    """

    slope: Array  # (k, N, H): act'(z), unless act(z) determines it
    value: Array  # (k, N, H): what the gate multiplies
    branch: Array  # (k, N, D): the branch's output, if its multiplier is learnable
    inner: Array  # (m, N, D): the norm's output, if it is before the branch
    normed: Array  # (m, N, D): x̂ of the norm
    inverse: Array  # (m, N): 1/scale of the norm


@inlined
def norm_of(scheme, theta, at):
    """The gain and shift of the norm at ``at``, and where the next tensor begins."""
    middle = at
    end = at
    if scheme.placement != NO_NORM:
        middle = at + scheme.width
        end = middle + scheme.width if scheme.centred else middle
    return theta[at:middle], theta[middle:end], end


@inlined
def _share(storage, at, needed, count, rows, size):
    count = count if needed else 0
    end = at + count * rows * size
    return storage[at:end].reshape(count, rows, size), end


@inlined
def kept_of(scheme, storage, blocks, rows):
    """The kept arrays, as consecutive views of ``storage``."""
    width, hidden, has_norm = scheme.width, scheme.hidden, scheme.placement != NO_NORM
    pre = scheme.placement == PRE
    norms = blocks + 1 if pre and scheme.outputs > 0 else blocks
    slope, at = _share(storage, 0, scheme.keeps_slope, blocks, rows, hidden)
    value, at = _share(storage, at, scheme.gated, blocks, rows, hidden)
    branch, at = _share(storage, at, scheme.learnable, blocks, rows, width)
    inner, at = _share(storage, at, pre, norms, rows, width)
    normed, at = _share(storage, at, has_norm, norms, rows, width)
    inverse = storage[at:].reshape(norms if has_norm else 0, rows)
    return Kept(slope, value, branch, inner, normed, inverse)
