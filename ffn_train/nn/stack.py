"""The stack: input projection, L residual blocks, final norm (for pre-norm), linear read-out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from ffn_train.nn.activations.activation import Activation
from ffn_train.nn.blocks.branch import Block
from ffn_train.nn.blocks.norm import Norm
from ffn_train.nn.blocks.residual import Residual, ResidualBlock
from ffn_train.nn.core import Array, Layer, Layout, Views
from ffn_train.nn.engine import NUMPY, Engine
from ffn_train.nn.initialisers.initialiser import Initialiser, Role
from ffn_train.nn.initialisers.weights import Weights
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.segments import Observe, ObserveGradients, Segment, segment_length

BLOCK = 3500  # bytes of a block besides its arrays, measured


def beyond_memory(needed: float) -> str:
    """So many bytes beside this machine's memory, in words; "" if it has, or may have, as many."""
    if not hasattr(os, "sysconf"):
        return ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed <= memory:
        return ""
    return f"{needed / 2**30:.3g} GiB, more than this machine's {memory / 2**30:.3g} GiB"


@dataclass(slots=True)
class StackPullback:
    """The backward pass of one forward pass through the stack, from its last segment to its first.

    What the forward pass kept is freed segment by segment, so a pullback serves one backward pass.
    """

    segments: list[Segment]

    def __call__(
        self, dy: Array, grads: Views, *, observe: ObserveGradients | None = None
    ) -> Array:
        """Run the backward pass; returns dLoss/dx of the stack's input.

        ``observe`` is called with dLoss/dx_l for l = L ... 0 and their parts, segment by segment.
        Raises RuntimeError at a second backward pass.
        """
        if not self.segments:
            raise RuntimeError("a forward pass serves one backward pass")
        while self.segments:
            dy = self.segments.pop().backward(dy, grads, observe=observe)
        return dy


class Stack(Layer):
    """y = readout(norm(x_L)), x_{l+1} = block_l(x_l), x_0 = W_in x + b_in.

    ``inputs`` and ``outputs`` are the data's; ``hidden`` = ``expansion`` x ``width``. Parameter
    names: ``input.*``, ``blocks.0.*`` ..., ``final_norm.*`` (pre-norm only), ``output.*``.
    With ``recompute`` = k (activation checkpointing) the forward pass keeps x_l at every k-th block
    only and the backward pass repeats the k blocks between two of them; ``auto`` is k = sqrt(L),
    which takes the least memory. ``engine`` computes the passes. Raises ValueError for a size below
    1.
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int,
        depth: int,
        width: int,
        expansion: int,
        activation: Activation,
        block: Block,
        residual: Residual,
        norm: Norm,
        recompute: int | Literal["auto"] | None = None,
        engine: Engine = NUMPY,
    ) -> None:
        if min(depth, width, expansion) < 1:
            raise ValueError(
                f"depth, width and expansion must be >= 1, got {depth}, {width} and {expansion}"
            )
        self.depth, self.width, self.hidden = depth, width, expansion * width
        self.segment = segment_length(recompute, self.depth)
        self.engine = engine
        self.activation, self.residual, self.norm = activation, residual, norm
        self.block_choice = block
        self.branch = block.branch(width=width, hidden=self.hidden, activation=activation)
        self.input = Linear(inputs, width)
        self.block = ResidualBlock(
            branch=self.branch, residual=residual, norm=norm, width=width, depth=depth
        )
        self.final_norm = norm.layer(width) if norm.placement == "pre" else None
        self.output = Linear(width, outputs)
        engine.segment.check(self)
        self.layout = Layout(self)

    @property
    def parts(self) -> Mapping[str, Layer]:
        blocks = dict.fromkeys(self.block_of, self.block)
        final_norm = {"final_norm": self.final_norm} if self.final_norm else {}
        return {"input": self.input, **blocks, **final_norm, "output": self.output}

    @cached_property
    def block_of(self) -> Mapping[str, int]:
        """The index of each block by its name in the stack (``Tensor.part``)."""
        return {f"blocks.{index}": index for index in range(self.depth)}

    @property
    def matrices(self) -> dict[str, dict[str, Any]]:
        """What an initialiser needs to know of each matrix of a block, by the name of its layer."""
        branch, matrices = self.branch, {}
        for name in (*branch.inner, branch.outer):
            fan_out, fan_in = branch.parts[name].shapes["weight"]
            role: Role = "outer" if name == branch.outer else "inner"
            sizes = {"fan_in": fan_in, "fan_out": fan_out, "role": role, "depth": self.depth}
            matrices[name] = sizes
        return matrices

    def initial(self, init: Initialiser, rng: np.random.Generator, dtype: str) -> Views:
        """The parameter vector (P,) before the first step.

        The ends' weights are LeCun normal, the blocks' weights and biases the initialiser's, all
        else each layer's ``initial_value``; the draws are the same for every dtype. Those of a file
        are all the file's; raises SettingError if it does not fit.
        """
        params = self.layout.zeros(dtype)
        if isinstance(init, Weights):
            init.fill(self.layout.named(params.vector))
            return params
        for tensor in self.layout.tensors:
            params.vector[tensor.span] = tensor.initial
        matrices = self.matrices
        for end, linear in (("input", self.input), ("output", self.output)):
            draw = rng.standard_normal((linear.fan_out, linear.fan_in))
            params.part(end)["weight"][...] = draw / np.sqrt(linear.fan_in)
        for index in range(self.depth):
            views = params.part(f"blocks.{index}")
            for name, sizes in matrices.items():
                views.part(name)["weight"][...] = init.weight(rng, **sizes)
                views.part(name)["bias"][...] = init.bias(rng, sizes["fan_out"])
        return params

    def forward(
        self, params: Views, x: Array, *, observe: Observe | None = None
    ) -> tuple[Array, StackPullback]:
        """Map x (N, inputs) to y (N, outputs) and the pullback of this pass.

        ``observe`` is called with x_0 ... x_L and each block's hidden units, segment by segment.
        """
        segments = []
        for start in range(0, self.depth, self.segment):
            span = range(start, min(start + self.segment, self.depth))
            segments.append(self.engine.segment(self, params, span, x))
            last = span.stop == self.depth  # the backward pass begins with it
            x = segments[-1].forward(keep=last, observe=observe)
        return x, StackPullback(segments)

    def predict(self, params: Views, x: Array) -> Array:
        """The output alone (N, outputs); nothing is kept for a backward pass."""
        return self.engine.segment(self, params, range(self.depth), x).forward(keep=False)
