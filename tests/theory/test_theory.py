"""The recursions against what is known in closed form, and how far they reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ffn_train.config.registry import build
from ffn_train.nn.activations.silu import SiLU
from ffn_train.nn.blocks.branch import Branch
from ffn_train.nn.core import Layer
from ffn_train.nn.losses.huber import Huber
from ffn_train.nn.losses.mse import MSE
from ffn_train.theory import (
    Anchor,
    Prediction,
    Unpredicted,
    limits,
    predict,
    predict_anchored,
)
from ffn_train.theory.scaled import Scaled
from ffn_train.theory.sums import LogNormals, Sums
from tests.support.choices import settings, tiny
from tests.theory.predictions import a_priori, stack
from tests.theory.predictions import measured as passes

DEPTH = 12


def growth(**choices: Any) -> tuple[NDArray[Any], NDArray[Any], Prediction]:
    """Mean squares of x_l and of dLoss/dx_l, and the whole prediction."""
    prediction = a_priori(*stack(depth=DEPTH, **choices))
    return (
        np.exp(2 * prediction.log_signal_rms),
        np.exp(2 * prediction.log_signal_gradient_rms),
        prediction,
    )


@pytest.mark.parametrize("leak", [0.0, 0.2])
def test_plain_relu(leak: float) -> None:
    unit = {"name": "leaky_relu", "slope": leak} if leak else "relu"
    q, _, _ = growth(activation=unit)
    rate = 2 * 2 * (1 + leak**2) / 2  # σ_i² σ_o² E act²/K
    assert np.allclose(q / q[0], rate ** np.arange(DEPTH + 1), rtol=1e-12)


def test_he_on_both_matrices_triples_the_variance_in_each_block() -> None:
    q, _, _ = growth(residual="identity")
    assert np.allclose(q[1:] / q[:-1], 3, rtol=1e-12)


def test_linear_and_scaled() -> None:
    q, _, _ = growth(activation="identity", residual="scaled", init="lecun")
    assert np.allclose(q[1:] / q[:-1], 1 + 1 / DEPTH, rtol=1e-12)
    q, _, _ = growth(residual={"name": "rezero", "start": 0.5})
    assert np.allclose(q[1:] / q[:-1], 1 + 0.25 * 2, rtol=1e-12)


def test_the_sign_of_a_learnable_multiplier_does_not_matter() -> None:
    """Weights of either sign are as likely, and with them branches."""
    up, down = (growth(residual={"name": "rezero", "start": s})[2] for s in (0.5, -0.5))
    np.testing.assert_allclose(up.log_gradient_norm, down.log_gradient_norm, rtol=1e-12)


@pytest.mark.parametrize("init", ["gpt2", "fixup"])
def test_initialisers_that_know_the_depth(init: str) -> None:
    q, _, prediction = growth(residual="identity", init=init)
    rate = 1 + 0.5 / DEPTH if init == "gpt2" else 1.0
    assert np.allclose(q[1:] / q[:-1], rate, rtol=1e-12)
    names = [t.name for t in stack(depth=DEPTH, residual="identity", init=init)[0].layout.tensors]
    log = prediction.log_gradient_norm[names.index("blocks.3.up.weight")]
    assert np.isneginf(log) if init == "fixup" else np.isfinite(log)


@pytest.mark.parametrize("residual", ["none", "identity", "scaled"])
def test_a_relu_stack_keeps_the_product_of_signal_and_gradient(residual: str) -> None:
    """P Q is the same at every l for one sample whose gradient has no part along its signal."""
    model, init = stack(depth=DEPTH, residual=residual)
    rng = np.random.default_rng(2)
    x, first, last, gradient = rng.normal(size=(1, 5)), *rng.normal(size=(3, 1, 32))
    gradient -= last * np.vdot(gradient, last) / np.vdot(last, last)
    prediction = predict_anchored(model, init, x, Anchor(first, last, gradient))
    assert not isinstance(prediction, Unpredicted)
    product = prediction.log_signal_rms + prediction.log_signal_gradient_rms
    assert np.allclose(product, product[-1], atol=1e-9)
    assert (
        prediction.log_signal_rms[-1] > prediction.log_signal_rms[0] + 0.5
    )  # neither is kept alone


def test_pre_norm_grows_by_the_same_in_every_block() -> None:
    q, p, _ = growth(residual="identity", norm={"name": "pre_rms", "eps": 1e-12})
    assert np.allclose(np.diff(q), 2, rtol=1e-9)
    rates = p[:-1] / p[1:]
    # 1 + κ 2/q for each sample, but for the mean of an inverse, which is of order 1/D too
    assert np.allclose(rates[1:], 1 + 2 / q[1:-1], rtol=0.1)
    assert rates[-1] < 1.1 < rates[1]


def test_post_norm_has_unit_signals_and_no_decay_of_a_sample() -> None:
    """Xiong et al. 2020 expect (2/3)^((L-l)/2); for a ReLU the factor is (1 + r)/(1 + r)."""
    wide = stack(depth=DEPTH, width=100_000, residual="identity", norm="post_layer")
    prediction = a_priori(*wide)
    assert np.allclose(prediction.log_signal_rms[1:], 0, atol=1e-4)
    assert np.allclose(np.diff(prediction.log_signal_gradient_rms[1:]), 0, atol=1e-3)


def test_the_read_out_by_its_second_moment() -> None:
    """E|Wᵀ W x|² for the LeCun read-out, drawn many times."""
    model, init = stack(depth=1, width=6, residual="identity", init="fixup", outputs=4)
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(2, 5)), rng.normal(size=(2, 4))
    squares, weights = [], []
    for _ in range(20_000):
        first = rng.normal(size=(6, 5)) / np.sqrt(5)
        last = rng.normal(size=(4, 6)) / np.sqrt(6)
        signal = x @ first.T
        error = 2 / 8 * (signal @ last.T - targets)
        squares.append(np.mean((error @ last) ** 2))
        weights.append(np.sum((error.T @ signal) ** 2))
    prediction = predict(model, init, MSE(), x, targets)
    assert not isinstance(prediction, Unpredicted)
    mean = np.exp(2 * prediction.log_signal_gradient_rms[-1])
    assert mean == pytest.approx(np.mean(squares), rel=0.02)
    # the read-out's own gradient has the fourth moment of x_L, of order 1/D
    named = dict(
        zip([t.name for t in model.layout.tensors], prediction.log_gradient_norm, strict=True)
    )
    assert np.exp(2 * named["output.weight"]) == pytest.approx(np.mean(weights), rel=0.3)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
@pytest.mark.parametrize(("residual", "factor"), [("none", 18), ("none", 0.2), ("identity", 18)])
def test_hundreds_of_blocks_neither_overflow_nor_underflow(
    residual: str, factor: float, activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ReLU's mean squares end at 10^708 or 10^-544 of where they start."""
    monkeypatch.setattr(limits, "PAIRS", np.inf)
    init = {"name": "normal", "inner": factor, "outer": factor}
    blocks = stack(depth=320, residual=residual, activation=activation, init=init)
    prediction = a_priori(*blocks, batch=3)
    for log in (
        prediction.log_signal_rms,
        prediction.log_signal_gradient_rms,
        prediction.log_gradient_norm,
    ):
        assert np.isfinite(log).all()
    if activation == "relu":
        rate = np.log(factor**2 / 2 + (residual == "identity"))
        growth = prediction.log_signal_rms[-1] - prediction.log_signal_rms[0]
        assert growth == pytest.approx(160 * rate)


