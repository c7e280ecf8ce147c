"""A batch in shards: the same gradient to rounding, whichever thread finishes first."""

from __future__ import annotations

import dataclasses
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from ffn_train.running.experiment import build_experiment
from ffn_train.train import threads
from ffn_train.train.gradient import BatchGradient
from ffn_train.train.measures import Measurement
from ffn_train.train.shards import Shards
from tests.support.small_runs import config


def gradients(
    count: int, measured: bool = False, turns: int = 1, **changes: Any
) -> tuple[float, np.ndarray, Measurement | None]:
    """Loss, gradient and row of a batch in so many shards, each in so many turns."""
    experiment = build_experiment(config(**changes))
    trainer, params = experiment.trainer, experiment.params
    x, targets = trainer.batches.at(0)
    everything = trainer.quantities
    row = None
    if measured:
        row = Measurement(trainer.model, everything, {}, params.vector.dtype, count, turns)
        row.begin(0, everything)
    with Shards(count) as shards:
        dtype = params.vector.dtype
        gradient = BatchGradient(trainer.model, trainer.loss, shards, dtype, turns)
        gradient.vector[...] = np.nan
        loss = gradient.take(params, x, targets, row)
    return loss, gradient.vector, row


CHOICES: list[dict[str, Any]] = [
    {},
    {"norm": {"name": "pre_layer", "eps": 1e-5}, "activation": {"name": "relu"}},
    {"residual": {"name": "rezero", "start": 0.3}, "block": {"name": "swiglu"}},
    {"residual": {"name": "none"}, "loss": {"name": "huber", "delta": 0.5}},
]


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize(("count", "turns"), [(2, 1), (3, 1), (1, 3), (2, 3), (3, 2)])  # of 16 rows
def test_the_gradient_is_that_of_the_whole_batch(
    count: int, turns: int, choices: dict[str, Any]
) -> None:
    loss, whole, _ = gradients(1, dtype="float64", **choices)
    same_loss, summed, _ = gradients(count, turns=turns, dtype="float64", **choices)
    assert same_loss == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(summed, whole, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize(("count", "turns"), [(3, 1), (1, 3), (2, 2)])
def test_the_row_is_that_of_the_whole_batch(
    count: int, turns: int, choices: dict[str, Any]
) -> None:
    _, _, whole = gradients(1, measured=True, dtype="float64", **choices)
    _, _, parts = gradients(count, measured=True, turns=turns, dtype="float64", **choices)
    assert whole is not None
    assert parts is not None
    for name, values in whole.values.items():
        np.testing.assert_allclose(parts.values[name], values, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize(("count", "turns"), [(1, 1), (2, 1), (2, 2)])
def test_measuring_changes_no_byte_of_the_gradient(
    count: int, turns: int, choices: dict[str, Any]
) -> None:
    loss, plain, _ = gradients(count, turns=turns, **choices)
    same_loss, measured, row = gradients(count, measured=True, turns=turns, **choices)
    assert row is not None
    assert loss == same_loss
    assert plain.tobytes() == measured.tobytes()


def test_the_bytes_do_not_depend_on_who_ends_first() -> None:
    _, expected, _ = gradients(2)
    for _ in range(5):
        assert gradients(2)[1].tobytes() == expected.tobytes()


def test_training_in_shards_is_deterministic_and_close_to_training_without() -> None:
    def train(shards: int) -> tuple[np.ndarray, list[float]]:
        experiment = build_experiment(config(dtype="float64"))
        trainer = dataclasses.replace(experiment.trainer, shards=shards)
        state = trainer.start(experiment.params)
        rows = list(trainer.fit(state))
        return state.params.vector, [row.validation_loss for row in rows]

    (weights, losses), (again, _), (whole, whole_losses) = train(2), train(2), train(1)
    assert weights.tobytes() == again.tobytes()
    np.testing.assert_allclose(weights, whole, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(losses, whole_losses, rtol=1e-8)


def test_each_shard_has_a_thread_and_results_keep_their_order() -> None:
    barrier = threading.Barrier(3)

    def work(shard: int) -> tuple[int, int]:
        barrier.wait(timeout=10)  # passes only if all three run at once
        return shard, threading.get_ident()

    with Shards(3) as shards:
        results = shards.each(work)
        assert [shards.span(shard, 8) for shard in range(3)] == [
            *(slice(0, 2), slice(2, 5), slice(5, 8)),
        ]
    assert [shard for shard, _ in results] == [0, 1, 2]
    assert len({thread for _, thread in results}) == 3


def test_what_a_shard_raises_reaches_the_caller() -> None:
    def work(shard: int) -> None:
        if shard == 1:
            raise ZeroDivisionError

    with Shards(2) as shards, pytest.raises(ZeroDivisionError):
        shards.each(work)


def test_overflow_is_handled_in_every_shard_as_the_caller_asks() -> None:
    large = np.full(4, 1e200)

    def work(shard: int) -> bool:
        return bool(np.isinf(large * large).all())

    with Shards(2) as shards, warnings.catch_warnings():
        warnings.simplefilter("error")
        with np.errstate(over="ignore"):
            assert shards.each(work) == [True, True]


@pytest.mark.parametrize(
    ("setting", "batch", "width", "hidden", "blas", "shards"),
    [
        ("auto", 128, 64, 256, 1, 1),  # small: one thread
        ("auto", 256, 256, 1024, 1, 2),
        ("auto", 64, 512, 2048, 2, 1),  # too few rows for two shards
        (1, 512, 512, 2048, 1, 1),
        (4, 512, 512, 2048, 1, 4),
        (2, 32, 16, 64, 2, 1),  # as asked, by the BLAS
    ],
)
def test_threads_are_shards_where_these_are_large_enough(
    setting: Any,
    batch: int,
    width: int,
    hidden: int,
    blas: int,
    shards: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    chosen = threads.choose(setting, batch=batch, width=width, hidden=hidden)
    assert chosen == threads.Threads(blas=blas, shards=shards)


@pytest.mark.parametrize(
    ("setting", "width", "shards", "validation_shards"),
    [("auto", 16, 1, 1), ("auto", 64, 1, 2), (1, 64, 1, 1), (2, 16, 1, 1)],
)
def test_the_validation_part_has_shards_of_its_own(
    setting: Any,
    width: int,
    shards: int,
    validation_shards: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    model = {"width": width, "expansion": 4}
    experiment = build_experiment(config(task={"rows": 4096}, model=model, threads=setting))
    trainer = experiment.trainer
    assert (trainer.shards, trainer.validation_shards) == (shards, validation_shards)
    results = []
    for count in (1, validation_shards):
        with Shards(count) as parts:
            results.append(trainer.validate(experiment.params, parts))
    assert results[1] == pytest.approx(results[0], rel=1e-5)


def test_the_blas_libraries_are_named_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = [
        {"internal_api": "openblas", "version": "0.3", "architecture": "Zen"},
        {"internal_api": "mkl", "version": "2026"},
    ]
    for order in (libraries, libraries[::-1]):
        blas = threads.BlasThreads(1)
        monkeypatch.setattr(blas, "_controller", SimpleNamespace(info=lambda order=order: order))
        assert blas.library == "mkl 2026; openblas 0.3 Zen"


def test_contexts_that_overlap_leave_the_blas_as_it_was() -> None:
    def number() -> int:
        (library,) = {
            info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"
        }
        return int(library)

    with threadpool_limits(3, user_api="blas"):
        first, second, third = (threads.BlasThreads(count) for count in (1, 2, 1))
        for blas in (first, second, third):
            blas.__enter__()
        for blas, left in ((first, 1), (third, 2), (second, 3)):
            blas.__exit__()
            assert number() == left
