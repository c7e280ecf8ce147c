"""Gradcheck can fail: each backward term, broken on purpose, is named by its tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

from ffn_train.gradcheck import check_layer, check_loss, failures
from ffn_train.nn.activations.gelu import GELU
from ffn_train.nn.blocks.branch import Branch
from ffn_train.nn.blocks.feedforward import FeedForward
from ffn_train.nn.blocks.gated import Gated
from ffn_train.nn.blocks.norm import NoNorm
from ffn_train.nn.blocks.residual import ResidualBlock, ScaledResidual
from ffn_train.nn.core import Array, Layer, Shape, Views
from ffn_train.nn.layers.linear import Linear
from ffn_train.nn.layers.norms import LayerNorm, RMSNorm
from ffn_train.nn.losses.cross_entropy import CrossEntropy
from ffn_train.nn.segments import Segment
from tests.support.choices import tiny

D, H = 5, 7
Wrong = Callable[[Array, Array, Views, Views], Array]


class Mutant(Layer):
    """A layer whose pullback is followed by a change: wrong(x, dy, params, grads, dx) -> dx."""

    def __init__(self, layer: Layer, wrong: Callable[..., Array]) -> None:
        self.layer, self.wrong = layer, wrong

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return self.layer.shapes

    @property
    def parts(self) -> Mapping[str, Layer]:
        return self.layer.parts

    def forward(self, params: Views, x: Array) -> tuple[Array, Any]:
        y, pullback = self.layer.forward(params, x)

        def broken(dy: Array, grads: Views) -> Array:
            dx = pullback(dy, grads)
            return self.wrong(x=x, dy=dy, params=params, grads=grads, dx=dx)

        return y, broken


def spoil(name: str, change: Callable[..., Array]) -> Callable[..., Array]:
    """A mutation of one parameter's gradient."""

    def wrong(*, x: Array, dy: Array, params: Views, grads: Views, dx: Array) -> Array:
        *path, last = name.split(".")
        for part in path:
            grads, params = grads.part(part), params.part(part)
        grads[last][...] = change(x=x, dy=dy, params=params, grad=grads[last])
        return dx

    return wrong


def spoil_dx(change: Callable[..., Array]) -> Callable[..., Array]:
    """A mutation of the input's gradient."""

    def wrong(*, x: Array, dy: Array, params: Views, grads: Views, dx: Array) -> Array:
        return change(x=x, dy=dy, params=params, dx=dx)

    return wrong


def normed(x: Array, centre: bool) -> tuple[Array, Array]:
    centred = x - x.mean(1, keepdims=True) if centre else x
    scale = np.sqrt(np.mean(centred**2, 1, keepdims=True) + 1e-5)
    return centred / scale, scale


def without_variance(*, x: Array, dy: Array, params: Views, dx: Array) -> Array:
    _, scale = normed(x, centre=True)
    g = dy * params["gain"]
    return (g - g.mean(1, keepdims=True)) / scale


def without_mean(*, x: Array, dy: Array, params: Views, dx: Array) -> Array:
    x_hat, scale = normed(x, centre=True)
    g = dy * params["gain"]
    return (g - x_hat * np.mean(g * x_hat, 1, keepdims=True)) / scale


def rms_without_product(*, x: Array, dy: Array, params: Views, dx: Array) -> Array:
    return dy * params["gain"] / normed(x, centre=False)[1]


