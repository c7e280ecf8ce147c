"""Every layer, also a user's own, gives the initial values of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from ffn_train.gradcheck import check_layer, failures
from ffn_train.nn.activations.relu import ReLU
from ffn_train.nn.blocks.branch import Branch, BranchPullback
from ffn_train.nn.blocks.feedforward import FeedForwardChoice
from ffn_train.nn.blocks.norm import NoNorm, PreLayerNorm
from ffn_train.nn.blocks.residual import NoResidual, ReZero
from ffn_train.nn.core import Array, Layer, Pullback, Shape, Views
from ffn_train.nn.initialisers.width import He
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.stack import Stack


class PReLU(Layer):
    """y = x for x > 0, a ∘ x below, with a learnable ``slope`` a (H,)."""

    def __init__(self, width: int) -> None:
        self.width = width

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return {"slope": (self.width,)}

    def initial_value(self, name: str) -> float:
        return 0.25

    def forward(self, params: Views, x: Array) -> tuple[Array, Pullback]:
        slope = params["slope"]

        def pullback(dy: Array, grads: Views) -> Array:
            grads["slope"][...] = np.sum(dy * np.minimum(x, 0), axis=0)
            return np.where(x > 0, dy, slope * dy)

        return np.where(x > 0, x, slope * x), pullback


class Rectified(Branch):
    """y = W₂ PReLU(W₁ x + b₁) + b₂."""

    inner = ("up",)
    outer = "down"

    def __init__(self, *, width: int, hidden: int, activation: object) -> None:
        self.chain = {
            "up": Linear(width, hidden),
            "act": PReLU(hidden),
            "down": Linear(hidden, width),
        }

    @property
    def parts(self) -> Mapping[str, Layer]:
        return self.chain

    def forward(self, params: Views, x: Array) -> tuple[Array, BranchPullback]:
        pullbacks, signals = {}, [x]
        for name, layer in self.chain.items():
            y, pullbacks[name] = layer.forward(params.part(name), signals[-1])
            signals.append(y)

        def pullback(dy: Array, grads: Views) -> Array:
            for name in reversed(self.chain):
                dy = pullbacks[name](dy, grads.part(name))
            return dy

        pullback.hidden = signals[2]  # type: ignore[attr-defined]
        return y, pullback  # type: ignore[return-value]


def stack(**chosen: Any) -> Stack:
    plain: dict[str, Any] = {
        "activation": ReLU(),
        "block": FeedForwardChoice(),
        "residual": NoResidual(),
        "norm": NoNorm(),
    }
    return Stack(inputs=3, outputs=2, depth=3, width=5, expansion=2, **{**plain, **chosen})


def test_a_layer_from_outside_starts_where_it_says() -> None:
    model = stack(block=SimpleNamespace(branch=Rectified))
    params = model.initial(He(), np.random.default_rng(0), "float64")
    weights = model.layout.named(params.vector)
    for index in range(3):
        np.testing.assert_array_equal(weights[f"blocks.{index}.act.slope"], np.full(10, 0.25))
        assert weights[f"blocks.{index}.up.weight"].all()
        assert not weights[f"blocks.{index}.up.bias"].any()
    assert not list(failures(check_layer(model, inputs=3, rng=np.random.default_rng(0))))


def test_gains_start_at_1_and_a_multiplier_at_its_start() -> None:
    model = stack(residual=ReZero(start=0.5), norm=PreLayerNorm(eps=1e-5))
    params = model.initial(He(bias_std=1.0), np.random.default_rng(0), "float32")
    weights = model.layout.named(params.vector)
    assert weights["blocks.1.multiplier"].tolist() == [0.5]
    assert weights["blocks.0.norm.gain"].tolist() == weights["final_norm.gain"].tolist() == [1] * 5
    assert not weights["final_norm.shift"].any()
    assert not weights["output.bias"].any()
    assert weights["blocks.0.up.bias"].all()
