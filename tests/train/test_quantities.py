"""Quantities: what is measured when, what each receives, and where its declaration appears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config import registry
from ffn_train.config.registry import choice, choices
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array, Floats
from ffn_train.nn.stack import Stack
from ffn_train.parts import PassQuantity, StepQuantity
from ffn_train.running.experiment import build_experiment
from ffn_train.runs import load_run
from ffn_train.train.cadence import Cadence
from ffn_train.train.gradient import BatchGradient
from ffn_train.train.instruments import USUAL, instruments
from ffn_train.train.quantities.quantity import Backward, Batch, Forward, Step
from tests.support.small_runs import config, run_in

USUALLY = Cadence(5, 1000)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    choices("quantity")
    yield
    registry.forget(__name__)


@pytest.mark.parametrize(
    ("chosen", "files"),
    [
        ("default", {"measures": USUAL}),
        ("signal_rms", {"measures": ("signal_rms",)}),
        (["weight_norm", "signal_rms"], {"measures": ("weight_norm", "signal_rms")}),
        ({"signal_rms": None, "dead_share": 5}, {"measures": ("signal_rms", "dead_share")}),
        ({"signal_rms": 2}, {"measures-2": ("signal_rms",)}),
        (
            {"default": None, "signal_rms": 2},
            {
                "measures": tuple(n for n in USUAL if n != "signal_rms"),
                "measures-2": ("signal_rms",),
            },
        ),
        (
            {"signal_rms": 2, "default": None},
            {
                "measures": tuple(n for n in USUAL if n != "signal_rms"),
                "measures-2": ("signal_rms",),
            },
        ),
    ],
)
def test_words_lists_and_mappings_choose_them(
    chosen: Any, files: dict[str, tuple[str, ...]]
) -> None:
    made = instruments(chosen, USUALLY)
    assert {i.name: tuple(q.name for q in i.quantities) for i in made} == files
    assert [i.cadence.every for i in made] == [2 if "-2" in name else 5 for name in files]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["signal_rsm"], r"measure\.quantities must be one of .*; did you mean signal_rms\?"),
        ({"signal_rms": 0}, r"measure\.quantities\.signal_rms must be an integer >= 1, got 0"),
        ([], r"measure\.quantities must be a list of words, got \[\]"),
        (3, r"measure\.quantities must be a list of words, got 3"),
    ],
)
def test_a_wrong_choice_is_refused_in_a_line(tmp_path: Path, chosen: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        run_in(tmp_path / "run", config(measure={"quantities": chosen}))


def test_each_has_the_rows_of_its_own_cadence(tmp_path: Path) -> None:
    chosen = {"gradient_norm": None, "signal_rms": 2, "update_norm": 3}
    measures = run_in(tmp_path / "run", config(measure={"quantities": chosen})).measures
    assert measures["gradient_norm"].step.tolist() == [0, 5, 8]
    assert measures["signal_rms"].step.tolist() == [0, 2, 4, 6, 8]
    assert measures["update_norm"].step.tolist() == [0, 3, 6]  # the last row makes no update
    assert measures.lacks("weight_norm") == "not measured"
    assert measures.step.tolist() == [0, 2, 3, 4, 5, 6, 8]
    usual = run_in(tmp_path / "usual", config(measure={"every": 1})).measures
    for name, series in measures.series.items():
        at = np.isin(usual[name].step, series.step)
        np.testing.assert_array_equal(series.values, usual[name].values[at])


def test_a_step_shows_what_was_asked_for(tmp_path: Path) -> None:
    seen: list[Step] = []

    @choice("quantity", "probe")
    class Probe(StepQuantity):
        """A probe."""

        per = "block"
        symbol = equation = "p"
        needs = ("update", "extra passes")

        def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
            assert step.update is not None
            before = step.params - step.update
            assert step.loss_at(before) == pytest.approx(step.loss)
            assert step.loss_at(step.params) != step.loss
            assert memory == {}
            seen.append(step)
            out[...] = [np.abs(vector).max() for vector in step.blocks(step.params)]

    settings = config(measure={"quantities": {"probe": 1}}, dtype="float64")
    run = run_in(tmp_path / "run", settings)
    assert [step.number for step in seen] == list(range(8))
    np.testing.assert_allclose([step.lr for step in seen], run.scalars["lr"][:-1])
    np.testing.assert_allclose([step.loss for step in seen], run.scalars["loss"][:-1])
    names = [t.name for t in run.measures.tensors]
    assert [*seen[0].tensors(seen[0].params)] == names
    largest = [
        max(np.abs(w).max() for n, w in run.weights().items() if n.startswith(f"blocks.{b}."))
        for b in range(3)
    ]
    np.testing.assert_array_equal(run.measures["probe"].values[-1], largest)


@pytest.mark.parametrize("changes", [{}, {"model": {"recompute": 1}}], ids=["whole", "segments"])
@pytest.mark.parametrize("threads", [1, 2])
def test_the_passes_show_each_block_and_boundary_once(
    tmp_path: Path, threads: int, changes: dict[str, Any]
) -> None:
    @choice("quantity", "largest_signal")
    class Largest(PassQuantity):
        """Largest entry of the signal."""

        per = "boundary"
        symbol = equation = "max"
        needs = ("signals",)

        def forward(self, at: Forward, partial: Array) -> None:
            assert (partial[at.boundaries] == 0).all()
            partial[at.boundaries] = [np.abs(x).max() for x in at.signals]

        def combine(self, partial: Array, other: Array) -> None:
            np.maximum(partial, other, out=partial)

        def value(self, partial: Array, batch: Batch, out: Floats) -> None:
            out[...] = partial

    @choice("quantity", "active")
    class Active(PassQuantity):
        """Number of active hidden units."""

        per = "run"
        symbol = equation = "n"
        needs = ("signals", "hidden units", "signal gradients")

        def forward(self, at: Forward, partial: Array) -> None:
            partial += sum(int((h > 0).sum()) for h in at.hidden)

        def backward(self, at: Backward, partial: Array) -> None:
            assert len(at.branch) == at.blocks.stop - at.blocks.start

        def value(self, partial: Array, batch: Batch, out: Floats) -> None:
            assert batch.samples == 16
            out[...] = partial

    chosen = {"largest_signal": 1, "active": 1}
    settings = config(
        measure={"quantities": chosen}, activation={"name": "relu"}, threads=threads, **changes
    )
    if threads == 2:
        settings["trainer"] = {**settings["trainer"], "batch_size": 16}
    measures = run_in(tmp_path / "run", settings).measures
    assert measures["largest_signal"].values.shape == (9, 4)
    active = measures["active"].values
    assert active.shape == (9,)
    assert ((active > 0) & (active < 16 * 3 * 12)).all()


@pytest.fixture
def rows_so_far() -> str:
    @choice("quantity", "rows_so_far")
    class Rows(StepQuantity):
        """How often it was measured before."""

        per = "run"
        symbol = equation = "n"
        needs = ("memory",)
        log = False

        def memory(self, model: Stack, dtype: np.dtype[Any]) -> Mapping[str, Array]:
            return {"count": np.zeros(()), "total": np.zeros(3)}

        def value(self, step: Step, memory: Mapping[str, Array], out: Floats) -> None:
            out[...] = memory["count"] or np.nan
            memory["count"][...] += 1

    return Rows.name


def test_a_memory_of_its_own_is_kept_by_checkpoints(rows_so_far: str, tmp_path: Path) -> None:
    chosen = {rows_so_far: 1, "signal_rms": None}
    settings = config(measure={"quantities": chosen}, schedule={"name": "constant", "warmup": 0})
    short = {**settings, "trainer": {**settings["trainer"], "steps": 4}}
    run_in(tmp_path / "run", short)
    run = run_in(tmp_path / "run", settings)
    series = run.measures[rows_so_far]
    assert series.step.tolist() == list(range(1, 9))  # none before step 0: NaN, not measured
    assert series.values.tolist() == list(range(1, 9))
    whole = run_in(tmp_path / "whole", settings)
    for name in ("measures-1.npy", "measures.npy", "scalars.csv", "weights.safetensors"):
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_no_row_is_taken_again_once_a_memory_has_changed(
    rows_so_far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a run that ends early measures what is not due."""
    settings = config(
        optimizer={**config()["optimizer"], "lr": 0.0},
        trainer={"early_stopping": 2},
        evaluate={"every": 1},
        measure={"quantities": {rows_so_far: 3}},
    )
    experiment = build_experiment(settings)
    state, take = experiment.trainer.start(experiment.params), BatchGradient.take
    count = state.memory[f"{rows_so_far}/count"]

    def watched(*arguments: Any) -> float:
        before = count.copy()
        loss = take(*arguments)
        assert count == before or not state.between_updates
        return loss

    monkeypatch.setattr(BatchGradient, "take", watched)
    *_, last = experiment.trainer.fit(state)
    assert last.stopped
    assert last.step == count == 2