MUTANTS: dict[str, tuple[Callable[[], Layer], Callable[..., Array], set[str]]] = {
    "linear: dW is not summed over samples": (
        lambda: Linear(D, H),
        spoil("weight", lambda x, dy, params, grad: np.outer(dy[0], x[0])),
        {"weight"},
    ),
    "linear: dW with its samples reversed": (
        lambda: Linear(D, H),
        spoil("weight", lambda x, dy, params, grad: dy.T @ x[::-1]),
        {"weight"},
    ),
    "linear: dW of a square layer transposed": (
        lambda: Linear(D, D),
        spoil("weight", lambda x, dy, params, grad: grad.T.copy()),
        {"weight"},
    ),
    "linear: db forgets the sum": (
        lambda: Linear(D, H),
        spoil("bias", lambda x, dy, params, grad: dy[0]),
        {"bias"},
    ),
    "linear: db is a mean": (
        lambda: Linear(D, H),
        spoil("bias", lambda x, dy, params, grad: dy.mean(0)),
        {"bias"},
    ),
    "linear: dx with the factor transposed": (
        lambda: Linear(D, D),
        spoil_dx(lambda x, dy, params, dx: dy @ params["weight"].T),
        {"x"},
    ),
    "LayerNorm: no variance term": (lambda: LayerNorm(D, 1e-5), spoil_dx(without_variance), {"x"}),
    "LayerNorm: no mean term": (lambda: LayerNorm(D, 1e-5), spoil_dx(without_mean), {"x"}),
    "LayerNorm: no gain in dx": (
        lambda: LayerNorm(D, 1e-5),
        spoil_dx(lambda x, dy, params, dx: dx / params["gain"]),
        {"x"},
    ),
    "LayerNorm: dgain from x": (
        lambda: LayerNorm(D, 1e-5),
        spoil("gain", lambda x, dy, params, grad: (dy * x).sum(0)),
        {"gain"},
    ),
    "LayerNorm: dshift forgets the sum": (
        lambda: LayerNorm(D, 1e-5),
        spoil("shift", lambda x, dy, params, grad: dy[0]),
        {"shift"},
    ),
    "RMSNorm: no product term": (lambda: RMSNorm(D, 1e-5), spoil_dx(rms_without_product), {"x"}),
    "RMSNorm: dgain from x": (
        lambda: RMSNorm(D, 1e-5),
        spoil("gain", lambda x, dy, params, grad: (dy * x).sum(0)),
        {"gain"},
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_term_is_named(name: str) -> None:
    make, wrong, tensors = MUTANTS[name]
    inputs = D
    rng = np.random.default_rng(0)
    assert not list(failures(check_layer(make(), inputs=inputs, rng=rng)))
    checks = check_layer(Mutant(make(), wrong), inputs=inputs, rng=rng)
    assert {check.tensor for check in failures(checks)} == tensors


def softmax(y: Array) -> Array:
    exponentials = np.exp(y)
    total: Array = exponentials.sum(1, keepdims=True)
    return exponentials / total


# dLoss/dy of the outputs, the targets and what it should be
CROSS_ENTROPIES: dict[str, Callable[[Array, Array, Array], Array]] = {
    "no softmax": lambda y, t, right: (y - t) / len(y),
    "sigmoids in place of the softmax": lambda y, t, right: (1 / (1 + np.exp(-y)) - t) / len(y),
    "a sum over samples": lambda y, t, right: right * len(y),
    "a mean over classes too": lambda y, t, right: right / y.shape[1],
    "only the right class's part": lambda y, t, right: right * t,
    "as of a squared error of softmax": lambda y, t, right: right * softmax(y),
    "targets without their smoothing": lambda y, t, right: (softmax(y) - t) / len(y),
}


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_a_broken_cross_entropy_fails(name: str) -> None:
    class Broken(CrossEntropy):
        def value_and_gradient(self, y: Array, targets: Array) -> tuple[float, Array]:
            value, right = super().value_and_gradient(y, targets)
            return value, CROSS_ENTROPIES[name](y, targets, right)

    rng = np.random.default_rng(0)
    targets = np.eye(3)[rng.integers(3, size=5)]
    assert not check_loss(CrossEntropy(smoothing=0.2), targets, rng).failed
    assert check_loss(Broken(smoothing=0.2), targets, rng).failed


class OfBranch(Layer):
    """A branch whose pullback object is altered before it runs."""

    def __init__(self, branch: Layer, alter: Callable[[Any], None]) -> None:
        self.branch, self.alter = branch, alter

    @property
    def parts(self) -> Mapping[str, Layer]:
        return self.branch.parts

    def forward(self, params: Views, x: Array) -> tuple[Array, Any]:
        y, pullback = self.branch.forward(params, x)
        self.alter(pullback)
        return y, pullback


def setting(name: str, value: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda pullback: setattr(pullback, name, value(pullback))


def silent(part: str) -> Callable[[Any], None]:
    """The part's own gradients are right, but its dx is lost."""

    def alter(pullback: Any) -> None:
        original = getattr(pullback, part)
        setattr(pullback, part, lambda dy, grads: original(dy, grads) * 0)

    return alter


INNER = {"up.weight", "up.bias", "x"}
GATE = {"gate.weight", "gate.bias", "x"}
BRANCHES: dict[str, tuple[type, Callable[[Any], None], set[str]]] = {
    "act' forgotten": (FeedForward, setting("slope", lambda p: np.ones_like(p.slope)), INNER),
    "act in place of act'": (FeedForward, setting("slope", lambda p: p.hidden), INNER),
    "dx of the second layer lost": (FeedForward, silent("down"), INNER),
    "dx of the first layer lost": (FeedForward, silent("up"), {"x"}),
    "gated, act' forgotten": (Gated, setting("slope", lambda p: np.ones_like(p.slope)), GATE),
    "gated, value forgotten": (Gated, setting("value", lambda p: np.ones_like(p.value)), GATE),
    "gated, gate forgotten": (Gated, setting("hidden", lambda p: np.ones_like(p.hidden)), INNER),
    "gated, dx of the gate lost": (Gated, silent("gate"), {"x"}),
    "gated, dx of the value lost": (Gated, silent("up"), {"x"}),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_broken_branch_is_named(name: str) -> None:
    kind, alter, tensors = BRANCHES[name]
    branch = kind(D, H, GELU())
    rng = np.random.default_rng(0)
    assert not list(failures(check_layer(branch, inputs=D, rng=rng)))
    checks = check_layer(OfBranch(branch, alter), inputs=D, rng=rng)
    assert {check.tensor for check in failures(checks)} == tensors


class OfBlock(Layer):
    """A residual block whose pullback's split is altered."""

    def __init__(self, block: Layer, alter: Callable[..., tuple[Any, Array]]) -> None:
        self.block, self.alter = block, alter

    @property
    def shapes(self) -> Mapping[str, Shape]:
        return self.block.shapes

    @property
    def parts(self) -> Mapping[str, Layer]:
        return self.block.parts

    def forward(self, params: Views, x: Array) -> tuple[Array, Any]:
        y, pullback = self.block.forward(params, x)

        def broken(dy: Array, grads: Views) -> Array:
            skip, branch = self.alter(pullback, dy, grads)
            return branch if skip is None else branch + skip

        return y, broken


def drop_skip(pullback: Any, dy: Array, grads: Views) -> tuple[Any, Array]:
    return None, pullback.split(dy, grads)[1]


def drop_branch(pullback: Any, dy: Array, grads: Views) -> tuple[Any, Array]:
    skip, branch = pullback.split(dy, grads)
    return skip, branch * 0


def skip_without_factor(pullback: Any, dy: Array, grads: Views) -> tuple[Any, Array]:
    skip, branch = pullback.split(dy, grads)
    return skip / pullback.block.skip, branch


def without(part: str) -> Callable[..., tuple[Any, Array]]:
    """The norm's gain and shift get their gradients, but dx passes by it unchanged."""

    def alter(pullback: Any, dy: Array, grads: Views) -> tuple[Any, Array]:
        norm = getattr(pullback, part)

        def unchanged(dy: Array, grads: Views) -> Array:
            norm(dy, grads)
            return dy

        setattr(pullback, part, unchanged)
        return pullback.split(dy, grads)

    return alter


def multiplier_gradient_of_the_scaled_branch(
    pullback: Any, dy: Array, grads: Views
) -> tuple[Any, Array]:
    parts = pullback.split(dy, grads)
    grads["multiplier"][...] *= pullback.params["multiplier"]
    return parts


def without_multiplier(pullback: Any, dy: Array, grads: Views) -> tuple[Any, Array]:
    branch = pullback.branch
    factor = pullback.block.multiplier
    pullback.branch = lambda dz, grads: branch(dz / factor, grads)
    return pullback.split(dy, grads)


BLOCKS: dict[str, tuple[dict[str, str], Callable[..., Any], set[str]]] = {
    "skip dropped": ({"residual": "identity"}, drop_skip, {"x"}),
    "branch dropped": ({"residual": "identity"}, drop_branch, {"x"}),
    "skip without DeepNorm's factor": (
        {"residual": "deepnorm", "norm": "post_layer"},
        skip_without_factor,
        {"x"},
    ),
    "pre-norm passed by": ({"norm": "pre_layer"}, without("pre"), {"x"}),
    "post-norm passed by": (
        {"norm": "post_rms"},
        without("post"),
        {"x", "up.weight", "up.bias", "down.weight", "down.bias"},
    ),
    "branch multiplier forgotten": (
        {"residual": "scaled"},
        without_multiplier,
        {"x", "up.weight", "up.bias", "down.weight", "down.bias"},
    ),
    "gradient of the learnable multiplier": (
        {"residual": "rezero"},
        multiplier_gradient_of_the_scaled_branch,
        {"multiplier"},
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_a_broken_block_is_named(name: str) -> None:
    choices, alter, tensors = BLOCKS[name]
    plain = {"activation": "gelu", "block": "feedforward", "residual": "scaled", "norm": "none"}
    model = tiny({**plain, "init": "lecun", **choices}, depth=4)
    rng = np.random.default_rng(0)
    assert not list(failures(check_layer(model.block, inputs=D, rng=rng)))
    checks = check_layer(OfBlock(model.block, alter), inputs=D, rng=rng)
    assert {check.tensor for check in failures(checks)} == tensors


def test_a_stack_without_its_final_norm_is_named() -> None:
    names = {"activation": "tanh", "block": "feedforward", "residual": "identity"}
    model = tiny({**names, "norm": "pre_rms", "init": "lecun"}, depth=2)

    def broken(*, x: Array, dy: Array, params: Views, grads: Views, dx: Array) -> Array:
        _, pullback = model.forward(params, x)
        (segment,) = pullback.segments
        assert isinstance(segment, Segment)
        final = segment.pullbacks["final_norm"]

        def passed_by(dy: Array, grads: Views) -> Array:
            final(dy, grads)
            return dy

        segment.pullbacks["final_norm"] = passed_by
        return pullback(dy, grads)

    rng = np.random.default_rng(0)
    failed = {c.tensor for c in failures(check_layer(Mutant(model, broken), inputs=3, rng=rng))}
    assert {"x", "input.weight", "blocks.0.up.weight", "blocks.1.down.bias"} <= failed
    assert not failed & {"output.weight", "output.bias", "final_norm.gain"}


def test_a_gradient_that_is_never_written_fails() -> None:
    def unwritten(*, x: Array, dy: Array, params: Views, grads: Views, dx: Array) -> Array:
        grads["bias"][...] = np.nan
        return dx

    rng = np.random.default_rng(0)
    checks = check_layer(Mutant(Linear(D, H), unwritten), inputs=D, rng=rng)
    assert [check.tensor for check in failures(checks)] == ["bias"]


def test_ones_as_cotangent_would_miss_a_broken_layer_norm() -> None:
    rng = np.random.default_rng(0)
    x, ones = rng.standard_normal((4, D)), np.ones((4, D))
    layer = LayerNorm(D, 1e-5)
    views = Views({"gain": np.ones(D), "shift": np.zeros(D)}, {}, np.ones(2 * D))
    grads = Views({"gain": np.zeros(D), "shift": np.zeros(D)}, {}, np.zeros(2 * D))
    right = layer.forward(views, x)[1](ones, grads)
    np.testing.assert_allclose(
        without_variance(x=x, dy=ones, params=views, dx=right), right, atol=1e-12
    )


class TanhOut(Branch):
    """y = tanh(W x + b), whose backward pass reads y: right alone, wrong in a block."""

    inner = ("up",)
    outer = "up"

    def __init__(self, width: int, kept: Callable[[Array], Array]) -> None:
        self.up, self.kept = Linear(width, width), kept

    @property
    def parts(self) -> Mapping[str, Layer]:
        return {"up": self.up}

    def forward(self, params: Views, x: Array) -> tuple[Array, Any]:
        z, up = self.up.forward(params.part("up"), x)
        y = np.tanh(z)
        kept = self.kept(y)

        def pullback(dy: Array, grads: Views) -> Array:
            return up(dy * (1 - kept * kept), grads.part("up"))

        return y, pullback


def test_a_branch_that_reads_its_output_again_fails_alone_and_in_the_block() -> None:
    rng = np.random.default_rng(0)
    block = partial(
        ResidualBlock,
        residual=ScaledResidual(scale=1.0, power=0.5),
        norm=NoNorm(),
        width=D,
        depth=4,
    )
    right, wrong = TanhOut(D, np.copy), TanhOut(D, np.asarray)
    for layer in (right, block(branch=right)):
        assert not list(failures(check_layer(layer, inputs=D, rng=rng)))
    for layer in (wrong, block(branch=wrong)):
        failed = {check.tensor for check in failures(check_layer(layer, inputs=D, rng=rng))}
        assert failed == {"x", "up.weight", "up.bias"}
