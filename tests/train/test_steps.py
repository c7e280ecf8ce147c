"""Several steps in one call are the single steps, bit for bit, in state, records and files."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.nn.engine import NUMPY
from ffn_train.nn.losses.mse import MSE
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.running.guard import GuardedLogger
from ffn_train.running.interruption import Interrupted
from ffn_train.runs import files
from ffn_train.runs.checkpoint import checkpoints
from ffn_train.runs.writer import RunWriter
from ffn_train.train.cadence import Cadence
from ffn_train.train.trainer import Record, State, Trainer
from tests.support.small_runs import SMALL, run_in
from tests.train.test_trainer import as_bytes

pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
pytest.importorskip("scipy", reason="engine=compiled needs the extra `compiled`")

COMMON = [*SMALL, "engine=compiled", "trainer.steps=40", "measure.every=20", "evaluate.every=20"]
RULES = {
    "momentum": [],
    "nesterov": ["optimizer.nesterov=true", "trainer.clip=0.05", "optimizer.weight_decay=0.1"],
    "plain": ["optimizer.momentum=0", "loss=huber", "loss.delta=0.3", "trainer.clip=null"],
    "adam": ["optimizer=adam", "optimizer.weight_decay=0.1", "dtype=float64", "norm=pre_layer"],
    "cadences": ["measure.every=7", "evaluate.every=11", "schedule.warmup=9", "trainer.keep=best"],
    "stopped early": ["evaluate.every=3", "optimizer.lr=0", "trainer.early_stopping=4"],
}
STATE_EVERY = (None, 9)


def fitted(experiment: Experiment, state_every: int | None) -> tuple[list[Record], State]:
    trainer = experiment.trainer
    state = trainer.start(experiment.params)
    return list(trainer.fit(state, state_every=state_every)), state


def assert_the_same(experiment: Experiment) -> list[Record]:
    rows, end = fitted(experiment, 1)
    for state_every in STATE_EVERY:
        again, other = fitted(experiment, state_every)
        assert as_bytes(again) == as_bytes(rows)
        assert other.params.vector.tobytes() == end.params.vector.tobytes()
        assert {k: v.tobytes() for k, v in other.memory.items()} == {
            k: v.tobytes() for k, v in end.memory.items()
        }
        assert (other.step, other.progress) == (end.step, end.progress)
    return rows


@pytest.mark.parametrize("chosen", RULES.values(), ids=RULES)
def test_several_steps_at_once_are_the_single_ones(chosen: list[str]) -> None:
    assert_the_same(build_experiment(compose([*COMMON, *chosen])))


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_of_classes_as_well(smoothing: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{x:.3f},{y:.3f},{'uvw'[i % 3]}" for i, (x, y) in enumerate(rng.random((90, 2)))]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,kind", *rows]))
    table = ["task=csv", f"task.path={tmp_path}/table.csv", "task.target=kind"]
    chosen = [word for word in COMMON if not word.startswith("task.")]
    loss = ["loss=cross_entropy", f"loss.smoothing={smoothing}"]
    assert_the_same(build_experiment(compose([*chosen, *table, *loss])))


@pytest.mark.parametrize(("value", "ends"), [(1e38, "diverged"), (1e6, "stopped"), (1e3, None)])
def test_a_loss_that_is_not_finite_or_exploded_in_the_middle(value: float, ends: Any) -> None:
    chosen = [
        "optimizer.lr=1e-3",
        "trainer.clip=1e-9",
        "trainer.patience=3",
        "trainer.batch_size=4",
    ]
    experiment = build_experiment(compose([*COMMON, *chosen]))
    batches = experiment.trainer.batches
    for step in (12, 13, 14) if ends == "stopped" else (12,):
        batches.x[batches.rows(step, step + 1)[0, 0]] = value
    rows = assert_the_same(experiment)
    last = rows[-1].divergence
    assert (last and (last.state, last.step)) == (ends and (ends, 14 if ends == "stopped" else 12))


def test_only_a_step_at_which_more_is_due_runs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, calls = build_experiment(compose(COMMON)), Counter[str]()
    optimizer = type(experiment.trainer.optimizer)

    def count(owner: type, name: str) -> None:
        plain = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            calls[name] += 1
            return plain(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    count(Trainer, "_row")
    count(Stack, "forward")
    count(optimizer, "step")
    rows, _ = fitted(experiment, None)
    assert [row.step for row in rows] == list(range(41))
    assert calls == {"_row": 3, "forward": 3, "step": 2}  # rows 0, 20 and 40
    calls.clear()
    fitted(experiment, 1)
    assert calls["_row"] == 41


class _Mine(MSE):
    """A loss of one's own."""


@pytest.mark.parametrize("chosen", [["model.recompute=1"], ["threads=2"], ["engine=numpy"], []])
def test_what_has_no_compiled_twin_runs_step_by_step(
    chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = build_experiment(compose([*COMMON, *chosen]))
    if not chosen:
        object.__setattr__(experiment.trainer, "loss", _Mine())
    single, row = [], Trainer._row

    def counted(trainer: Trainer, state: State, tools: Any) -> Record:
        single.append(state.step)
        return row(trainer, state, tools)

    monkeypatch.setattr(Trainer, "_row", counted)
    fitted(experiment, None)
    assert single == list(range(41))


@pytest.mark.parametrize("hangs", [False, True])
def test_files_are_the_same_also_after_an_interrupt(
    hangs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has to break the logger off between rows of steps made at once."""
    settings = compose([*COMMON, "checkpoint.every=15"])
    run_in(tmp_path / "several", settings)
    with monkeypatch.context() as patched:
        patched.setattr("ffn_train.nn.compiled.steps.compiled_steps", NUMPY.steps)
        run_in(tmp_path / "single", settings)
    record, steps = RunWriter.record, []

    def interrupting(writer: RunWriter, scalars: Any, measures: Any) -> None:
        record(writer, scalars, measures)
        steps.append(scalars["step"])
        if scalars["step"] == 9:
            os.kill(os.getpid(), signal.SIGINT)

    def broken_off(logger: GuardedLogger, scalars: Any, measures: Any) -> None:
        if scalars["step"] == 9:
            raise Interrupted(signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(RunWriter, "record", interrupting)
        if hangs:
            patched.setattr(GuardedLogger, "log", broken_off)
        with pytest.raises(Interrupted) as interrupt:
            run_in(tmp_path / "resumed", settings)
    assert interrupt.value.checkpoint == steps[-1] + 1 == len(steps)
    run_in(tmp_path / "resumed", settings)
    for other in ("several", "resumed"):
        for name in (files.SCALARS, files.WEIGHTS, "measures.npy"):
            one, two = (tmp_path / run / name for run in ("single", other))
            assert one.read_bytes() == two.read_bytes(), (other, name)
        saved, again = (checkpoints(tmp_path / run)[-1] for run in ("single", other))
        assert saved.name == again.name
        assert saved.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("cadence", [Cadence(3, 7), Cadence(1, 1), Cadence(5, 4), Cadence(10, 10)])
def test_the_next_row_is_the_first_that_is_due(cadence: Cadence) -> None:
    due = [step for step in range(2000) if cadence.due(step)]
    for step in range(due[-1] + 1):
        assert cadence.next(step) == next(at for at in due if at >= step)


def test_a_limit_of_one_row_ends_the_search_for_the_next() -> None:
    cadence = Cadence(3, 1)
    assert [step for step in range(1000) if cadence.due(step)] == [0]
    assert cadence.next(0) == 0
    assert all(cadence.next(step) > 10**12 for step in range(1, 100))
