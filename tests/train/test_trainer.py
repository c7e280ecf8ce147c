"""The training loop: deterministic, resumable from its state, and honest about divergence."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ffn_train.config.settings import SettingError
from ffn_train.running.experiment import build_experiment
from ffn_train.train import divergence
from ffn_train.train.stopping import Progress
from ffn_train.train.trainer import Record, Trainer
from tests.support.small_runs import config


def records(settings: dict[str, Any]) -> tuple[list[Record], Any]:
    experiment = build_experiment(settings)
    state = experiment.trainer.start(experiment.params)
    return list(experiment.trainer.fit(state)), state


def as_bytes(rows: list[Record]) -> list[bytes]:
    return [
        repr(row._replace(measures={})).encode()
        + b"".join(values.tobytes() for values in row.measures.values())
        for row in rows
    ]


def test_same_seed_gives_the_same_bytes() -> None:
    (first, end), (second, same_end) = records(config()), records(config())
    assert as_bytes(first) == as_bytes(second)
    assert end.params.vector.tobytes() == same_end.params.vector.tobytes()
    other, _ = records(config(seed=1))
    assert as_bytes(first) != as_bytes(other)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_copy_of_the_state_continues_exactly(optimizer: str) -> None:
    choice: dict[str, Any] = {"name": optimizer, "lr": 0.01, "weight_decay": 0.1}
    choice |= (
        {"momentum": 0.9, "nesterov": True}
        if optimizer == "sgd"
        else {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8}
    )
    settings = config(optimizer=choice)
    straight, end = records(settings)
    experiment = build_experiment(settings)
    state = experiment.trainer.start(experiment.params)
    run = experiment.trainer.fit(state)
    head = [next(run) for _ in range(4)]
    other = build_experiment(settings)
    resumed = other.trainer.start(other.params)
    resumed.params.vector[...] = state.params.vector
    resumed.memory = copy.deepcopy(state.memory)
    resumed.step, resumed.progress = state.step, state.progress
    tail = list(other.trainer.fit(resumed))
    assert as_bytes(head + tail) == as_bytes(straight)
    assert resumed.params.vector.tobytes() == end.params.vector.tobytes()


def test_rows_are_measured_and_evaluated_when_due_and_at_both_ends() -> None:
    rows, _ = records(config(measure={"every": 3}, evaluate={"every": 5}))
    assert [row.step for row in rows] == list(range(9))
    assert [row.step for row in rows if row.measures] == [0, 3, 6, 8]
    assert [row.step for row in rows if not np.isnan(row.validation_loss)] == [0, 5, 8]
    assert np.isnan(rows[-1].lr)  # no update is taken from the last row


def test_depth_changes_neither_the_data_nor_the_batches() -> None:
    shallow = build_experiment(config()).trainer
    deep = build_experiment(config(model={"depth": 5})).trainer
    for step in (0, 3, 7):
        for array, same in zip(shallow.batches.at(step), deep.batches.at(step), strict=True):
            assert array.tobytes() == same.tobytes()


def test_an_epoch_sees_each_row_at_most_once() -> None:
    trainer = build_experiment(config()).trainer
    rows = np.concatenate([trainer.batches.at(s)[0] for s in range(trainer.batches.per_epoch)])
    assert len(np.unique(rows, axis=0)) == len(rows)
    first = trainer.batches.at(0)[0]
    again = trainer.batches.at(trainer.batches.per_epoch)[0]
    assert not np.array_equal(first, again)  # the next epoch is another permutation


def test_clipping_bounds_the_global_norm() -> None:
    rows, _ = records(config(trainer={"clip": 0.01}))
    assert all(row.clipped_norm <= 0.01 for row in rows[:-1])
    free, _ = records(config(trainer={"clip": None}))
    assert all(row.clipped_norm == row.gradient_norm for row in free[:-1])
    assert free[0].gradient_norm == rows[0].gradient_norm


def test_weight_decay_shrinks_matrices_only() -> None:
    settings = config(trainer={"clip": 1e-12, "steps": 1}, init={"name": "he", "bias_std": 1.0})
    settings["optimizer"] = {**settings["optimizer"], "lr": 0.1, "weight_decay": 0.5}
    settings["schedule"] = {"name": "constant", "warmup": 0}
    start = build_experiment(settings)
    _, state = records(settings)
    before = start.model.layout.named(start.params.vector)
    after = start.model.layout.named(state.params.vector)
    for name, weight in before.items():
        factor = 0.95 if weight.ndim > 1 else 1.0
        np.testing.assert_allclose(after[name], factor * weight, rtol=1e-5, atol=1e-7)


def test_a_nonfinite_step_ends_the_run_and_names_where_it_began() -> None:
    experiment = build_experiment(config())
    layout = experiment.model.layout
    layout.named(experiment.params.vector)["blocks.1.down.weight"][0, 0] = np.inf
    rows = list(experiment.trainer.fit(experiment.trainer.start(experiment.params)))
    assert len(rows) == 1
    divergence = rows[0].divergence
    assert divergence is not None
    assert (divergence.phase, divergence.site) == ("update", "blocks.1.down.weight")
    assert rows[0].measures


def test_overflow_in_the_forward_pass_is_located() -> None:
    experiment = build_experiment(config(residual={"name": "none"}))
    weights = experiment.model.layout.named(experiment.params.vector)
    weights["blocks.0.up.bias"][...] = 1e25
    weights["blocks.0.down.weight"][...] = 1e25
    (row,) = experiment.trainer.fit(experiment.trainer.start(experiment.params))
    assert row.divergence is not None
    assert row.divergence.phase == "forward"
    assert row.divergence.site == "output of blocks.0.down"


def test_overflow_in_the_backward_pass_is_located() -> None:
    # the signal is cut to zero by a dead ReLU bias, so only the gradients are out of range
    settings = config(residual={"name": "none"}, activation={"name": "identity"})
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


def test_a_run_that_its_rate_drives_apart_is_told_so() -> None:
    settings = config(trainer={"clip": None}, optimizer={"lr": 1e9})
    experiment = build_experiment(settings)
    *_, row = experiment.trainer.fit(experiment.trainer.start(experiment.params))
    assert row.divergence is not None
    assert "the updates with optimizer.lr=1e+09 led to it" in str(row.divergence)
    assert "residual" not in str(row.divergence)


def test_an_exploded_loss_ends_the_run_after_patience() -> None:
    settings = config(trainer={"patience": 3, "clip": 1e-9})
    experiment = build_experiment(settings)
    experiment.model.layout.named(experiment.params.vector)["output.bias"][...] = 1e4
    rows = list(experiment.trainer.fit(experiment.trainer.start(experiment.params)))
    assert [row.step for row in rows] == [0, 1, 2]
    assert rows[-1].divergence is not None
    assert rows[-1].divergence.phase == "training"
    message = str(rows[-1].divergence)
    assert message.startswith("stopped at step 2: the loss, now ")
    assert message.endswith("that of predicting the mean for 3 steps and did not fall")
    assert rows[-1].divergence.state == "stopped"


def test_a_divergence_is_explained_in_the_turns_of_the_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = config(trainer={"clip": None}, optimizer={"lr": 1e9})
    experiment = build_experiment(settings)
    repeat, rows = divergence._repeat, []

    def counted(watch: Any, model: Any, params: Any, x: Any, *rest: Any) -> None:
        rows.append(len(x))
        repeat(watch, model, params, x, *rest)

    monkeypatch.setattr(divergence, "_repeat", counted)
    trainer = replace(experiment.trainer, turns=4)
    *_, row = trainer.fit(trainer.start(experiment.params))
    assert row.divergence is not None
    assert {*rows} == {4}


@pytest.mark.parametrize(
    ("losses", "longest"),
    [
        ([1e6 * 0.95**step for step in range(40)], 3),  # a tenth less after every third step
        ([1e6] * 7, 7),
        ([1e6, 1e5, 1e6, 2e6], 3),
        ([1e6, 1e6, 5.0, 1e6], 2),
    ],
)
def test_a_loss_is_exploded_for_as_long_as_it_does_not_fall(
    losses: list[float], longest: int
) -> None:
    progress, counts = Progress(), []
    for loss in losses:
        progress = progress.with_loss(loss, 1000.0)
        counts.append(progress.exploded_for)
    assert max(counts) == longest


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("trainer", "steps", 0),
        ("trainer", "batch_size", 65),
        ("trainer", "clip", -1.0),
        ("trainer", "patience", 0),
        ("measure", "every", 0),
        ("evaluate", "every", 0),
    ],
)
def test_settings_out_of_range_are_named(section: str, key: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"{section}.{key}"):
        build_experiment(config(**{section: {key: value}}))


def test_the_trainer_reads_and_writes_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = build_experiment(config())
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail("a file was opened"))
    monkeypatch.setattr("pathlib.Path.open", lambda *a, **k: pytest.fail("a file was opened"))
    trainer: Trainer = experiment.trainer
    assert len(list(trainer.fit(trainer.start(experiment.params)))) == 9


def test_a_second_fit_starts_where_the_first_did() -> None:
    experiment = build_experiment(config())
    trainer, before = experiment.trainer, experiment.params.vector.copy()
    first, second = (
        as_bytes(list(trainer.fit(trainer.start(experiment.params)))) for _ in range(2)
    )
    assert first == second
    np.testing.assert_array_equal(experiment.params.vector, before)
