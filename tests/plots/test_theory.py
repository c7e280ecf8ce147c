"""Predictions in a run's figures, and alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba

from ffn_train.plots import figure, points, predicted
from ffn_train.plots.style import INK, look
from ffn_train.runs.theory import Theory
from tests.plots.made_up import (
    constant,
    curves,
    labels,
    lost,
    make_run,
    prediction,
    zeros_of,
)


def test_the_prediction_sets_the_scale_where_nothing_measured_is_finite(tmp_path: Path) -> None:
    run = make_run(tmp_path, spoil=lost)
    predictions = constant(4, len(run.measures.tensors), signal=2, gradient=200)
    run = replace(run, theory=Theory({"anchored": predictions}, {}))
    parameters, signal, *_ = figure(run, "gradient_flow").axes
    low, high = parameters.get_ylim()
    assert low < np.exp(200) < high
    assert [text.get_text() for text in parameters.texts] == ["nothing measured is finite"]
    assert not signal.texts


def test_the_scale_holds_the_band_too_unless_that_flattens_what_was_measured(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path)
    measured = float(np.log(run.measures["signal_gradient_rms"].values[0]).mean())

    def scales(off: float) -> tuple[tuple[float, float], ...]:
        predictions = constant(4, len(run.measures.tensors), signal=measured + off)
        theory = Theory({"anchored": predictions}, {})
        _, signal, parts, *_ = figure(replace(run, theory=theory), "gradient_flow").axes
        return signal.get_ylim(), parts.get_ylim()

    usual, _ = scales(0)
    for off in (-3.0, 3.0):
        (low, high), parts = scales(off)
        assert low < np.exp(measured + off) < high
        assert parts == (low, high)
    assert scales(100)[0][1] < (usual[1] / usual[0]) ** 1.2 * usual[1]


def test_a_measured_zero_is_marked_in_the_strip_too(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["signal_gradient_rms"][:2] = 0

    run = make_run(tmp_path, spoil=spoil)
    predictions = constant(4, len(run.measures.tensors))
    run = replace(run, theory=Theory({"anchored": predictions}, {}))
    axes = figure(run, "gradient_flow").axes
    assert zeros_of(axes[1]) == zeros_of(axes[4]) == [0, 1]


def test_a_prediction_beyond_float64_is_drawn() -> None:
    forecast = prediction(1000, 2.0)  # exp(2000) = 10^868
    left, right = predicted.figure("", "", "", [({}, forecast)]).axes
    for axes, log in ((left, forecast.log_signal_rms), (right, forecast.log_signal_gradient_rms)):
        low, high = axes.get_ylim()
        assert low < 0
        assert high > 868
        _, y = curves(axes)[0]
        np.testing.assert_allclose(y, log / np.log(10))
        ticks = [label.get_text() for label in axes.get_yticklabels()]
        assert ticks == ["1", "$10^{200}$", "$10^{400}$", "$10^{600}$", "$10^{800}$"]


def test_a_prediction_of_zero_is_marked() -> None:
    forecast = prediction(4, 0.5)
    forecast.log_signal_rms[2:] = -np.inf
    left, _ = predicted.figure("", "", "", [({}, forecast)]).axes
    assert zeros_of(left) == [2, 3, 4]


def test_six_predictions_are_told_apart() -> None:
    settings = [{"residual": r, "depth": d} for d in ("8", "64", "16") for r in ("none", "scaled")]
    looks, groups = points.looks(settings)
    colours = {s["depth"]: to_rgba(look["color"]) for s, look in zip(settings, looks, strict=True)}
    dashes = {s["residual"]: look["linestyle"] for s, look in zip(settings, looks, strict=True)}
    assert len(set(colours.values())) == 3
    assert dashes["none"] != dashes["scaled"]
    lightness = [sum(colours[depth][:3]) for depth in ("8", "16", "64")]
    assert lightness == sorted(lightness)
    legends = [
        (title, [str(handle.get_label()) for handle in handles]) for title, handles in groups
    ]
    assert legends == [("depth", ["8", "16", "64"]), ("residual", ["none", "scaled"])]
    drawn = predicted.figure("", "", "", [(s, prediction(int(s["depth"]), 0.1)) for s in settings])
    assert {"8", "16", "64", "none", "scaled", "one seed, ±1 sd"} <= labels(drawn)


def test_looks_of_many_settings_stay_apart() -> None:
    settings = [
        {"lr": str(lr), "residual": r, "init": i, "seed": "0"}
        for lr in range(30)
        for r in ("none", "identity", "scaled")
        for i in "abcdefgh"
    ]
    looks, groups = points.looks(settings)
    kinds = {(str(look["linestyle"]), look.get("marker"), to_rgba(look["color"])) for look in looks}
    assert len(kinds) == len(settings)
    assert [title for title, _ in groups] == ["lr", "residual, init"]
    assert len(groups[0][1]) <= 8
    assert points.looks([{"seed": "0"}]) == ([{"color": INK}], [])
    assert points.looks([{}, {}])[1] == []


def test_words_of_settings_are_shown_as_they_are_and_in_brief() -> None:
    settings = [{"target": word} for word in ("$a_b$", "c" * 60 + "1", "c" * 60 + "2")]
    _, [(_, handles)] = points.looks(settings)
    first, *others = (str(handle.get_label()) for handle in handles)
    assert first == r"\$a_b\$"
    assert max(map(len, others)) < 30
    assert len(set(others)) == 2


def test_the_band_of_a_prediction_lies_on_the_axis() -> None:
    narrow, wide = (
        replace(prediction(4, 0.1), signal_gradient_sd=np.full(5, sd)) for sd in (0.2, 1.0)
    )
    for each, less in ((narrow, 0), (wide, 1.0**2 + 1.0)):
        _, axes = predicted.figure("", "", "", [({}, each)]).axes
        assert axes.get_ylim()[0] < -less / np.log(10)


def test_a_long_reason_is_wrapped_and_stays_within_the_sheet(tmp_path: Path) -> None:
    reason = "none is verified for square orthogonal matrices without a skip path"
    run = replace(make_run(tmp_path, rectifies=False), theory=Theory({}, {"anchored": reason}))
    drawn = figure(run, "signal")
    lines = [text.get_text() for text in drawn.texts[2:]]
    assert " ".join(lines) == f"no prediction: {reason}"
    assert len(lines) == 2
    with look():
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        boxes = [text.get_window_extent() for text in drawn.texts]
        panel = drawn.axes[0].get_window_extent()
    assert max(box.x1 for box in boxes) <= drawn.bbox.width
    assert min(box.y0 for box in boxes) >= panel.y1


def test_a_single_block_has_its_band(tmp_path: Path) -> None:
    run = make_run(tmp_path, depth=1)
    predictions = constant(1, len(run.measures.tensors))
    run = replace(run, theory=Theory({"anchored": predictions}, {}))
    panel, _, _, strip, _ = figure(run, "gradient_flow").axes
    for axes in (panel, strip):
        (band,) = [part for part in axes.collections if isinstance(part, PolyCollection)]
        box = band.get_datalim(axes.transData)
        assert box.width > 0
        assert box.height > 0
