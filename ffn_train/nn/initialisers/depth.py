"""Variances that shrink with the depth of the stack: GPT-2, Fixup, DeepNorm."""

from __future__ import annotations

import math

from ffn_train.config.registry import choice
from ffn_train.nn.initialisers.initialiser import Initialiser, Role


@choice("init", "gpt2")
class GPT2(Initialiser):
    """Var W = 1/fan_in, and the outer matrix's divided by L, the number of residual additions.

    Radford et al. 2019, section 2.3: "a factor of 1/sqrt(N) where N is the number of residual
    layers", here on the LeCun rule instead of the paper's fixed 0.02.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 1 / fan_in / (depth if role == "outer" else 1)


@choice("init", "fixup")
class Fixup(Initialiser):
    """Var W_inner = 2/(fan_in L), W_outer = 0: each block starts as the identity.

    Zhang et al. 2019: He's rule times L^(-1/(2m-2)) on the standard deviation, with m = 2 layers in
    a branch, and zero in the last. The paper's scalar biases and multipliers are left out.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in * depth) if role == "inner" else 0.0


@choice("init", "deepnorm")
class DeepNorm(Initialiser):
    """Var W = β² 2/(fan_in + fan_out) with β = (4 L)^(-1/4). Wang et al. 2022, "DeepNet".

    The paper's (8N)^(-1/4) counts N layers of two residual sums each; here each block is one sum.
    """

    def variance(self, *, fan_in: int, fan_out: int, role: Role, depth: int) -> float:
        return 2 / (fan_in + fan_out) / math.sqrt(4 * depth)
