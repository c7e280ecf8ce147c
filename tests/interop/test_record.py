"""Runs that another training loop records: what is written, in which state, and what is refused."""

from __future__ import annotations

import csv
import json
import math
import re
import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ffn_train
from ffn_train.compare import Options, collect, write_figures
from ffn_train.compare.figures import loss_curves
from ffn_train.compare.page import html
from ffn_train.compare.values import shown
from ffn_train.config.settings import SettingError
from ffn_train.interop.export.records import as_csv, table
from ffn_train.interop.recorder import Recorder
from ffn_train.parts import Logger
from ffn_train.plots import draw, figure
from ffn_train.report.text import report
from ffn_train.report.verdict.evidence import Evidence
from ffn_train.running.experiment import build_experiment
from ffn_train.running.recording import scalars
from ffn_train.runs import RunError, files, load_run
from ffn_train.runs.layout import read_layout
from ffn_train.runs.status import written_status
from ffn_train.train.instruments import USUAL
from ffn_train.view import run_content
from tests.support.small_runs import config, run_in
from tests.view.test_page import unpacked

DOCUMENT = Path(ffn_train.__file__).parent / "interop" / "README.md"
L = 2
SHAPES = {"embed": (3, 4), "h.0.w": (4, 4), "h.1.w": (4, 4), "head/w": (4, 2)}
ENTROPY = {"name": "entropy", "per": "block", "unit": "nats", "log": False, "every": 2}
PROBE = {"name": "probe", "per": "run", "needs": ["update"]}
DEAD = {"name": "dead_share", "absent": "tanh does not rectify"}


def begin(path: Path, **changes: Any) -> Recorder:
    quantities = ["weight_norm", "signal_gradient_rms", PROBE, DEAD, ENTROPY]
    given = {"tensors": SHAPES, "blocks": ["h.0", "h.1"], "quantities": quantities}
    return ffn_train.record(path, **{**given, "config": {"seed": 3, "norm": "pre"}, **changes})


def measures(step: int) -> dict[str, Any]:
    values: dict[str, Any] = {"probe": float(step)} if step < 8 else {}
    values["weight_norm"] = dict.fromkeys(SHAPES, 1.0 + step)
    values["signal_gradient_rms"] = np.arange(1.0, L + 2)
    return values | ({"entropy": [0.5, math.nan]} if step % 2 == 0 else {})


def fill(run: Recorder, first: int = 0, last: int = 8) -> None:
    for step in range(first, last + 1):
        run.log(step, {"loss": 2.0 / (step + 1), "lr": 0.1}, measures(step))


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    with begin(tmp_path / "recorded") as run:
        fill(run)
    return run.path


def test_the_files_are_those_of_a_run_of_this_package(tmp_path: Path) -> None:
    settings = config()
    ours = run_in(tmp_path / "ours", settings)
    experiment = build_experiment(settings)
    trainer, columns = experiment.trainer, list(ours.scalars)[1:]
    layout, weights = ours.measures.layout, {}
    with ffn_train.record(
        tmp_path / "theirs",
        tensors={tensor.name: tensor.shape for tensor in layout.tensors},
        blocks=[f"blocks.{block}" for block in range(layout.depth)],
        quantities=USUAL,
        scalars=columns,
    ) as run:
        state = trainer.start(experiment.params)
        for record in trainer.fit(state):
            row = {name: value for name, value in scalars(record).items() if value is not None}
            run.log(int(row.pop("step")), row, record.measures)
        weights = experiment.model.layout.named(state.params.vector)
        run.save_weights(weights)
    for name in (files.SCALARS, files.MEASURES, files.WEIGHTS):
        assert (run.path / name).read_bytes() == (ours.path / name).read_bytes(), name
    theirs = load_run(run.path)
    for kind in ("tensors", "quantities"):
        assert getattr(theirs.measures.layout, kind) == getattr(layout, kind)
    assert theirs.summary is not None
    assert ours.summary is not None
    assert theirs.summary.train_loss == ours.summary.train_loss
    assert set(theirs.weights()) == set(weights)


