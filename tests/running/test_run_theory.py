"""What a run says of theory: its file, its worst ratio, its figures; and the command."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from ffn_train.commands.predicted import norm, one_seed, sheet
from ffn_train.commands.theory import main, predictions
from ffn_train.compare.case import relative_gradient
from ffn_train.plots import figure
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.expected import DOES_NOT_HOLD
from ffn_train.plots.predicted import figure as drawn
from ffn_train.report import text as report
from ffn_train.running import expectation
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.theory import Ratio, band
from ffn_train.theory import Prediction, batch
from tests.support.choices import settings
from tests.support.small_runs import NOTES, config, run_in
from tests.support.unsealed import unseal

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
    prediction = theory.predictions["anchored"]
    assert prediction.log_signal_rms[0] == pytest.approx(
        np.log(run.measures["signal_rms"].values[0, 0]), abs=1e-5
    )
    last = np.log(run.measures["signal_gradient_rms"].values[0, -1])
    assert prediction.log_signal_gradient_rms[-1] == pytest.approx(last, abs=1e-5)
    assert theory.predictions["a priori"].log_signal_gradient_rms[-1] != pytest.approx(last)


def test_the_worst_ratio_is_the_one_with_the_largest_z(run: Run) -> None:
    ratio = run.worst_ratio
    assert ratio is not None
    assert run.summary is not None
    assert run.theory is not None
    prediction = run.theory.predictions["anchored"]
    ratios, scores = {}, {}
    for place, size in enumerate(run.measures["signal_gradient_rms"].values[0]):
        name, sd = f"dL/dx_{place}", prediction.signal_gradient_sd[place]
        ratios[name] = size / np.exp(prediction.log_signal_gradient_rms[place])
        scores[name] = (math.log(ratios[name]) + sd**2) / max(sd, 0.01)
    for column, tensor in enumerate(run.measures.tensors):
        if tensor.block is not None:
            size = run.measures["gradient_norm"].values[0, column]
            name, sd = tensor.name, prediction.gradient_sd[column]
            ratios[name] = size / np.exp(prediction.log_gradient_norm[column])
            scores[name] = (math.log(ratios[name]) + sd**2) / max(sd, 0.01)
    worst = max(scores, key=lambda name: abs(scores[name]))
    assert ratio.where == worst
    assert ratio.ratio == pytest.approx(ratios[worst])
    assert run.summary.theory is not None
    assert run.summary.theory.where == worst
    assert ratio.z == run.summary.theory.z == pytest.approx(scores[worst])
    assert run.theory_holds
    words = f"(worst: {worst}, {abs(scores[worst]):.1f} sd of the scatter between seeds)"
    assert words in report.report(run)
    furthest = max(abs(math.log(value)) for value in ratios.values())
    assert ratio.within == pytest.approx(math.exp(furthest))


def test_predictions_are_skipped_if_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError("theory was asked")

    monkeypatch.setattr(expectation, "predict", never)
    monkeypatch.setattr(expectation, "predict_anchored", never)
    run = run_in(tmp_path, config(theory={"predict": False}))
    assert run.theory is not None
    assert run.theory.chosen is None
    assert "theory                 no prediction: theory.predict=false" in report.report(run)


@pytest.mark.parametrize(("slow", "predict", "told"), [(3, True, 1), (3, False, 0), (4, True, 0)])
def test_a_run_whose_theory_takes_long_says_so_where_it_is_computed(
    slow: int, predict: bool, told: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "SLOW", slow)
    monkeypatch.setattr(expectation, "BLOCKS_A_SECOND", 0.1)
    line = "theory takes about 30 s for 3 blocks before the first step; theory.predict=false leaves"

    def notes() -> int:
        NOTES.clear()
        run_in(tmp_path / "run", config(theory={"predict": predict}))
        return sum(note.startswith(line) for note in NOTES)

    assert notes() == told
    assert notes() == 0  # the run has ended


def test_a_theory_that_does_not_hold_is_said_not_to(run: Run) -> None:
    assert run.theory is not None
    prediction = run.theory.predictions["anchored"]
    logs = prediction.log_gradient_norm.copy()
    column = [tensor.name for tensor in run.measures.tensors].index("blocks.1.down.weight")
    logs[column] += 6 * prediction.gradient_sd[column] + 0.3
    wrong = dataclasses.replace(prediction, log_gradient_norm=logs)
    theory = dataclasses.replace(run.theory, predictions={"anchored": wrong})
    doubted = dataclasses.replace(run, theory=theory)
    assert not doubted.theory_holds
    said = "theory does not hold here: blocks.1.down.weight is 0."
    drawn = figure(doubted, "gradient_flow")
    assert any(said in text for text in texts(drawn))
    assert "does not hold here: blocks.1.down.weight is 0." in report.report(doubted)
    labels = {text.get_text() for legend in drawn.legends for text in legend.get_texts()}
    assert DOES_NOT_HOLD in {label.replace("\n", " ") for label in labels}
    bands = [part for part in drawn.axes[0].collections if isinstance(part, PolyCollection)]
    assert all(part.get_hatch() for part in bands)
    assert not any(DOES_NOT_HOLD in text for text in texts(figure(run, "gradient_flow")))


def test_a_sum_that_cancels_down_to_rounding_does_not_judge_theory(tmp_path: Path) -> None:
    """Each block starts as the identity, and inputs and targets of a batch of all rows have a mean
    of 0, so that the errors, whose sum is the gradient of each last bias, have one as well.
    """
    rows = np.random.default_rng(0).normal(size=(100, 3))
    np.savetxt(tmp_path / "rows.csv", rows, delimiter=",", header="a,b,y", comments="")
    table = {**settings("task", "table"), "path": str(tmp_path / "rows.csv"), "target": "y"}
    parts = {"task": table, **chosen(init="fixup", residual="identity")}
    run = run_in(tmp_path / "run", config(trainer={"batch_size": 80}, **parts))
    assert run.theory is not None
    names = [tensor.name for tensor in run.measures.tensors]
    for prediction in run.theory.predictions.values():
        derived = dict(zip(names, np.isfinite(prediction.log_gradient_norm), strict=True))
        assert not derived["blocks.1.down.bias"]
        assert derived["blocks.1.down.weight"]
    assert run.theory_holds


@pytest.mark.parametrize(
    ("z", "ratio", "holds"), [(3.9, 2.0, True), (-4.1, 0.7, False), (9.0, 1.1, True)]
)
def test_theory_fails_beyond_4_sd_and_20_percent(z: float, ratio: float, holds: bool) -> None:
    assert Ratio(ratio, "dL/dx_0", "anchored", 0.1, z).holds == holds


@pytest.mark.parametrize(
    ("ratio", "z", "within", "sentence"),
    [
        (0.95, 1.2, 1.09, "agrees within 9 % at step 0 (worst: X, 1.2 sd of the scatter"),
        (0.95, 1.2, 1.001, "agrees within 1 % at step 0 (worst: X, 1.2 sd of the scatter"),
        (
            0.95,
            1.2,
            1.9,
            "agrees within a factor of 1.9 at step 0 (worst: X, 1.2 sd of the scatter",
        ),
        (
            *(0.616, -1.7, 1721.0),
            "agrees within the scatter between seeds, here up to a factor of 1.7e+03, at step 0 "
            "(worst: X, 0.62 times the prediction, 1.7 sd",
        ),
        (0.8, -1.5, None, "agrees within a factor of 1.2 at step 0 (worst: X, 1.5 sd of"),
        (0.4, -5e3, 9.0, "does not hold here: X is 0.4 times the prediction, more than 1000 sd of"),
    ],
)
def test_the_agreement_in_words(
    ratio: float, z: float, within: float | None, sentence: str
) -> None:
    assert Ratio(ratio, "X", "anchored", 0.1, z, within).sentence.startswith(sentence)


def test_numpy_does_not_warn_of_extremes(tmp_path: Path) -> None:
    """Warnings are errors here."""
    extreme = ["model.depth=300", "residual=identity", "block=swiglu", "init=he", "model.width=8"]
    for more in ([], ["norm=pre_layer"], ["block=feedforward", "activation=tanh"]):
        main([*extreme, *more, "trainer.batch_size=4", "--out", str(tmp_path / "x.svg")])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1.0004, "1.0004"),
        (1 + 4e-9, "1"),
        (0.99962, "0.9996"),
        (1.034, "1.03"),
        (2.5, "2.5"),
    ],
)
def test_a_factor_is_told_from_1(value: float, text: str) -> None:
    assert report.factor(value) == text


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with 20 of the 32 rows of its first batch taken for the prediction."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "ROWS", 20)
        large = config(model=WIDE, trainer={"batch_size": 32})
        return run_in(tmp_path_factory.mktemp("theory") / "sampled", large)


def texts(drawn: Figure) -> list[str]:
    return [text.get_text() for text in drawn.texts]


def test_a_prediction_from_a_part_of_the_batch_says_so(sampled: Run, run: Run) -> None:
    content = json.loads((sampled.path / files.THEORY).read_text())
    assert content["anchored"]["sampled"] == content["a priori"]["sampled"] == [20, 32]
    assert "between seeds); from 20 of 32 rows" in report.report(sampled)
    assert "32 rows" not in report.report(run)
    for name in ("gradient_flow", "signal"):
        said = [text for text in texts(figure(sampled, name)) if "theory from 20 of 32" in text]
        assert len(said) == 1, name
        assert not any("rows" in text for text in texts(figure(run, name)))


def test_a_tensor_without_a_prediction_is_left_out_and_told(sampled: Run) -> None:
    from ffn_train.plots.expected import of_blocks

    assert sampled.theory is not None
    prediction = sampled.theory.predictions["anchored"]
    logs = prediction.log_gradient_norm.copy()
    lost = [tensor.name for tensor in sampled.measures.tensors].index("blocks.1.up.weight")
    logs[lost] = np.nan
    less = dataclasses.replace(prediction, log_gradient_norm=logs)
    whole, _, measured = of_blocks(sampled, prediction)
    part, _, rest = of_blocks(sampled, less)
    assert part[1] < whole[1]
    assert rest[1] ** 2 == pytest.approx(
        measured[1] ** 2 - sampled.measures["gradient_norm"].values[0, lost] ** 2
    )
    theory = dataclasses.replace(sampled.theory, predictions={"anchored": less})
    drawn = figure(dataclasses.replace(sampled, theory=theory), "gradient_flow")
    lines = [axes.lines for axes in drawn.axes if axes.get_title(loc="left").startswith("(a)")]
    (dashed,) = (line for line in lines[0] if line.get_linestyle() == "--")
    assert np.isnan(np.asarray(dashed.get_ydata())).tolist() == [False, True, False]
    mask = [tensor.block is not None for tensor in sampled.measures.tensors]
    missing = int(np.isnan(logs[mask]).sum())
    said = " ".join(texts(drawn))
    assert f"no prediction for the gradients of {missing} of 12 tensors: chance decides" in said
    strips = [axes.get_label() for axes in drawn.axes if axes.get_ylabel() == "meas./pred."]
    assert strips == ["panel 1", "panel 2"]
    page = sheet(*predictions(["model.width=4", "model.depth=16", "residual=none"], swept=False))
    assert re.search(r"none derived(.|\n)*no prediction for the gradients of \d+ of 64 tens", page)


def test_stacked_panels_end_with_the_last_label(sampled: Run) -> None:
    appearance = Appearance(inches=3.5)
    assert figure(sampled, "gradient_flow", appearance).get_tightbbox().y0 < 0.15


def test_where_no_tensor_has_a_prediction_there_is_no_empty_strip(sampled: Run) -> None:
    assert sampled.theory is not None
    prediction = sampled.theory.predictions["anchored"]
    logs = np.full_like(prediction.log_gradient_norm, np.nan)
    nothing = dataclasses.replace(prediction, log_gradient_norm=logs)
    theory = dataclasses.replace(sampled.theory, predictions={"anchored": nothing})
    drawn = figure(dataclasses.replace(sampled, theory=theory), "gradient_flow")
    (strip,) = (axes for axes in drawn.axes if axes.get_ylabel() == "meas./pred.")
    assert strip.get_label() == "panel 2"
    assert drawn.axes[0].get_xlabel() == "block $l$"  # at its own foot, where the strip's is
    assert drawn.axes[0].get_position().y0 == pytest.approx(strip.get_position().y0)


def test_a_run_that_does_not_tell_its_rows_is_read(run: Run, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(run.path, tmp_path / "older")))
    content = json.loads((path / files.THEORY).read_text())
    for mode in ("anchored", "a priori"):
        del content[mode]["sampled"]
    (path / files.THEORY).write_text(json.dumps(content))
    older = load_run(path)
    assert older.theory is not None
    assert older.theory.rows == ""


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
    narrow = {"model": {"width": 4}, **chosen(norm="pre_rms")}
    run = run_in(tmp_path / "run", config(**narrow))
    assert run.theory is not None
    assert "fewer than 5 features" in run.theory.reason
    assert "no prediction: none is for a norm over fewer" in report.report(run)
    texts = [text.get_text() for text in figure(run, "gradient_flow").texts]
    assert any(text.startswith("no prediction:") for text in texts)
    assert len(figure(run, "gradient_flow").axes) == 3


def test_zero_is_predicted_as_zero(tmp_path: Path) -> None:
    run = run_in(tmp_path / "run", config(**chosen(residual="identity", init="fixup")))
    assert run.theory is not None
    text = (run.path / files.THEORY).read_text()
    assert '"-inf"' in text
    names = [tensor.name for tensor in run.measures.tensors]
    column = names.index("blocks.0.up.weight")
    assert run.theory.predictions["anchored"].log_gradient_norm[column] == -np.inf
    assert run.worst_ratio is not None
    assert "down" in run.worst_ratio.where


def test_an_older_run_has_no_theory(run: Run, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(run.path, tmp_path / "old")))
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
        ({"sampled": [3]}, "sampled"),
    ],
)
def test_a_damaged_theory_is_named(
    change: dict[str, Any], message: str, run: Run, tmp_path: Path
) -> None:
    path = unseal(Path(shutil.copytree(run.path, tmp_path / "damaged")))
    content = json.loads((path / files.THEORY).read_text())
    if "sampled" in change:
        change = {"anchored": {**content["anchored"], **change}}
    (path / files.THEORY).write_text(json.dumps({**content, **change}))
    with pytest.raises(RunError, match=message) as caught:
        load_run(path)
    assert "theory.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_figures_show_the_prediction_and_the_ratio(run: Run) -> None:
    drawn = figure(run, "gradient_flow")
    assert run.theory is not None
    prediction = run.theory.predictions["anchored"]
    assert len(drawn.axes) == 5  # two strips below the three panels
    curves = [np.asarray(line.get_ydata()) for line in drawn.axes[1].get_lines()]
    predicted = np.exp(prediction.log_signal_gradient_rms)
    assert any(len(y) == len(predicted) and np.allclose(y, predicted) for y in curves)
    strip = [np.asarray(line.get_ydata()) for line in drawn.axes[4].get_lines()]
    ratio = run.measures["signal_gradient_rms"].values[0] / predicted
    assert any(len(y) == len(ratio) and np.allclose(y, ratio) for y in strip)
    texts = {text.get_text() for legend in drawn.legends for text in legend.get_texts()}
    assert any(text.startswith("this run's\n$x_0$") for text in texts)
    assert len(figure(run, "signal").axes) == 2  # no unit is dead, so there is no panel of them


def test_the_prediction_can_be_hidden(run: Run, tmp_path: Path) -> None:
    path = unseal(Path(shutil.copytree(run.path, tmp_path / "hidden")))
    content = json.loads((path / files.CONFIG).read_text())
    content["plot"]["theory"] = False
    (path / files.CONFIG).write_text(json.dumps(content))
    hidden = load_run(path)
    assert len(figure(hidden, "gradient_flow").axes) == 3
    assert len(figure(hidden, "signal").axes) == 1


def test_the_block_as_a_whole(run: Run) -> None:
    from ffn_train.plots.expected import of_blocks

    assert run.theory is not None
    prediction = run.theory.predictions["anchored"]
    log, sd, measured = of_blocks(run, prediction)
    mask = [tensor.block == 1 for tensor in run.measures.tensors]
    whole = np.sqrt(np.sum(np.exp(2 * prediction.log_gradient_norm[mask])))
    assert log[1] == pytest.approx(np.log(whole))
    assert measured[1] == pytest.approx(
        np.linalg.norm(run.measures["gradient_norm"].values[0, mask])
    )
    assert 0 < sd[1] < 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["model.depth=64", "residual=none", "--out", str(tmp_path / "a" / "one.png")])
    out = capsys.readouterr().out
    assert "(a priori, from 90 of 128 rows)" in out
    assert "growth per block        0.501" in out
    assert "gradient flow           vanishing: the first block gets 1.11e-19 times" in out
    assert "gradient; try residual=scaled\n" in out
    assert "down.weight" in out
    assert (tmp_path / "a" / "one.png").stat().st_size > 10_000


def test_the_command_for_many_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(batch.sample(np.zeros((128, 1)), 300)) == 41
    monkeypatch.setattr(batch, "_ENTRIES", batch._ENTRIES // 2)  # half of the time
    swept = ["-m", "model.depth=4,300", "block=feedforward,swiglu", "init=he", "residual=identity"]
    main([*swept, "--out", str(tmp_path / "many.svg")])
    lines = capsys.readouterr().out.splitlines()
    deep, *remarks = [line for line in lines if line.startswith("depth=300,block=feedforward")]
    assert "e+71" in deep  # 3^(300/2) = 4e71
    assert deep.split()[1] == "exploding"
    assert remarks[0].endswith(": from 29 of 128 rows")
    assert "beyond float32: RMS x_l too large at l = " in remarks[1]
    assert len(remarks) == 2
    assert not any(
        line.startswith("depth=4,block=feedforward") and "rows" in line for line in lines
    )
    assert [line.split(":")[0] for line in lines if "no prediction: none is for gated" in line] == [
        "depth=300,block=swiglu"
    ]
    assert (tmp_path / "many.svg").is_file()


def test_the_command_prints_the_band_that_the_figures_draw() -> None:
    (point,) = predictions(["model.depth=16", "residual=none"], swept=False)
    assert isinstance(point.prediction, Prediction)
    log, sd = point.prediction.log_signal_gradient_rms[0], point.prediction.signal_gradient_sd[0]
    low, high = (float(word) for word in one_seed(log, sd).split(" ... "))
    np.testing.assert_allclose([low, high], band(log, sd), rtol=0.01)
    assert f"{norm(log)}   {one_seed(log, sd)}" in sheet(point)
    assert high / low == pytest.approx(np.exp(2 * sd), rel=0.02)
    assert low * high < np.exp(2 * log)  # the median lies below the mean


def test_long_overrides_have_figures_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["model.depth=2", "model.width=4", "model.expansion=1", "trainer.batch_size=2"]
    for last in ("init.bias_std=0.1", "init.bias_std=0.2"):
        main([*small, "task.rows=10", "activation=tanh", last])
    main(small)
    names = sorted(path.name for path in (tmp_path / "outputs" / "theory").iterdir())
    assert len(names) == 3
    assert "model.depth=2,model.width=4,model.expansion=1,trainer.batch_size=2.png" in names


def test_curves_of_keys_that_end_alike_and_of_both_modes_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []

    def figure(*arguments: Any) -> Any:
        seen.append(arguments)
        return drawn(*arguments)

    monkeypatch.setattr("ffn_train.plots.predicted.figure", figure)
    small = ["model.width=4", "trainer.batch_size=2", f"--out={tmp_path / 'x.png'}", "-m"]
    main([*small, "task=teacher", "task.depth=1,2", "model.depth=2,3", "loss=mse,huber"])
    ((title, _, _, curves),) = seen
    assert title == "Predicted at initialisation, a priori and anchored"
    names = [tuple(sorted(settings.items())) for settings, _ in curves]
    assert len({*names}) == 8
    assert set(curves[0][0]) == {"task.depth", "model.depth", "loss", "predicted"}
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines if "loss=huber" in line] == ["anchored"] * 4


def test_a_norm_that_is_rounded_up_has_a_mantissa_below_10() -> None:
    norms = {9.996e5: "1.00e+06", 1e6: "1.00e+06", 9.994e5: "9.99e+05", 9.996e-6: "1.00e-05"}
    assert {size: norm(math.log(size)) for size in norms} == norms
    assert norm(400 * math.log(10) - 1e-9) == "1.00e+400"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.dept=3"], "model.dept is not a setting; did you mean model.depth?"),
        (["--out", "figure.gif"], "--out must end in one of .png, .svg, .pdf, got figure.gif\n"),
        (["--out", "figure"], "--out must end in one of .png, .svg, .pdf, got figure\n"),
        (["--frobnicate"], "--frobnicate is not an option"),
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
