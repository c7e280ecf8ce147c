"""What has no place on an axis is marked: rows that are not finite, zeros, empty panels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ffn_train.plots import draw, figure
from ffn_train.plots.curves import BEYOND, NO_WEIGHTS, mark
from ffn_train.plots.selection import FAR
from ffn_train.plots.style import look
from tests.plots.made_up import (
    ALL,
    curves,
    labels,
    lost,
    make_run,
    spoilt_row,
    zeros_of,
)


@pytest.mark.parametrize("name", ["gradient_flow", "heatmap", "layers", "signal", "updates"])
def test_a_row_that_is_not_finite_is_marked(tmp_path: Path, name: str) -> None:
    whole, spoilt = make_run(tmp_path / "whole"), make_run(tmp_path / "spoilt", spoil=spoilt_row)
    assert "not finite" not in labels(figure(whole, name))
    assert "not finite" in labels(figure(spoilt, name))


def test_updates_of_weights_that_are_all_zero_are_not_called_not_finite(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["weight_norm"] = 0 if step == 2 else row["weight_norm"]

    drawn = figure(make_run(tmp_path, spoil=spoil), "updates")
    (marked,) = [line for line in drawn.axes[0].get_lines() if line.get_label() == NO_WEIGHTS]
    np.testing.assert_array_equal(marked.get_xdata(), [20])
    assert NO_WEIGHTS in labels(drawn)
    assert "not finite" not in labels(drawn)


def test_a_loss_that_is_not_finite_is_marked_where_it_occurs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.scalars["loss"][3] = np.inf
    (axes,) = figure(run, "loss").axes
    (marked,) = [line for line in axes.get_lines() if line.get_label() == "not finite"]
    np.testing.assert_array_equal(marked.get_xdata(), [30])


def test_a_step_without_validation_is_not_marked_but_a_lost_last_one_is(tmp_path: Path) -> None:
    run = make_run(tmp_path / "known")
    assert np.isnan(run.scalars["validation_loss"]).any()
    assert "not finite" not in labels(figure(run, "loss"))
    assert "not finite" in labels(figure(make_run(tmp_path / "lost", gap=True), "loss"))


def test_a_run_under_way_need_not_have_been_validated_last(tmp_path: Path) -> None:
    run = make_run(tmp_path, ended=False, gap=True)
    assert np.isnan(run.scalars["validation_loss"][-1])
    assert "not finite" not in labels(figure(run, "loss"))


def test_zeros_are_marked(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["branch_gradient_rms"] = 0
        row["gradient_norm"][:6] = 0

    run = make_run(tmp_path, spoil=spoil)
    for name in ("gradient_flow", "heatmap", "layers"):
        assert "zero" in labels(figure(run, name)), name


def test_all_rows_lost(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        for name in row.dtype.names:
            if name != "step":
                row[name] = np.nan

    run = make_run(tmp_path, spoil=spoil)
    assert len(draw(run)) == len(ALL)


def test_a_panel_with_nothing_to_show_has_no_scale_but_says_why(tmp_path: Path) -> None:
    run = make_run(tmp_path / "lost", spoil=lost)
    parameters, signal, _ = figure(run, "gradient_flow").axes
    assert [text.get_text() for text in parameters.texts] == ["nothing finite to show"]
    assert not parameters.yaxis.get_majorticklocs().size
    assert not signal.texts

    def spoil(row: Any, step: int) -> None:
        row["gradient_norm"] = 0

    parameters, *_ = figure(make_run(tmp_path / "zero", spoil=spoil), "gradient_flow").axes
    assert [text.get_text() for text in parameters.texts] == ["all zero"]


def test_crowded_marks_are_thinned_but_not_their_ends() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    axes.set_yscale("log")
    values = np.ones(401)
    values[100:301] = 0
    values[350] = 0
    mark(axes, np.arange(401), values)
    places = zeros_of(axes)
    assert places[0] == 100
    assert places[-2:] == [300, 350]
    assert 8 <= len(places) <= 12
    assert min(np.diff(places)) >= 20
    (through,) = [line for line in axes.get_lines() if line.get_label() != "zero"]
    np.testing.assert_array_equal(through.get_xdata(), [100, 300])


def test_few_marks_stand_at_every_place() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    axes.set_yscale("log")
    mark(axes, np.arange(9), np.array([0, 0, 1, 1, 0, 1, 0, 0, 0]))
    assert zeros_of(axes) == [0, 1, 4, 6, 7, 8]
    assert len(axes.get_lines()) == 1


def test_where_no_step_was_taken_and_nothing_is_finite_no_scale_is_invented(tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=1, spoil=lost)
    (updates,) = figure(run, "updates").axes
    assert [text.get_text() for text in updates.texts] == ["no step was taken"]
    assert len(figure(run, "heatmap").axes) == 1  # no colour bar
    assert len(figure(make_run(tmp_path / "whole"), "heatmap").axes) == 2


def exploding(path: Path, rising: int) -> tuple[Figure, np.ndarray]:
    """The loss figure of a run whose last losses explode, and the training losses; 0.25 is the
    loss of predicting the mean, 2.5 the axis's end.
    """
    run = make_run(path, steps=8)
    run.scalars["loss"][-rising:] = 10.0 ** np.arange(1, rising + 1)
    run.scalars["validation_loss"][-1] = 1e6
    return figure(
        replace(run, provenance=replace(run.provenance, trivial_loss=0.25)), "loss"
    ), run.scalars["loss"]


def test_an_exploding_loss_is_cut_where_it_has_exploded_and_marked_there(tmp_path: Path) -> None:
    sheet, _ = exploding(tmp_path, rising=3)
    (axes,) = sheet.axes
    assert axes.get_ylim()[1] == FAR * 0.25
    assert axes.get_ylim()[0] < 0.125  # the least loss
    triangles = [line for line in axes.lines if line.get_label() == BEYOND]
    assert [np.asarray(line.get_xdata()).tolist() for line in triangles] == [[70], [50, 60, 70]]
    assert len({line.get_color() for line in triangles}) == 2  # of validation and of training
    assert [text.get_text() for text in sheet.legends[0].get_texts()].count(BEYOND) == 1
    with look():
        FigureCanvasAgg(sheet).draw()
    panel = axes.get_window_extent()
    for line in triangles:
        box = line.get_window_extent()
        assert box.y0 < panel.y1 < box.y1 <= sheet.bbox.y1
        assert panel.x0 <= box.x0
        assert box.x1 <= panel.x1
    ticks = [tick for tick in axes.yaxis.get_major_ticks() if tick.label1.get_text()]
    assert all(panel.y0 <= tick.label1.get_window_extent().y1 for tick in ticks)
    assert len(ticks) >= 2


def test_a_loss_that_has_mostly_exploded_is_shown_whole(tmp_path: Path) -> None:
    sheet, losses = exploding(tmp_path, rising=7)
    assert sheet.axes[0].get_ylim()[1] > losses.max()
    assert BEYOND not in labels(sheet)


def test_of_a_long_exploding_loss_its_band_is_marked_and_not_each_outlier(tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=400)
    run.scalars["loss"][50] = run.scalars["loss"][-80:] = 1e3
    (axes,) = figure(run, "loss").axes
    assert axes.get_ylim()[1] == FAR * 0.5  # of the baseline: no other loss is known
    marked = np.concatenate(
        [
            x
            for line, (x, _) in zip(axes.lines, curves(axes), strict=True)
            if line.get_label() == BEYOND
        ]
    )
    assert len(marked) >= 2
    assert marked.min() > 3000
