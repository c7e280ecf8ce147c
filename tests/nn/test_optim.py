"""Schedules and update rules against their formulas by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ffn_train.config.registry import build
from ffn_train.nn.engine import ENGINES
from ffn_train.nn.engine import engine as get_engine
from ffn_train.nn.optim.optimizer import CHUNK
from ffn_train.running.experiment import build_experiment
from tests.support.choices import settings
from tests.support.small_runs import config


def schedule(name: str, **changes: float):  # type: ignore[no-untyped-def]
    return build("schedule", {**settings("schedule", name), **changes})


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("constant", {}, {0: 1, 50: 1, 99: 1}),
        ("constant", {"warmup": 4}, {0: 0.25, 1: 0.5, 3: 1, 4: 1}),
        ("cosine", {}, {0: 1, 50: 0.5, 100: 0, 25: (1 + math.cos(math.pi / 4)) / 2}),
        ("cosine", {"final": 0.2}, {0: 1, 50: 0.6, 100: 0.2}),
        ("cosine", {"warmup": 20}, {9: 0.5, 19: 1, 20: 1, 60: 0.5, 100: 0}),
        ("linear", {}, {0: 1, 25: 0.75, 100: 0}),
        ("linear", {"final": 0.5, "warmup": 50}, {24: 0.5, 50: 1, 75: 0.75, 100: 0.5}),
        ("step", {"every": 30, "decay": 0.1}, {0: 1, 29: 1, 30: 0.1, 60: 0.01}),
        ("step", {"every": 30, "decay": 0.1, "warmup": 10}, {9: 1, 39: 1, 40: 0.1}),
    ],
)
def test_schedules(name: str, changes: dict[str, float], expected: dict[int, float]) -> None:
    rate = schedule(name, **changes).rate
    for step, factor in expected.items():
        assert rate(step, 100) == pytest.approx(factor, abs=1e-12)


def test_warm_up_longer_than_the_run() -> None:
    rate = schedule("cosine", warmup=200).rate
    assert rate(99, 100) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_updates_do_not_depend_on_the_chunks(name: str) -> None:
    optimizer = build("optimizer", settings("optimizer", name))
    rng = np.random.default_rng(0)
    size = 2 * CHUNK + 5
    params = rng.standard_normal(size).astype("float32")
    parts = [params[:100].copy(), params[100:].copy()]
    whole_memory = {slot: np.zeros_like(params) for slot in optimizer.slots}
    memories = [{slot: np.zeros_like(part) for slot in optimizer.slots} for part in parts]
    for count in range(1, 4):
        gradient = rng.standard_normal(size).astype("float32")
        optimizer.step(params, gradient, whole_memory, lr=0.1, count=count)
        for part, memory, grad in zip(
            parts, memories, (gradient[:100], gradient[100:]), strict=True
        ):
            optimizer.step(part, grad, memory, lr=0.1, count=count)
    np.testing.assert_array_equal(params, np.concatenate(parts))
    assert params.dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_optimizer_applies_the_weight_decay_that_it_holds(
    name: str, engine: str, dtype: str
) -> None:
    if engine == "compiled":
        pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
    chosen = {**settings("optimizer", name), "weight_decay": 0.5}
    optimizer = get_engine(engine).update(build("optimizer", chosen))

    def after(**decays: NDArray[np.bool]) -> list[float]:
        params = np.ones(4, dtype)
        memory = {slot: np.zeros_like(params) for slot in optimizer.slots}
        optimizer.step(params, np.zeros_like(params), memory, lr=0.1, count=1, **decays)
        return params.tolist()

    decayed = float(1 - np.dtype(dtype).type(0.1) * np.dtype(dtype).type(0.5))
    assert after() == [decayed] * 4
    assert after(decays=np.array([True, False, True, False])) == [decayed, 1, decayed, 1]


@pytest.mark.parametrize(
    ("rows", "lr", "decay"),
    [(125, 5e-4, 8), (500, 5e-4, 1), (10**6, 5e-4, 1), (8, 5e-4, 40), (125, 1e-3, 4), (8, 0, 0)],
)
def test_weight_decay_of_few_rows_is_stronger(rows: int, lr: float, decay: float) -> None:
    chosen = {**settings("optimizer", "adam"), "lr": lr, "weight_decay": None}
    optimizer = build("optimizer", chosen)
    assert optimizer.decaying_for(rows).weight_decay == decay
    assert replace(optimizer, weight_decay=0.5).decaying_for(rows).weight_decay == 0.5


def test_the_weight_decay_of_the_rows_is_that_of_the_run() -> None:
    chosen = {**settings("optimizer", "sgd"), "lr": 1e-4, "weight_decay": None}
    experiment = build_experiment(config(optimizer=chosen))
    rows = len(experiment.data.x_train)
    decay = float(f"{0.0005 * (500 / rows) ** 1.5 / 1e-4:.3g}")
    assert rows < 400
    assert experiment.trainer.optimizer.weight_decay == decay
    assert experiment.config["optimizer"]["weight_decay"] == decay
    assert f"optimizer.weight_decay={decay:g}, of {rows} training rows" in experiment.notes
    assert build_experiment(experiment.config).config == experiment.config


@pytest.mark.parametrize(("warmup", "share"), [(0, None), (5, None), (6, "0.83"), (1000, "0.005")])
def test_a_run_that_ends_within_the_warm_up_is_warned_of(warmup: int, share: str | None) -> None:
    chosen = {"name": "cosine", "warmup": warmup, "final": 0.0}
    warnings = build_experiment(config(schedule=chosen, trainer={"steps": 5})).warnings
    if share is None:
        assert warnings == []
    else:
        (line,) = warnings
        assert line == (
            f"schedule.warmup={warmup} with trainer.steps=5: the run ends within the warm-up, "
            f"at {share} of the highest learning rate"
        )