def test_a_recorded_run_is_read_drawn_compared_and_judged(recorded: Path) -> None:
    run, notes = load_run(recorded), list[str]()
    assert run.measures.layers == ("embed", "h.0", "h.1", "head")
    assert run.measures["entropy"].step.tolist() == [0, 2, 4, 6, 8]
    assert run.measures["probe"].step.tolist() == [*range(8)]
    assert run.measures.lacks("dead_share") == "does not apply: tanh does not rectify"
    assert math.isnan(run.measures["entropy"].values[0, 1])
    assert run.summary is not None
    assert [finding.kind for finding in run.summary.verdict] == ["healthy"]
    assert run.provenance.parameters == 12 + 16 + 16 + 8
    drawn = {path.stem for path in draw(run, formats=["svg"], notify=notes.append)}
    assert {"loss", "entropy", "probe"} <= drawn
    comparison = collect([recorded], Options(metric="gradient_ratio_end"), notes.append)
    assert comparison.cases[0].settings["norm"] == "pre"
    assert comparison.cases[0].metrics["gradient_ratio_end"] == pytest.approx(1 / 3)


def test_what_is_shown_has_file_names_in_place_of_absolute_paths(tmp_path: Path) -> None:
    paths: list[Path] = []
    for folder in ("alices", "bobs"):
        given = {"rows": f"/home/{folder}/me/rows.csv", "more": [f"/home/{folder}/more.csv", 3]}
        with begin(tmp_path / f"run{len(paths)}", config={**given, "column": "/word"}) as run:
            fill(run)
        paths.append(run.path)
    read = load_run(paths[0])
    settings = {*run_content(read)[0]["settings"]}
    assert settings >= {("rows", "rows.csv"), ("more", '["more.csv", 3]'), ("column", "/word")}
    comparison = collect(paths, Options(by=["rows"]), print)
    drawn = draw(read, figures=["loss"], formats=["svg"])
    drawn += write_figures(comparison, tmp_path / "figures", ["svg"])
    for text in (html(comparison), *(path.read_text() for path in drawn)):
        assert "rows.csv" in text
        assert not re.search("alices|bobs", text)
    assert shown([config["rows"] for config in (read.config, load_run(paths[1]).config)]) == [
        "rows.csv (1)",
        "rows.csv (2)",
    ]


def test_a_score_of_ones_own_is_judged(tmp_path: Path) -> None:
    score = {"name": "accuracy", "symbol": "accuracy", "better": "higher", "perfect": 1}
    score |= {"no_skill": 0.1, "trivial": "guessing"}
    with begin(tmp_path / "run", scalars=["loss", "validation_score"], score=score) as run:
        for step in range(3):
            run.log(step, {"loss": 1.0, "validation_score": 0.1 + 0.4 * step})
    summary = load_run(run.path).summary
    assert summary is not None
    assert summary.verdict[0].text.startswith("yes: accuracy 0.9 on the validation rows; guessing")


@pytest.fixture
def lost(tmp_path: Path) -> Path:
    """A run whose validation was never computed at odd steps and not finite from step 4 on."""
    score = {"name": "accuracy", "symbol": "accuracy", "better": "higher", "perfect": 1}
    columns = ["loss", "lr", "validation_loss", "validation_score", "gradient_norm"]
    with begin(tmp_path / "lost", scalars=columns, score={**score, "no_skill": 0.1}) as run:
        for step in range(8):
            known = {"validation_loss": 0.5, "validation_score": 0.9} if step < 4 else {}
            known = known or dict.fromkeys(("validation_loss", "validation_score"), math.nan)
            row = {"loss": 1.0, "gradient_norm": math.nan if step == 2 else math.inf}
            run.log(step, row | (known if step % 2 == 0 else {}), measures(step))
    return run.path