def test_at_a_divergence_everything_is_measured(tmp_path: Path) -> None:
    settings = config(
        optimizer={**config()["optimizer"], "lr": 1e8},
        trainer={"clip": None, "steps": 40},
        measure={"quantities": {"signal_rms": 7, "gradient_norm": 3}},
    )
    run = run_in(tmp_path / "run", settings)
    last = run.scalars["step"][-1]
    assert run.state == "diverged"
    assert {int(series.step[-1]) for series in run.measures.series.values()} == {last}


@pytest.mark.parametrize("name", USUAL)
def test_the_declarations_reach_the_run(tmp_path: Path, name: str) -> None:
    run = load_run(run_in(tmp_path / "run", config()).path)
    column = run.measures[name].column
    cls = choices("quantity")[name]
    assert (column.per, column.symbol, column.equation) == (cls.per, cls.symbol, cls.equation)
    assert column.says
    assert column.needs == cls.needs != ()
    assert column.says.count(".") == 1


@pytest.mark.parametrize("engine", ["numpy", "compiled"])
@pytest.mark.parametrize("name", [n for n, cls in choices("activation").items() if cls.rectifies])
def test_dead_units_are_those_that_are_never_positive(
    tmp_path: Path, name: str, engine: str
) -> None:
    if engine == "compiled":
        pytest.importorskip("numba")
    experiment = build_experiment(config(activation={"name": name}, engine=engine))
    trainer, params = experiment.trainer, experiment.params
    params.part("blocks.1").part("up")["bias"][:5] = -50  # so that five units are dead
    (record, *_) = trainer.fit(trainer.start(params))
    np.testing.assert_allclose(record.measures["dead_share"], [0, 5 / 12, 0])