def test_a_thousand_blocks() -> None:
    prediction = a_priori(*stack(depth=1000, residual="identity"), batch=2)
    assert prediction.log_signal_rms[-1] - prediction.log_signal_rms[0] == pytest.approx(
        500 * np.log(3)
    )
    assert np.isfinite(prediction.log_signal_gradient_rms).all()


def test_some_rows_stand_for_a_large_batch() -> None:
    """Of 512 samples 128 are taken: within 2 % for signals, 15 % for the sums over pairs."""
    from ffn_train.theory import batch

    model, init = stack(depth=3, width=64, residual="scaled", activation="gelu")
    rng = np.random.default_rng(3)
    x, targets = rng.normal(size=(512, 5)), rng.normal(size=(512, 3))
    some = predict(model, init, MSE(), x, targets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "ROWS", 512)
        patch.setattr(batch, "_ENTRIES", 3 * 512**2)
        whole = predict(model, init, MSE(), x, targets)
    assert not isinstance(some, Unpredicted)
    assert not isinstance(whole, Unpredicted)
    assert np.allclose(some.log_signal_rms, whole.log_signal_rms, atol=0.02)
    assert np.allclose(some.log_signal_gradient_rms, whole.log_signal_gradient_rms, atol=0.02)
    assert np.allclose(some.log_gradient_norm, whole.log_gradient_norm, atol=0.15)
    assert not np.array_equal(some.log_gradient_norm, whole.log_gradient_norm)
    assert some.sampled == (128, 512)
    assert whole.sampled is None


