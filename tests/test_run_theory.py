"""What a run says of theory: its file, its worst ratio, its figures; and the command."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from choices import settings
from runs_for_tests import config, run_in

from ffn_train import expectation, report
from ffn_train.commands.theory import main, norm, one_seed, predictions, sheet
from ffn_train.plots import figure
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.theory import band, relative_gradient
from ffn_train.theory import Prediction

WIDE = {"width": 32, "expansion": 4}


def chosen(**names: str) -> dict[str, Any]:
    return {group: settings(group, name) for group, name in names.items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_in(tmp_path_factory.mktemp("theory") / "run", config(model=WIDE))


def test_a_run_holds_both_modes(run: Run) -> None:
    theory = run.theory
    assert theory is not None
    assert set(theory.predictions) == {"anchored", "a priori"}
    assert theory.chosen is not None
    assert theory.chosen[0] == "anchored"
    found = theory.predictions["anchored"]
    assert found.log_signal_rms[0] == pytest.approx(np.log(run.measures.signal_rms[0, 0]), abs=1e-5)
    last = np.log(run.measures.signal_gradient_rms[0, -1])
    assert found.log_signal_gradient_rms[-1] == pytest.approx(last, abs=1e-5)
    assert theory.predictions["a priori"].log_signal_gradient_rms[-1] != pytest.approx(last)


def test_the_worst_ratio_is_the_one_furthest_from_1(run: Run) -> None:
    ratio = run.worst_ratio
    assert ratio is not None
    assert run.summary is not None
    assert run.theory is not None
    found = run.theory.predictions["anchored"]
    ratios = {}
    for place, size in enumerate(run.measures.signal_gradient_rms[0]):
        ratios[f"dL/dx_{place}"] = size / np.exp(found.log_signal_gradient_rms[place])
    for column, name in enumerate(run.measures.tensors):
        if name.startswith("blocks."):
            size = run.measures.gradient_norm[0, column]
            ratios[name] = size / np.exp(found.log_gradient_norm[column])
    worst = max(ratios, key=lambda name: abs(math.log(ratios[name])))
    assert ratio.where == worst
    assert ratio.ratio == pytest.approx(ratios[worst])
    assert run.summary["theory"]["where"] == worst
    assert f"({worst}, anchored; 1 sd of a seed: x/÷ {math.exp(ratio.sd):.2g})" in report.report(
        run
    )


def test_the_gradient_relative_to_its_end(run: Run) -> None:
    relative = relative_gradient(run.theory)
    assert relative is not None
    log, sd = relative
    assert log[-1] == 0
    assert sd[-1] == 0
    assert (np.diff(sd) <= 1e-12).all()  # it grows on the way back
    low, high = band(log, sd)
    assert (low <= np.exp(log) * 1.0001).all()
    assert (high >= low).all()
    assert relative_gradient(None) is None


def test_a_failing_prediction_does_not_end_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ArithmeticError("no such number\nat all")

    monkeypatch.setattr(expectation, "predict_anchored", fail)
    monkeypatch.setattr(expectation, "predict", fail)
    run = run_in(tmp_path / "run", config())
    assert run.state == "finished"
    assert run.theory is not None
    assert run.theory.chosen is None
    assert run.theory.reason == "ArithmeticError: no such number"
    assert run.worst_ratio is None
    assert "no prediction: ArithmeticError: no such number" in report.report(run)


def test_a_run_without_a_prediction_says_why(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config(**chosen(block="swiglu")))
    assert run.theory is not None
    assert "gated" in run.theory.reason
    assert "no prediction: none is derived for gated blocks" in report.report(run)
    texts = [text.get_text() for text in figure(run, "gradient_flow").texts]
    assert any(text.startswith("no prediction:") for text in texts)
    assert len(figure(run, "gradient_flow").axes) == 3


def test_zero_is_predicted_as_zero(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config(**chosen(residual="identity", init="fixup")))
    assert run.theory is not None
    text = (run.path / files.THEORY).read_text()
    assert '"-inf"' in text
    column = run.measures.tensors.index("blocks.0.up.weight")
    assert run.theory.predictions["anchored"].log_gradient_norm[column] == -np.inf
    assert run.worst_ratio is not None
    assert "down" in run.worst_ratio.where


def test_an_older_run_has_no_theory(run: Run, tmp_path: Path) -> None:
    path = Path(shutil.copytree(run.path, tmp_path / "old"))
    (path / files.THEORY).unlink()
    old = load_run(path)
    assert old.theory is None
    assert len(figure(old, "gradient_flow").axes) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anchored": None}, "anchored"),
        ({"anchored": {}}, "log_signal_rms"),
        ({"a priori": {"log_signal_rms": [0.0]}}, "log_signal_rms"),
    ],
)
def test_a_damaged_theory_is_named(
    change: dict[str, Any], message: str, run: Run, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(run.path, tmp_path / "damaged"))
    content = json.loads((path / files.THEORY).read_text())
    (path / files.THEORY).write_text(json.dumps({**content, **change}))
    with pytest.raises(RunError, match=message) as caught:
        load_run(path)
    assert "theory.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_figures_show_the_prediction_and_the_ratio(run: Run) -> None:
    drawn = figure(run, "gradient_flow")
    assert run.theory is not None
    found = run.theory.predictions["anchored"]
    assert len(drawn.axes) == 5  # two strips below the three panels
    curves = [np.asarray(line.get_ydata()) for line in drawn.axes[1].get_lines()]
    predicted = np.exp(found.log_signal_gradient_rms)
    assert any(len(y) == len(predicted) and np.allclose(y, predicted) for y in curves)
    strip = [np.asarray(line.get_ydata()) for line in drawn.axes[4].get_lines()]
    ratio = run.measures.signal_gradient_rms[0] / predicted
    assert any(len(y) == len(ratio) and np.allclose(y, ratio) for y in strip)
    texts = {text.get_text() for legend in drawn.legends for text in legend.get_texts()}
    assert "anchored" in texts
    assert len(figure(run, "signal").axes) == 3


def test_the_prediction_can_be_hidden(run: Run, tmp_path: Path) -> None:
    path = Path(shutil.copytree(run.path, tmp_path / "hidden"))
    content = json.loads((path / files.CONFIG).read_text())
    content["plot"]["theory"] = False
    (path / files.CONFIG).write_text(json.dumps(content))
    hidden = load_run(path)
    assert len(figure(hidden, "gradient_flow").axes) == 3
    assert len(figure(hidden, "signal").axes) == 2


def test_the_block_as_a_whole(run: Run) -> None:
    from ffn_train.plots.theory import of_blocks

    assert run.theory is not None
    found = run.theory.predictions["anchored"]
    log, sd = of_blocks(run, found)
    own = [name.startswith("blocks.1.") for name in run.measures.tensors]
    whole = np.sqrt(np.sum(np.exp(2 * found.log_gradient_norm[own])))
    assert log[1] == pytest.approx(np.log(whole))
    assert 0 < sd[1] < 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["model.depth=64", "residual=none", "--out", str(tmp_path / "a" / "one.png")])
    out = capsys.readouterr().out
    assert "(a priori)" in out
    assert "growth per block        0.505" in out
    assert "down.weight" in out
    assert (tmp_path / "a" / "one.png").stat().st_size > 10_000


def test_the_command_for_many_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swept = ["-m", "model.depth=4,600", "block=feedforward,swiglu", "init=he", "residual=identity"]
    main([*swept, "activation=relu", "--out", str(tmp_path / "many.svg")])
    lines = capsys.readouterr().out.splitlines()
    (deep,) = [line for line in lines if line.startswith("depth=600,block=feedforward")]
    assert "e+14" in deep  # 3^(600/2) = 1e143
    assert sum("no prediction: none is derived for gated" in line for line in lines) == 2
    assert (tmp_path / "many.svg").is_file()


def test_the_command_prints_the_band_that_the_figures_draw() -> None:
    (point,) = predictions(["model.depth=16", "residual=none"], swept=False)
    assert isinstance(point.found, Prediction)
    log, sd = point.found.log_signal_gradient_rms[0], point.found.signal_gradient_sd[0]
    low, high = (float(word) for word in one_seed(log, sd).split(" ... "))
    np.testing.assert_allclose([low, high], band(log, sd), rtol=0.01)
    assert f"{norm(log)}   {one_seed(log, sd)}" in sheet(point)
    assert high / low == pytest.approx(np.exp(2 * sd), rel=0.02)
    assert low * high < np.exp(2 * log)  # the median lies below the mean


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.dept=3"], "model.dept is not a setting; did you mean model.depth?"),
        (["--out", "figure.gif"], "--out must be one of png, svg, pdf, got 'gif'"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["residual=rezero", "norm=post_layer"], "residual=rezero needs"),
    ],
)
def test_the_command_refuses_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_the_command_anchors_other_losses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["loss=huber", "model.depth=2", "--out", str(tmp_path / "huber.png")])
    assert "(anchored)" in capsys.readouterr().out