def test_the_last_value_is_reported_even_if_it_is_not_finite(lost: Path) -> None:
    run = load_run(lost)
    assert run.summary is not None
    assert run.summary.score is not None
    assert math.isnan(run.summary.validation_loss or 0)
    assert math.isnan(run.summary.score.value or 0)
    assert (run.summary.score.best, run.summary.best_validation_loss) == (0.9, 0.5)
    assert math.isnan(Evidence(run).skill)
    assert [finding.kind for finding in run.summary.verdict][:1] == ["cannot tell"]


def test_a_value_that_is_not_finite_and_none_stay_apart(lost: Path) -> None:
    run = load_run(lost)
    rows = list(csv.DictReader(as_csv(table(run)).decode().splitlines()))
    seen: dict[str, dict[int, str]] = {
        name: {} for name in ("validation_loss", "gradient_norm", "lr")
    }
    for row in rows:
        if row["quantity"] in seen:
            seen[row["quantity"]][int(row["step"])] = row["value"]
    assert seen["validation_loss"] == {0: "0.5", 2: "0.5", 4: "nan", 6: "nan"}
    assert seen["gradient_norm"] == {**dict.fromkeys(range(8), "inf"), 2: "nan"}
    assert seen["lr"] == {}
    header, texts = run_content(run)
    page = {column["name"]: unpacked(column["x"], texts).tolist() for column in header["scalars"]}
    assert page["validation_loss"] == [0, 2, 4, 6]
    assert page["gradient_norm"] == [*range(8)]
    (axes,) = figure(run, "loss").axes
    (crosses,) = (line for line in axes.get_lines() if line.get_label() == "not finite")
    assert np.asarray(crosses.get_xdata()).tolist() == [4, 6]
    comparison = collect([lost], Options(metric="validation_loss"), print)
    case = comparison.cases[0]
    assert case.traces is not None
    assert case.traces.curves["validation_loss"][0].tolist() == [0, 2, 4, 6]
    assert math.isnan(case.metrics["validation_loss"])
    assert loss_curves.draw(comparison) is not None


def test_quantities_without_a_row_are_read(tmp_path: Path) -> None:
    with begin(tmp_path / "run") as run:
        run.log(0, {"loss": 1.0})
    read = load_run(run.path)
    assert ffn_train.load_run(run.path).frame("signal_gradient_rms").shape == (0, L + 1)
    assert table(read)["quantity"] == ["loss"]


def test_a_last_row_without_validation_is_not_one_that_is_lost(tmp_path: Path) -> None:
    with begin(tmp_path / "run", scalars=["loss", "lr", "validation_loss"]) as run:
        run.log(0, {"loss": 1.0, "lr": 0.1, "validation_loss": 0.5})
        run.log(1, {"loss": 0.5})
    read = load_run(run.path)
    assert read.summary is not None
    assert read.summary.validation_loss == 0.5


def test_a_flow_is_told_with_the_steps_at_which_it_was_measured(tmp_path: Path) -> None:
    with begin(tmp_path / "run", quantities=["signal_gradient_rms"]) as run:
        for step in range(1, 9):
            measured = {"signal_gradient_rms": [1, 2, 4]} if step % 3 == 0 else {}
            run.log(step, {"loss": 1.0}, measured)
    told = report(load_run(run.path))
    assert "|dL/dx_0| / |dL/dx_L|  0.25 at step 3   0.25 at step 6\n" in told
    assert "block's gradient at step 3, 0.25 times at step 6" in told