def test_a_part_of_the_rows_has_the_pairs_of_the_whole() -> None:
    """Σ_ab x_a · x_b = |Σ_a x_a|² of all 40 samples, whichever 11 stand for them."""
    from ffn_train.theory.batch import measured, measured_sum

    rng = np.random.default_rng(5)
    x = rng.normal(size=(40, 1))
    x -= 0.8 * x.mean()  # most of the sum cancels
    rows = np.arange(3, 36, 3)

    def total(kernel: Scaled) -> float:
        values = kernel.values * np.exp(kernel.log)
        squares = np.trace(values)
        return 40 / 11 * squares + 40 * 39 / (11 * 10) * (values.sum() - squares)

    assert total(measured_sum(x, 1.0, rows)) == pytest.approx(x.sum() ** 2)
    assert total(measured(x, 1.0, rows)) != pytest.approx(x.sum() ** 2, rel=0.5)
    assert np.array_equal(measured_sum(x, 1.0, np.arange(40)).values, x @ x.T / (x * x).max())


def test_a_part_of_the_rows_predicts_what_the_whole_batch_does() -> None:
    """With one output the biases' gradients nearly cancel: off by 1.5 if a part's pairs decided."""
    from ffn_train.theory import batch

    overrides = ("model.depth=6", "model.width=32", "residual=scaled")
    init = build("init", settings("init", "lecun"))
    for model, inputs, _, anchor, _ in passes(overrides, 6):
        whole = predict_anchored(model, init, inputs, anchor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch, "ROWS", 64)
            some = predict_anchored(model, init, inputs, anchor)
        assert isinstance(whole, Prediction)
        assert isinstance(some, Prediction)
        given = ~np.isnan(some.log_gradient_norm)
        difference = (some.log_gradient_norm - whole.log_gradient_norm)[given]
        assert np.abs(difference).max() < np.log(1.12)
        biases = [t.name.endswith("bias") for t in model.layout.tensors]
        missing = np.isnan(some.log_gradient_norm) & ~np.isnan(whole.log_gradient_norm)
        assert not missing[~np.array(biases)].any()


def test_a_part_of_the_rows_gives_no_sum_of_which_little_is_left() -> None:
    kernel = np.array([[1.0, -0.99], [-0.99, 1.0]])
    assert Sums(2, 2).log_total(Scaled(kernel)) == pytest.approx(np.log(0.02))
    assert np.isnan(Sums(2, 3).log_total(Scaled(kernel)))
    assert Sums(2, 3).log_total(Scaled(np.zeros((2, 2)))) == -np.inf
    assert Sums(2, 3).log_total(Scaled(np.ones((2, 2)))) == pytest.approx(np.log(9))


