"""The transformer's two-layer feed-forward branch: y = W₂ act(W₁ x + b₁) + b₂."""

from __future__ import annotations

from dataclasses import dataclass

from ffn_train.config.registry import choice
from ffn_train.nn.activations.activation import Activation, Slope
from ffn_train.nn.blocks.branch import Block, Branch, BranchPullback
from ffn_train.nn.core import Array, Pullback, Views
from ffn_train.nn.layers.linear import Linear


@dataclass(slots=True)
class FeedForwardPullback:
    """Backward of y = W₂ h + b₂, h = act(z), z = W₁ x + b₁.

    dh = dy W₂; dz = dh ∘ act'(z); dx = dz W₁.
    """

    hidden: Array
    slope: Slope
    up: Pullback
    down: Pullback

    def __call__(self, dy: Array, grads: Views) -> Array:
        dz = self.down(dy, grads.part("down"))
        dz *= self.slope
        return self.up(dz, grads.part("up"))


class FeedForward(Branch):
    """y = W₂ act(W₁ x + b₁) + b₂ with W₁ = ``up`` (H, D) and W₂ = ``down`` (D, H).

    Vaswani et al. 2017, "Attention Is All You Need", equation 2.
    """

    inner = ("up",)
    outer = "down"

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        self.up = Linear(width, hidden)
        self.down = Linear(hidden, width)
        self.activation = activation

    def forward(self, params: Views, x: Array) -> tuple[Array, BranchPullback]:
        z, up = self.up.forward(params.part("up"), x)
        hidden, slope = self.activation.pair_in_place(z)
        y, down = self.down.forward(params.part("down"), hidden)
        return y, FeedForwardPullback(hidden, slope, up, down)

    def predict(self, params: Views, x: Array) -> Array:
        hidden = self.activation.value_in_place(self.up.predict(params.part("up"), x))
        return self.down.predict(params.part("down"), hidden)


@choice("block", "feedforward")
class FeedForwardChoice(Block):
    """W₂ act(W₁ x + b₁) + b₂: the plain two-layer branch with the chosen activation."""

    def branch(self, *, width: int, hidden: int, activation: Activation) -> Branch:
        return FeedForward(width, hidden, activation)
