"""engine=auto: which engine it is, what is written of it, and when the engine compiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ffn_train.config.settings import SettingError
from ffn_train.nn import engine as engines
from ffn_train.running import experiment
from ffn_train.running.experiment import build_experiment
from ffn_train.running.recording import record_training
from ffn_train.runs import Run, load_run
from ffn_train.runs.provenance import read_provenance
from ffn_train.sweep import run as sweeping
from ffn_train.train.trainer import Trainer
from tests.support.small_runs import NOTES, SMALL, config, run_in

pytest.importorskip("numba", reason="engine=compiled needs the extra `compiled`")
pytest.importorskip("scipy", reason="engine=compiled needs the extra `compiled`")

MORE = {"steps": 12}


@pytest.fixture
def small_work_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (experiment, sweeping):
        monkeypatch.setattr(module, "WORTH_COMPILING", 0)


def engine_of(settings: dict[str, Any]) -> Any:
    built = build_experiment(settings)
    assert (built.model.engine is engines.NUMPY) == (built.config["engine"] == "numpy")
    return built.config["engine"]


def test_parameters_times_steps_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    built = build_experiment(config())
    assert built.config["engine"] == "numpy"
    work = built.model.layout.size * built.trainer.steps
    for limit, name in ((work, "numpy"), (work - 1, "compiled")):
        monkeypatch.setattr(experiment, "WORTH_COMPILING", limit)
        assert engine_of(config()) == name
        assert engine_of(config(engine="numpy")) == "numpy"


@pytest.mark.usefixtures("small_work_pays")
def test_numpy_where_a_part_has_no_twin_or_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> Any:
        raise SettingError("no compiled twin")

    with monkeypatch.context() as patch:
        patch.setattr("ffn_train.nn.compiled.updates.compiled_update", refuse)
        assert engine_of(config()) == "numpy"
        with pytest.raises(SettingError, match="no compiled twin"):
            build_experiment(config(engine="compiled"))
    monkeypatch.setattr(engines, "_installed", lambda: False)
    assert engine_of(config()) == "numpy"


@pytest.mark.usefixtures("small_work_pays")
def test_a_resumed_run_keeps_its_engine_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def legs(run: Run) -> list[str | None]:
        return [leg.engine for leg in read_provenance(run.path).legs]

    run_in(tmp_path / "numpy", config(engine="numpy"))
    assert legs(run_in(tmp_path / "numpy", config(trainer=MORE))) == ["numpy"] * 2
    run_in(tmp_path / "compiled", config())
    monkeypatch.setattr(experiment, "WORTH_COMPILING", 2**60)
    assert legs(run_in(tmp_path / "compiled", config(trainer=MORE))) == ["compiled"] * 2
    monkeypatch.setattr(engines, "_installed", lambda: False)
    last = run_in(tmp_path / "compiled", config(trainer={"steps": 16}))
    assert legs(last) == ["compiled", "compiled", "numpy"]
    assert any("the engine was compiled, is numpy" in note for note in NOTES)


@pytest.mark.usefixtures("small_work_pays")
def test_a_sweep_has_one_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [*SMALL, f"sweep.dir={tmp_path / 'sweep'}", "hydra/launcher=serial"]
    largest = build_experiment(config(model={"depth": 5}))
    work = largest.model.layout.size * largest.trainer.steps

    def decided(*overrides: str) -> list[str]:
        plan = sweeping.check([*chosen, *overrides])
        assert {plan.space.job(dict(job.settings)).config["engine"] for job in plan.entries} == {
            job.config["engine"] for job in plan.entries
        }
        return [job.config["engine"] for job in plan.entries]

    assert decided("model.depth=2,5") == ["compiled"] * 2
    assert decided("model.depth=2,5", "engine=numpy") == ["numpy"] * 2
    assert decided("engine=numpy,compiled") == ["numpy", "compiled"]
    monkeypatch.setattr(sweeping, "WORTH_COMPILING", work)
    assert decided("model.depth=2,5") == ["numpy"] * 2
    lines: list[str] = []
    sweeping.run_sweep(sweeping.check([*chosen, "seed=0,1"]), lines.append)
    assert "2 jobs in" in lines[0]
    assert "engine=numpy" in lines[0]
    monkeypatch.setattr(sweeping, "WORTH_COMPILING", 0)
    assert decided("seed=0,1,2") == ["numpy"] * 3  # as its manifest says


@pytest.mark.usefixtures("small_work_pays")
def test_a_sweep_goes_on_where_its_engine_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = [*SMALL, "seed=0,1", f"sweep.dir={tmp_path / 'sweep'}", "hydra/launcher=serial"]
    plan = sweeping.check(chosen)
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "carry_out", lambda *_, **__: None)
        sweeping.run_sweep(plan, NOTES.append)
    monkeypatch.setattr(engines, "_installed", lambda: False)
    lines: list[str] = []
    done = sweeping.run_sweep(sweeping.check(chosen), lines.append)
    assert any("engine=compiled needs" in line and "engine=numpy" in line for line in lines)
    assert f"2 jobs in {done.path}, engine=numpy: " in lines[-1]
    for job in done.entries:
        assert job.config["engine"] == "compiled"
        assert load_run(done.path / job.directory).config["engine"] == "numpy"
        assert job.status(done.path).state == "finished"
    with pytest.raises(SettingError, match="engine=compiled needs Numba"):
        sweeping.check([*chosen, "engine=compiled"])


@pytest.mark.parametrize(("engine", "rows"), [("numpy", 0), ("compiled", 1)])
def test_compiling_comes_before_the_clock_of_the_training(
    engine: str, rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, drawn = Trainer.fit, []

    def counted(self: Trainer, state: Any, **options: Any) -> Any:
        for row in fit(self, state, **options):
            drawn.append(row.step)
            yield row

    def training(*arguments: Any) -> Any:
        assert drawn == [0] * rows  # which compiles all that a step needs
        return record_training(*arguments)

    monkeypatch.setattr(Trainer, "fit", counted)
    monkeypatch.setattr("ffn_train.running.execution.record_training", training)
    run_in(tmp_path, config(engine=engine))
    assert len(drawn) == rows + 9