def test_where_nothing_is_derived_there_is_a_reason() -> None:
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(4, 5)), rng.normal(size=(4, 3))
    reasons: dict[str, dict[str, Any]] = {
        "gated blocks": {"block": "swiglu", "residual": "identity", "depth": 40},
        "fewer than 5 features": {"norm": "pre_rms", "residual": "identity", "width": 4},
        "the norms' scales": {"norm": "post_rms", "depth": 100},
        "leave float64's range": {"init": {"name": "lecun", "bias_std": 1e150}},
    }
    for words, choices in reasons.items():
        prediction = predict(*stack(**{"depth": 3, **choices}), MSE(), x, targets)
        assert isinstance(prediction, Unpredicted)
        assert words in prediction.reason
    long, init = stack(depth=33)
    signal = rng.normal(size=(4, 32))
    prediction = predict_anchored(long, init, x, Anchor(signal, signal, signal))
    assert isinstance(prediction, Unpredicted)
    assert "deeper than wide" in prediction.reason
    assert isinstance(predict(long, init, MSE(), x, targets), Prediction)
    square, init = stack(depth=3, init="orthogonal", expansion=1)
    prediction = predict(square, init, MSE(), x, targets)
    assert isinstance(prediction, Unpredicted)
    assert "square orthogonal" in prediction.reason
    plain, init = stack(depth=3)
    prediction = predict(plain, init, Huber(delta=1.0), x, targets)
    assert isinstance(prediction, Unpredicted)
    assert "huber" in prediction.reason
    lost = Anchor(signal, np.full((4, 32), np.inf), signal)
    assert isinstance(predict_anchored(plain, init, x, lost), Unpredicted)


def test_a_few_large_terms_dominate_a_mean_that_scatters_widely() -> None:
    """Of 8 independent log-normals with variance 9, the median mean is e^2 times smaller."""
    weights = np.full(8, 1 / 8)
    assert LogNormals(np.full((8, 8), 9.0)).of_mean(weights) == pytest.approx(9)
    little = LogNormals(1e-4 * np.eye(8))
    assert little.of_mean(weights) == pytest.approx(1e-4 / 8, rel=1e-3)
    together = LogNormals(1e-4 * np.eye(8) + 0.5).of_mean(weights)
    assert little.of_mean(weights, common=0.5) == pytest.approx(together, rel=1e-12)
    draws = 3 * np.random.default_rng(0).normal(size=(2000, 8)) - 9 / 2  # each of mean 1
    variance, logs = LogNormals(9 * np.eye(8)).of_mean(weights), np.log(np.exp(draws).mean(axis=1))
    assert abs(np.median(logs) + variance / 2) < variance**0.5
    assert logs.std() < variance**0.5


def test_every_combination_has_a_prediction(
    combination: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every parameter of the blocks, where no limit is set."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    model = tiny(combination)
    init = build("init", settings("init", combination["init"]))
    monkeypatch.setattr(limits, "LIMITS", ())
    monkeypatch.setattr(limits, "PAIRS", np.inf)
    prediction = predict(model, init, MSE(), x, targets)
    assert not isinstance(prediction, Unpredicted)
    mask = [tensor.name.startswith("blocks.") for tensor in model.layout.tensors]
    assert not np.isnan(prediction.log_gradient_norm[mask]).any()
    assert not np.isnan(prediction.gradient_sd[mask]).any()
    assert np.isfinite(prediction.log_signal_gradient_rms).all()
    assert np.isfinite(prediction.signal_sd).all()


@pytest.mark.parametrize("log", [-np.inf, np.inf, np.nan])
def test_gradients_that_are_all_zero_or_not_finite_have_no_ratio(log: float) -> None:
    _, _, prediction = growth(residual="identity")
    without = replace(prediction, log_signal_gradient_rms=np.full(DEPTH + 1, log))
    assert np.isnan(without.log_gradient_ratio)  # without a warning
    assert np.isnan(without.log_growth)


def test_a_branch_of_another_kind_is_not_predicted() -> None:
    class Other(Branch):
        inner, outer = ("up",), "down"

        @property
        def parts(self) -> dict[str, Layer]:
            return {}

        def forward(self, params: Any, x: Any) -> Any:
            raise AssertionError

    model, init = stack(depth=2)
    other = Other()
    other.activation = SiLU()
    model.branch = other
    x = np.ones((2, 5))
    assert predict(model, init, MSE(), x, np.ones((2, 3))) == Unpredicted(
        "none is derived for Other blocks"
    )