@pytest.mark.parametrize(
    ("better", "declared", "value", "kind", "says"),
    [
        ("lower", {}, 3.8, "cannot tell", "3.8 on the validation rows, but what guessing has is"),
        ("lower", {"perfect": 0}, 3.8, "cannot tell", "but what guessing has is not known"),
        ("higher", {"perfect": 1}, 0.0, "cannot tell", "but what guessing has is not known"),
        ("higher", {"no_skill": math.nan}, 0.5, "cannot tell", "but what guessing has is"),
        ("higher", {"no_skill": 0.5}, 0.5, "no", "no better than guessing"),
        ("higher", {"no_skill": 0.5}, 0.5001, "no", "hardly better than guessing"),
        ("lower", {"no_skill": 0.5}, 0.4999, "no", "hardly better than guessing"),
        ("higher", {"no_skill": 0.5}, 0.9, "yes", "0.9 on the validation rows; guessing has 0.5"),
        ("lower", {"no_skill": 0.5}, 0.1, "yes", "0.1 on the validation rows; guessing has 0.5"),
        ("higher", {"no_skill": -2.0}, -1.0, "yes", "guessing has -2"),
        ("higher", {"no_skill": -2.0}, -1.9, "no", "hardly: it -1.9 on the validation rows; gu"),
        ("lower", {"no_skill": 0.0}, 0.1, "no", "worse than guessing"),
        ("lower", {"no_skill": 0.0}, 0.0, "no", "no better than guessing"),
        ("higher", {"no_skill": 0.0}, 0.1, "cannot tell", "needs a perfect score (perfect)"),
    ],
)
def test_what_a_score_does_not_declare_is_not_taken_for_learning(
    better: str, declared: dict[str, float], value: float, kind: str, says: str, tmp_path: Path
) -> None:
    score = {"name": "it", "symbol": "it", "better": better, "trivial": "guessing", **declared}
    with begin(tmp_path / "run", scalars=["loss", "validation_score"], score=score) as run:
        run.log(0, {"loss": 1.0, "validation_score": value})
    summary = load_run(run.path).summary
    assert summary is not None
    assert summary.verdict[0].kind == kind
    assert says in summary.verdict[0].text


@pytest.mark.parametrize(
    ("error", "loss", "state"),
    [
        (None, 1.0, "finished"),
        (None, math.inf, "diverged"),
        (ZeroDivisionError("mine"), 1.0, "failed"),
        (KeyboardInterrupt(), 1.0, "interrupted"),
    ],
)
def test_how_a_loop_ends_is_the_runs_state(
    error: BaseException | None, loss: float, state: str, tmp_path: Path
) -> None:
    ENDS.clear()
    try:
        with begin(tmp_path / "run", logger=Ending()) as run:
            fill(run)
            run.log(9, {"loss": loss})
            assert load_run(run.path).state == "running"
            if error is not None:
                raise error
    except (ZeroDivisionError, KeyboardInterrupt) as raised:
        assert raised is error
    assert load_run(run.path).state == state
    assert (load_run(run.path).summary is None) == (error is not None)
    with pytest.raises(SettingError, match="is closed"):
        run.log(10, {"loss": 1.0})
    with pytest.raises(SettingError, match="is closed: no weights can follow"):
        run.save_weights({name: np.ones(shape) for name, shape in SHAPES.items()})
    assert not (run.path / files.WEIGHTS).exists()
    assert [state] == ENDS


def test_without_a_row_a_run_has_failed(tmp_path: Path) -> None:
    ENDS.clear()
    with begin(tmp_path / "run", logger=Ending()) as run:
        pass
    status = written_status(run.path)
    assert status is not None
    assert (status.state, status.reason) == ("failed", "no step was logged")
    assert ENDS == ["failed"]


