"""Gated linear units, the feed-forward branch of current LLMs: y = W₂ (act(W_g x) ∘ (W_u x))."""

from __future__ import annotations

from dataclasses import dataclass

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.blocks.branch import Block, Branch, BranchPullback
from ffn_train.nn.core import Array, Pullback, Views
from ffn_train.nn.layers.linear import Linear


@dataclass(slots=True)
class GatedPullback:
    """Backward of y = W₂ (h ∘ u) + b₂, h = act(g), g = W_g x + b_g, u = W_u x + b_u.

    dp = dy W₂ for the product p = h ∘ u; du = dp ∘ h; dg = dp ∘ u ∘ act'(g); dx = dg W_g + du W_u.
    """

    hidden: Array
    slope: Slope
    value: Array
    gate: Pullback
    up: Pullback
    down: Pullback

    def __call__(self, dy: Array, grads: Views) -> Array:
        dproduct = self.down(dy, grads.part("down"))
        du = dproduct * self.hidden
        dproduct *= self.value
        dproduct *= self.slope
        dx = self.gate(dproduct, grads.part("gate"))
        dx += self.up(du, grads.part("up"))
        return dx


class Gated(Branch):
    """y = W₂ (act(W_g x + b_g) ∘ (W_u x + b_u)) + b₂; ``gate``, ``up`` (H, D), ``down`` (D, H).

    Shazeer 2020, "GLU Variants Improve Transformer", equation 6, here with biases.
    """

    inner = ("gate", "up")
    outer = "down"

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        self.gate = Linear(width, hidden)
        self.up = Linear(width, hidden)
        self.down = Linear(hidden, width)
        self.activation = activation

    def forward(self, params: Views, x: Array) -> tuple[Array, BranchPullback]:
        g, gate = self.gate.forward(params.part("gate"), x)
        value, up = self.up.forward(params.part("up"), x)
        hidden, slope = self.activation.pair_in_place(g)
        y, down = self.down.forward(params.part("down"), hidden * value)
        return y, GatedPullback(hidden, slope, value, gate, up, down)

    def predict(self, params: Views, x: Array) -> Array:
        hidden = self.activation.value_in_place(self.gate.predict(params.part("gate"), x))
        hidden *= self.up.predict(params.part("up"), x)
        return self.down.predict(params.part("down"), hidden)


@choice("block", "swiglu")
class SwiGLU(Block):
    """W₂ (silu(W_g x) ∘ W_u x), as in Llama but with biases: it takes no `activation`.

    With three matrices a block has 3/2 of the parameters of ``feedforward`` at equal expansion.
    """

    def branch(self, *, width: int, hidden: int, activation: Activation) -> Branch:
        return Gated(width, hidden, SiLU())


@choice("block", "geglu")
class GEGLU(Block):
    """W₂ (gelu(W_g x) ∘ W_u x): it takes no `activation`."""

    def branch(self, *, width: int, hidden: int, activation: Activation) -> Branch:
        return Gated(width, hidden, GELU())
