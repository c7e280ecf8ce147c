"""Activation checkpointing: the same bytes with less memory."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.registry import build
from ffn_train.config.settings import SettingError
from ffn_train.gradcheck import random_parameters
from ffn_train.nn import engine as engines
from ffn_train.nn.core import Array
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import build_experiment
from ffn_train.train.cadence import Cadence
from ffn_train.train.instruments import instruments
from ffn_train.train.measures import Measurement
from tests.support.choices import settings as choice_settings
from tests.support.small_runs import config, run_in


def stack(
    names: dict[str, str], recompute: Any, *, depth: int = 7, width: int = 5, engine: str = "numpy"
) -> Stack:
    parts = {g: build(g, choice_settings(g, names[g])) for g in MODEL_GROUPS if g != "init"}
    sizes: dict[str, Any] = {"depth": depth, "width": width, "recompute": recompute}
    ends: dict[str, Any] = {"inputs": 3, "outputs": 2, "expansion": 2}
    return Stack(**sizes, **ends, engine=engines.engine(engine), **parts)


def passes(model: Stack, flow: bool) -> tuple[Array, Array, list[bytes]]:
    """Output, gradient, and the signal gradients of one forward and backward pass."""
    rng = np.random.default_rng(0)
    params = random_parameters(model, rng)
    x, dy = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    grads = model.layout.zeros("float64")
    grads.vector[...] = np.nan
    y, pullback = model.forward(params, x)
    if not flow:
        return y, grads.vector, [pullback(dy, grads).tobytes()]
    signals: list[bytes] = []
    pullback(dy, grads, observe=lambda at: signals.extend(dx.tobytes() for dx in at.dx[::-1]))
    return y, grads.vector, signals


def test_gradients_are_the_same_to_the_byte(combination: dict[str, str]) -> None:
    for flow in (False, True):
        y, gradient, signals = passes(stack(combination, None), flow)
        for recompute in (1, 2, 3, 7, 20, "auto"):
            again = passes(stack(combination, recompute), flow)
            assert again[0].tobytes() == y.tobytes()
            assert again[1].tobytes() == gradient.tobytes()
            assert again[2] == signals


def test_the_measures_and_the_weights_of_a_run_are_the_same(tmp_path: Any) -> None:
    kept = run_in(tmp_path / "kept", config(activation={"name": "relu"}))
    again = run_in(
        tmp_path / "again", config(activation={"name": "relu"}, model={"recompute": "auto"})
    )
    for name in ("measures.npy", "weights.safetensors", "scalars.csv"):
        assert (kept.path / name).read_bytes() == (again.path / name).read_bytes()


def peak(depth: int, recompute: Any, *, engine: str = "numpy", measured: bool = False) -> int:
    """The largest number of bytes of arrays that a forward and backward pass holds at once."""
    names = {"activation": "gelu", "block": "feedforward", "residual": "scaled", "norm": "none"}
    model = stack(names, recompute, depth=depth, width=16, engine=engine)
    params = random_parameters(model, np.random.default_rng(0))
    grads = model.layout.zeros("float64")
    x = np.ones((256, 3))

    def once() -> None:
        (instrument,) = instruments("default", Cadence(1, 1))
        everything = instrument.quantities
        shard = (
            Measurement(model, everything, {}, np.dtype("float64")).begin(0, everything).shards[0]
        )
        forward, backward = (shard.forward, shard.backward) if measured else (None, None)
        y, pullback = model.forward(params, x, observe=forward)
        pullback(y, grads, observe=backward)

    once()  # compile first, whose memory does not count
    tracemalloc.start()
    once()
    largest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return largest


def test_memory_grows_with_the_square_root_of_the_depth() -> None:
    signal = 256 * 16 * 8  # bytes of one x_l; a block keeps 5 of them: x, and h and act' of 2 D
    for depth in (16, 64, 144):
        blocks = math.isqrt(depth)
        assert peak(depth, "auto") < signal * (blocks + 5 * blocks + 16)
        assert peak(depth, None) > signal * 5 * depth


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_measuring_holds_no_more_than_a_few_segments(engine: str) -> None:
    if engine == "compiled":
        pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
    depth, signal = 144, 256 * 16 * 8
    blocks = math.isqrt(depth)
    assert peak(depth, "auto", engine=engine, measured=True) < signal * (13 * blocks + 16)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "all"])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(SettingError, match=r"model\.recompute must be null, auto or an integer"):
        build_experiment(config(model={"recompute": value}))


def test_divergence_of_the_backward_pass_is_located_in_the_same_block() -> None:
    def site(recompute: Any) -> str:
        settings = config(residual={"name": "none"}, activation={"name": "identity"})
        settings["model"] = {**settings["model"], "recompute": recompute}
        experiment = build_experiment(settings)
        weights = experiment.model.layout.named(experiment.params.vector)
        for index in range(3):
            weights[f"blocks.{index}.down.weight"][...] = 0
        weights["blocks.0.up.weight"][...] = 1e30
        weights["blocks.1.down.weight"][...] = 1e20
        weights["blocks.2.up.weight"][...] = 0
        weights["blocks.2.up.weight"][0, 0] = 1e-30
        weights["blocks.2.down.weight"][...] = 1e30
        (row,) = experiment.trainer.fit(experiment.trainer.start(experiment.params))
        assert row.divergence is not None
        assert row.divergence.phase == "backward"
        return row.divergence.site

    assert site(1) == site(None)
