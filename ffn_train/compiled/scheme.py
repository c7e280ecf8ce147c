"""What compiled code is told of a stack's blocks, and what their forward pass keeps."""

from __future__ import annotations

from typing import NamedTuple

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


class Flow(NamedTuple):
    """What a measured backward pass shows of k blocks; otherwise all are without blocks."""

    dx: Array  # (k+1, N, D): dL/dx_0 ... dL/dx_k
    skip: Array  # (k, N, D): its skip part, where that is not dL/dx_{l+1} itself
    branch: Array  # (k, N, D): its branch part


class Kept(NamedTuple):
    """Of k blocks and N rows; what the scheme does not need has no blocks."""

    signals: Array  # (k+1, N, D): x_l
    inner: Array  # (k, N, D): what the branch reads, where a norm stands before it
    hidden: Array  # (k, N, H): act(z)
    slope: Array  # (k, N, H): act'(z), where the value does not tell it
    value: Array  # (k, N, H): what the gate multiplies
    branch: Array  # (k, N, D): the branch's output, where its multiplier is learnable
    normed: Array  # (k, N, D): x̂ of the norm
    inverse: Array  # (k, N): 1/scale of the norm
