"""What a run's figures show is what the run holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from ffn_train.config.registry import choices
from ffn_train.plots import draw, figure, selection, sheet
from ffn_train.plots.style import look
from ffn_train.runs.provenance import Provenance
from tests.plots.made_up import (
    ALL,
    DECLARED,
    curves,
    labels,
    legend_colours,
    make_run,
    spoilt_row,
)


def test_every_figure_of_the_folder_is_found() -> None:
    assert tuple(choices("figure")) == DECLARED


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "shape",
    [
        {"residual": False},
        {"residual": True},
        {"depth": 1},
        {"depth": 1, "steps": 1},
        {"depth": 40, "rectifies": False},
        {"spoil": spoilt_row},
        {"steps": 3, "ended": False},
    ],
)
def test_draws(tmp_path: Path, name: str, shape: dict[str, Any]) -> None:
    run = make_run(tmp_path, **shape)
    (path,) = draw(run, figures=[name])
    assert path == tmp_path / "plots" / f"{name}.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_last_row_that_is_finite_is_shown(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        if step >= 18:
            row["signal_gradient_rms"] = np.nan

    measures = make_run(tmp_path, steps=20, spoil=spoil).measures
    assert selection.rows(measures["signal_gradient_rms"].values) == [0, 5, 10, 14, 17, 19]


def test_gradient_flow_shows_the_runs_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    parameters, signal, parts = figure(run, "gradient_flow").axes
    measures = run.measures
    x, y = curves(signal)[0]
    np.testing.assert_array_equal(x, np.arange(5))
    np.testing.assert_array_equal(y, measures["signal_gradient_rms"].values[0])
    np.testing.assert_array_equal(
        curves(parameters)[0][1],
        measures.layer_gradient_norm[0, 1:-1],  # without input and output
    )
    expected = [
        measures["skip_gradient_rms"].values[0],
        measures["skip_gradient_rms"].values[-1],
        measures["branch_gradient_rms"].values[0],
        measures["branch_gradient_rms"].values[-1],
    ]
    for (_, y), row in zip(curves(parts), expected, strict=True):
        np.testing.assert_array_equal(y, row)


def test_the_whole_and_its_parts_share_a_scale(tmp_path: Path) -> None:
    _, signal, parts = figure(make_run(tmp_path), "gradient_flow").axes
    assert signal.get_ylim() == parts.get_ylim()


def test_a_plain_stack_has_no_panel_of_parts(tmp_path: Path) -> None:
    assert len(figure(make_run(tmp_path, residual=False), "gradient_flow").axes) == 2


def test_dead_units_are_shown_where_the_activation_rectifies(tmp_path: Path) -> None:
    signal, dead = figure(make_run(tmp_path / "a"), "signal").axes
    np.testing.assert_array_equal(curves(dead)[0][1], [25, 25, 25, 25])
    assert signal.get_yscale() == "log"
    assert len(figure(make_run(tmp_path / "b", rectifies=False), "signal").axes) == 1


@pytest.mark.parametrize(("depth", "blocks"), [(4, "0 1 2 3"), (40, "0 1 20 38 39")])
def test_a_block_has_one_colour(tmp_path: Path, depth: int, blocks: str) -> None:
    run = make_run(tmp_path, depth=depth)
    names = blocks.split()
    colours = legend_colours(figure(run, "layers"), names)
    assert list(colours) == names
    assert colours == legend_colours(figure(run, "updates"), names)
    assert len(set(colours.values())) == len(names)


def test_layers_show_the_total_of_the_measured_steps(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    steps = np.arange(51.0)
    run = replace(run, scalars={**run.scalars, "step": steps, "gradient_norm": steps + 1})
    (axes,) = figure(run, "layers").axes
    (total,) = [line for line in axes.get_lines() if line.get_label() == "total"]
    np.testing.assert_array_equal(total.get_xdata(), run.measures.step)
    np.testing.assert_array_equal(total.get_ydata(), run.measures.step + 1)


@pytest.mark.parametrize("ended", [True, False])
def test_updates_end_where_no_step_is_taken(tmp_path: Path, ended: bool) -> None:
    run = make_run(tmp_path, ended=ended)
    drawn = figure(run, "updates")
    (line,) = [line for line in drawn.axes[0].get_lines() if line.get_label() == "0"]
    assert len(line.get_xdata()) == 6 - ended
    assert "not finite" not in labels(drawn)


def test_the_least_squares_line(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert "linear\nregression" in labels(figure(run, "loss"))
    run = replace(run, provenance=Provenance())
    assert "linear\nregression" not in labels(figure(run, "loss"))


def test_nothing_lies_outside_the_sheet(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        spoilt_row(row, step)
        row["gradient_norm"] *= 1e-200 if step == 3 else 1
        row["signal_gradient_rms"] *= 1e-200 if step == 3 else 1

    run = make_run(tmp_path, depth=8, steps=9, spoil=spoil)
    for name in ALL:
        drawn = figure(run, name)
        with look():
            FigureCanvasAgg(drawn)
            drawn.draw_without_rendering()
            box = drawn.get_tightbbox()
        width, height = drawn.get_size_inches()
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name


def test_the_description_takes_any_configuration(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert sheet.describe(run).replace("\xa0", " ") == "depth 4 · residual scaled · gelu"
    run.config.clear()
    run.config["activation"] = "$$"
    assert sheet.describe(run).replace("\xa0", " ") == "depth 4 · $$"
    figure(run, "loss")


def test_the_legend_says_that_no_unit_is_dead(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["dead_share"] = 0

    drawn = figure(make_run(tmp_path / "a", spoil=spoil), "signal")
    assert len(drawn.axes) == 1
    titles = [legend.get_title().get_text() for legend in drawn.legends]
    assert "none" in [t.get_text() for t in drawn.legends[titles.index("dead units")].get_texts()]
    assert "none" not in labels(figure(make_run(tmp_path / "b"), "signal"))