def test_an_interrupted_run_goes_on_at_any_step(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "broken"

    def interrupted() -> None:
        with begin(path) as run:
            fill(run, last=6)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with begin(path, first=5) as run:
        fill(run, first=5)
    for name in (files.SCALARS, files.MEASURES, "measures-2.npy", files.LAYOUT):
        assert (path / name).read_bytes() == (recorded / name).read_bytes(), name
    assert load_run(path).state == "finished"


def test_an_altered_file_is_noticed(recorded: Path) -> None:
    path = recorded / files.SCALARS
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(RunError, match=r"scalars\.csv: it is not what the run wrote"):
        load_run(recorded)


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(SettingError, match="path must be a path, got None"):
        begin(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": []}, "at least one block"),
        ({"blocks": ["h.0", "h.0"]}, "each once"),
        ({"blocks": ["h.0", "h.7"]}, "no tensor belongs to h.7"),
        ({"blocks": "g.*"}, "no tensor's name begins so"),
        (
            {"tensors": {"h.0.w": (4, -1), "h.1.w": ()}},
            r"h.0.w'\] must be an integer",
        ),
        ({"tensors": None}, "tensors must be a mapping from names to arrays or shapes, got None"),
        ({"tensors": {1: (3,)}}, "tensors: a name must be text, got 1"),
        ({"tensors": {**SHAPES, "h.0.b": 3}}, r"h.0.b'\] must be an array or a shape, got 3"),
        ({"blocks": None}, "blocks must be a list, got None"),
        ({"blocks": [0, 1]}, "blocks: a name must be text, got 0"),
        ({"quantities": 3}, "quantities must be a list, got 3"),
        (
            {"quantities": [("a", "b")]},
            r"quantities: each must be a name or a mapping, got \('a', ",
        ),
        ({"quantities": ["weight_nrom"]}, "did you mean weight_norm"),
        ({"quantities": ["weight_norm", "weight_norm"]}, "weight_norm is given twice"),
        ({"quantities": [{"name": "a", "per": "layer"}]}, "per of a must be one of tensor"),
        ({"quantities": [{"name": "../a", "per": "run"}]}, "letters, digits and underscores"),
        ({"quantities": [{"name": "loss", "per": "run"}]}, "stands for something else"),
        ({"quantities": [{"name": "a", "per": "run", "colour": 1}]}, "a key of a declaration"),
        ({"quantities": [{"name": "a", "per": "run", "unit": 1}]}, r"a\.unit is of the wrong"),
        (
            {"quantities": [{"name": "a", "per": "run", "every": 0}]},
            "every of a must be an",
        ),
        (
            {"quantities": [{**PROBE, "needs": "update"}]},
            "needs of probe must be a list, got 'update'",
        ),
        (
            {"quantities": [{**PROBE, "needs": ["updat"]}]},
            "needs of probe must be one of .*; did you mean update",
        ),
        ({"scalars": None}, "scalars must be a list, got None"),
        ({"scalars": ["lr"]}, "must have loss among them"),
        ({"scalars": ["loss", "a,b"]}, "letters, digits and underscores"),
        ({"config": {"lr": math.nan}}, "config must hold numbers"),
        ({"config": {"a": object()}}, "config must hold numbers"),
        ({"dtype": "float16"}, "dtype must be one of float32, float64"),
        ({"score": {"name": "accuracy"}}, r"score\.symbol is missing"),
        ({"score": "accuracy"}, "score must be a mapping, got 'accuracy'"),
        ({"score": {"prefect": 1}}, "score: a key must be one of .*; did you mean perfect"),
        ({"first": 3}, "holds no run to continue"),
        ({"baseline_loss": "0.5"}, "baseline_loss must be one number, got '0.5'"),
        ({"baseline_loss": math.nan}, "baseline_loss must be a finite number, got nan"),
        ({"baseline_loss": math.inf}, "baseline_loss must be a finite number, got inf"),
        ({"loss_unit": 5}, "loss_unit must be text, got 5"),
        ({"logger": "csv"}, "logger must be a Logger of ffn_train.parts, got 'csv'"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=message):
        begin(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_a_directory_without_a_row_is_begun_anew(recorded: Path, tmp_path: Path) -> None:
    path = tmp_path / "tried"
    with (
        pytest.raises(ZeroDivisionError),
        begin(path, scalars=["loss"], quantities=["weight_norm"]),
    ):
        raise ZeroDivisionError
    with begin(path) as run:
        fill(run)
    for name in (files.SCALARS, files.MEASURES, "measures-2.npy", files.LAYOUT):
        assert (path / name).read_bytes() == (recorded / name).read_bytes(), name
    assert load_run(path).state == "finished"


def test_what_is_declared_is_read_again(tmp_path: Path) -> None:
    with begin(tmp_path / "run", baseline_loss=np.float32(0.5), config={"seed": True}) as run:
        fill(run)
    provenance = load_run(run.path).provenance
    assert provenance.baseline_loss == 0.5
    assert provenance.seed is None


def test_a_directory_that_holds_something_else_is_refused(recorded: Path, tmp_path: Path) -> None:
    for changes, message in (
        ({}, "first=STEP continues it"),
        ({"first": 2, "config": {"norm": "post"}}, 'norm="pre" there, "post" here'),
        ({"first": 2, "scalars": ["loss"]}, "other tensors, blocks, quantities or scalars"),
        ({"first": 2, "logger": "csv"}, "must be a Logger"),
    ):
        with pytest.raises(SettingError, match=message):
            begin(recorded, **changes)
    assert load_run(recorded).state == "finished"
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SettingError, match="holds no recorded run"):
        begin(tmp_path)
    assert not (tmp_path / files.LOCK).exists()
    with begin(tmp_path / "busy") as run:
        fill(run)
        for first in (0, 1):
            with pytest.raises(SettingError, match="in use by another run of this process"):
                begin(tmp_path / "busy", first=first)


@pytest.mark.parametrize(
    ("step", "row", "values", "message"),
    [
        (1, {"loss": 1.0}, {}, "step=1 is not after the last one: 2 may come next"),
        (2, {"lr": 1.0}, {}, "the loss of step 2 is missing"),
        (2, {"loss": 1.0, "los": 1.0}, {}, "scalars must be one of loss, lr"),
        (2, {"loss": 1.0}, {"signal_rms": 1.0}, "measures must be one of weight_norm"),
        (2, {"loss": 1.0}, {"dead_share": [0, 0]}, "measures must be one of weight_norm"),
        (2, {"loss": 1.0}, {"probe": 1.0}, "weight_norm of step 2 is missing"),
        (2, {"loss": 1.0}, {"entropy": [1.0]}, r"per block, has the shape \(2,\), got \(1,\)"),
        (2, {"loss": 1.0}, {"weight_norm": {"embed": 1.0}}, r"weight_norm of h\.0\.w is missing"),
        (2, {"loss": None}, {}, "loss of step 2 must be one number, got None"),
        (2, {"loss": np.zeros(3)}, {}, r"loss of step 2 must .* got an array of the shape \(3,\)"),
        (2, {"loss": 1.0, "lr": "0.1"}, {}, "lr of step 2 must be one number, got '0.1'"),
        (2, {"loss": 1.0}, {"entropy": ["high", "low"]}, "entropy does not hold numbers: could"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(
    step: int, row: dict[str, Any], values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with begin(tmp_path / "run") as run:
        fill(run, last=1)
        with pytest.raises(SettingError, match=message):
            run.log(step, row, values)
        fill(run, first=2)
        with pytest.raises(SettingError, match="probe of step 8 is missing, so that step 9"):
            run.log(9, {"loss": 1.0}, measures(9))
        with pytest.raises(SettingError, match=r"weights: embed is missing"):
            run.save_weights({})
    assert load_run(run.path).state == "finished"


class Listener(Logger):
    """Remembers what it is given, and fails at a step."""

    name = "listener"

    def log(self, step: int, scalars: Mapping[str, float], measures: Mapping[str, Any]) -> None:
        if step == 3:
            raise OSError("no network")
        HEARD.append((step, dict(scalars), sorted(measures)))


HEARD: list[tuple[int, dict[str, float], list[str]]] = []


class Ending(Logger):
    """Remembers how runs ended."""

    name = "ending"

    def log(self, step: int, scalars: Mapping[str, float], measures: Mapping[str, Any]) -> None:
        pass

    def close(self, state: str) -> None:
        ENDS.append(state)


ENDS: list[str] = []


def test_a_logger_hears_each_row_and_cannot_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with begin(tmp_path / "run", logger=Listener()) as run:
        fill(run)
    names = ["entropy", "probe", "signal_gradient_rms", "weight_norm"]
    assert HEARD[0] == (0, {"loss": 2.0, "lr": 0.1}, names)
    assert [step for step, *_ in HEARD] == [0, 1, 2]
    assert "logger=listener failed in log and is not called again" in capsys.readouterr().err
    assert load_run(run.path).state == "finished"


def test_a_logger_hears_nan_and_nothing_of_what_was_not_computed(tmp_path: Path) -> None:
    columns = ["loss", "lr", "validation_loss"]
    with begin(tmp_path / "run", scalars=columns, logger=Listener()) as run:
        run.log(0, {"loss": 1.0, "validation_loss": math.nan})
    assert sorted(HEARD[-1][1]) == ["loss", "validation_loss"]


def test_training_into_a_recorded_directory_is_refused(recorded: Path) -> None:
    with pytest.raises(SettingError, match="holds another run"):
        run_in(recorded, config())
    assert json.loads((recorded / files.STATUS).read_text())["state"] == "finished"


def test_arrays_may_take_the_place_of_shapes_and_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    W = {name: rng.normal(size=shape).astype("f4") for name, shape in SHAPES.items()}
    signals = rng.normal(size=(L + 1, 5, 4))
    quantities = ["weight_norm", "signal_rms"]
    with ffn_train.record(tmp_path, tensors=W, blocks="h.*", quantities=quantities) as run:
        run.log(0, {"loss": 1.0}, {"weight_norm": W, "signal_rms": signals})
        series = pd.Series({name: float(np.linalg.norm(W[name])) for name in sorted(W)[::-1]})
        run.log(1, {"loss": 1.0}, {"weight_norm": series, "signal_rms": signals})
    read = load_run(tmp_path)
    assert [(tensor.name, tensor.block) for tensor in read_layout(tmp_path).tensors] == [
        ("embed", None),
        ("h.0.w", 0),
        ("h.1.w", 1),
        ("head/w", None),
    ]
    assert read.provenance.dtype == "float32"
    norms = [np.sqrt(np.sum(array.astype("f8") ** 2)) for array in W.values()]
    np.testing.assert_allclose(read.measures["weight_norm"].values, [norms] * 2, rtol=1e-6)
    rms = np.sqrt(np.mean(signals**2, axis=(1, 2)))
    np.testing.assert_allclose(read.measures["signal_rms"].values[0], rms)


def test_numbers_and_arrays_far_from_1_keep_their_size(tmp_path: Path) -> None:
    numbers = {"gradient_norm": [1e-170, 3e-200, 0.0, 1e200], "signal_rms": [1e-200, 1e-170, 1e200]}
    arrays = {name: np.full(shape, 1e-200) for name, shape in SHAPES.items()}
    signals = [np.full((5, 4), 1e200), np.full((5, 4), 5e-324), np.zeros((0, 4))]
    with begin(tmp_path / "run", quantities=[*numbers]) as run:
        run.log(0, {"loss": 1.0}, numbers)
        run.log(1, {"loss": 1.0}, {"gradient_norm": arrays, "signal_rms": signals})
    measured = load_run(run.path).measures
    for name, values in numbers.items():
        assert measured[name].values[0].tolist() == values
    sizes = [math.prod(shape) for shape in SHAPES.values()]
    np.testing.assert_allclose(measured["gradient_norm"].values[1], 1e-200 * np.sqrt(sizes))
    np.testing.assert_allclose(measured["signal_rms"].values[1], [1e200, 5e-324, math.nan])


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_numbers_count_by_their_size_or_are_refused(dtype: Any, tmp_path: Path) -> None:
    W = {name: np.full(shape, 3 + 4j, dtype) for name, shape in SHAPES.items()}
    signals = np.full((L + 1, 5, 4), -2j, dtype)
    quantities = ["weight_norm", "signal_rms", PROBE]
    values: dict[str, Any] = {"weight_norm": W, "signal_rms": signals, "probe": 1.0}
    with begin(tmp_path / "run", tensors=W, quantities=quantities) as run:
        run.log(0, {"loss": 1.0}, values)
        for row, changed, message in (
            ({"loss": 1.0}, {"probe": dtype(1j)}, "probe does not hold numbers: they are complex"),
            ({"loss": dtype(1j)}, {}, "loss of step 1 must be one number"),
        ):
            with pytest.raises(SettingError, match=message):
                run.log(1, row, {**values, **changed})
        with pytest.raises(SettingError, match="weights: embed is complex"):
            run.save_weights(W)
    read = load_run(run.path)
    sizes = [5 * math.sqrt(math.prod(shape)) for shape in SHAPES.values()]
    np.testing.assert_allclose(read.measures["weight_norm"].values[0], sizes)
    np.testing.assert_allclose(read.measures["signal_rms"].values[0], 2.0)
    assert read.provenance.dtype == ("float64" if dtype == np.complex128 else "float32")


def test_weights_of_any_numbers_are_read_again(tmp_path: Path) -> None:
    class Traced:  # as a tensor of PyTorch that needs its gradient
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise RuntimeError("it has no array")

    W = {name: np.full(shape, 0.5, np.longdouble) for name, shape in SHAPES.items()}
    with begin(tmp_path / "run") as run:
        run.log(0, {"loss": 1.0})
        with pytest.raises(SettingError, match="weights: embed does not hold numbers: it has no"):
            run.save_weights({**W, "embed": Traced()})
        run.save_weights(W)
    for array in load_run(run.path).weights().values():
        assert array.dtype == np.float64
        assert (array == 0.5).all()


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    config = {"width": np.int64(3), "rate": np.float32(0.5), "seed": np.int32(4), "on": np.True_}
    entropy = {**ENTROPY, "every": np.int64(2)}
    for first in (np.int64(0), np.int64(4)):
        with begin(tmp_path / "run", config=config, quantities=[entropy], first=first) as run:
            for step in np.arange(first, 5):
                run.log(step, {"loss": 1.0}, {"entropy": [0.5, 1]} if step % 2 == 0 else {})
    read = load_run(run.path)
    assert read.config == {"width": 3, "rate": 0.5, "seed": 4, "on": True}
    assert read.provenance.seed == 4
    assert read.scalars["step"].tolist() == [*range(5)]
    assert read.measures["entropy"].step.tolist() == [0, 2, 4]


@dataclass
class Foreign:
    """A tensor of a library that has dtypes of its own."""

    shape: tuple[int, ...]
    dtype: str


@pytest.mark.parametrize(
    ("dtype", "recorded"),
    [
        ("torch.float64", "float64"),
        ("<dtype: 'float64'>", "float64"),
        ("torch.bfloat16", "float32"),
    ],
)
def test_the_range_of_numbers_is_that_of_the_tensors(
    dtype: str, recorded: str, tmp_path: Path
) -> None:
    tensors = {name: Foreign(shape, dtype) for name, shape in SHAPES.items()}
    with begin(tmp_path / "run", tensors=tensors) as run:
        run.log(0, {"loss": 1.0})
    assert load_run(run.path).provenance.dtype == recorded


@pytest.mark.parametrize("library", ["numpy", "jax"])
def test_the_examples_have_20_lines(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library == "jax":
        pytest.importorskip("jax", reason="JAX is not installed (extra 'peers')")
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S)
    (code,) = (snippet for snippet in snippets if f"outputs/{library}" in snippet)
    lines = [line for line in code.splitlines() if line and not line.startswith("#")]
    assert len(lines) <= 20
    (tmp_path / "my_loop.py").write_text(code, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path("my_loop.py")
    run = load_run(f"outputs/{library}")
    assert run.state == "finished"
    assert run.provenance.dtype == ("float32" if library == "jax" else "float64")
    assert run.measures["signal_gradient_rms"].values.shape == (11, 7)
    assert run.scalars["loss"][-1] < run.scalars["loss"][0]
