"""Figures: what they show is what the run holds, and nothing that is not finite goes unseen."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ffn_train.commands.plots import main
from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Layer, Layout
from ffn_train.nn.layers.linear import Linear
from ffn_train.plots import FIGURES, draw, figure, points, predicted, scales, selection, sheet
from ffn_train.plots.curves import mark
from ffn_train.plots.heatmap import edges
from ffn_train.plots.loss import binned
from ffn_train.plots.style import INK, look
from ffn_train.runs import Run, RunError, files, load_run
from ffn_train.runs.predictions import Theory
from ffn_train.runs.writer import RunWriter
from ffn_train.theory import Prediction
from ffn_train.train.measures import row_dtype

ALL = ("gradient_flow", "heatmap", "layers", "loss", "signal", "updates")


class Parts(Layer):
    """A layer of named parts, as a layout needs it."""

    def __init__(self, **parts: Layer) -> None:
        self._parts = parts

    @property
    def parts(self) -> dict[str, Layer]:
        return self._parts

    def forward(self, params: Any, x: Any) -> Any:
        raise AssertionError("only its shapes are of use here")


def layout(depth: int) -> Layout:
    block = Parts(up=Linear(2, 3), down=Linear(3, 2))
    blocks = Parts(**{str(index): block for index in range(depth)})
    return Layout(Parts(input=Linear(2, 2), blocks=blocks, output=Linear(2, 1)))


def make_run(
    path: Path,
    *,
    depth: int = 4,
    steps: int = 6,
    residual: bool = True,
    rectifies: bool = True,
    spoil: Any = None,
    ended: bool = True,
) -> Run:
    """A run directory of made-up numbers; ``spoil(row, step)`` changes a row as it is written."""
    rng = np.random.default_rng(depth)
    path.mkdir(parents=True, exist_ok=True)
    kind = "scaled" if residual else "none"
    config = {"residual": {"name": kind}, "activation": {"name": "gelu"}}
    files.write_json(path / files.CONFIG, config)
    files.write_json(path / files.PROVENANCE, {"least_squares_loss": 0.5})
    table = layout(depth)
    with RunWriter(path, table, depth) as writer:
        for step in range(steps):
            row = np.zeros((), row_dtype(len(table.tensors), depth))
            for name in row.dtype.names or ():
                row[name] = np.exp(rng.normal(size=row[name].shape))
            row["step"] = 10 * step
            row["dead_share"] = 0.25 if rectifies else np.nan
            if not residual:
                row["skip_gradient_rms"] = row["branch_gradient_rms"] = np.nan
            if step == steps - 1 and ended:
                row["update_norm"] = np.nan
            scalars = {"step": 10 * step, "loss": 1 / (step + 1), "gradient_norm": 3.0}
            scalars["lr"] = np.nan if step == steps - 1 and ended else 0.1
            scalars["validation_loss"] = np.nan if step % 2 and step < steps - 1 else 1 / (step + 2)
            if spoil is not None:
                spoil(row, step)
            writer.record(scalars, row)
    return load_run(path)


def spoilt_row(row: Any, step: int) -> None:
    """The third measured step is NaN from the read-out to the input, with an infinity."""
    if step == 2:
        for name in row.dtype.names:
            if name != "step":
                row[name] = np.nan
        row["gradient_norm"][0] = np.inf


def labels(drawn: Figure) -> set[str]:
    found = {line.get_label() for axes in drawn.axes for line in axes.get_lines()}
    return found | {text.get_text() for legend in drawn.legends for text in legend.get_texts()}


def curves(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    lines = axes.get_lines()
    return [(np.asarray(line.get_xdata()), np.asarray(line.get_ydata())) for line in lines]


def legend_colours(drawn: Figure, blocks: list[str]) -> dict[str, Any]:
    return {
        line.get_label(): to_rgba(line.get_color())
        for line in drawn.axes[0].get_lines()
        if line.get_label() in blocks
    }


def test_every_figure_of_the_folder_is_found() -> None:
    assert FIGURES == ALL


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


@pytest.mark.parametrize("name", ["gradient_flow", "heatmap", "layers", "signal", "updates"])
def test_a_row_that_is_not_finite_is_marked(tmp_path: Path, name: str) -> None:
    whole, spoilt = make_run(tmp_path / "whole"), make_run(tmp_path / "spoilt", spoil=spoilt_row)
    assert "not finite" not in labels(figure(whole, name))
    assert "not finite" in labels(figure(spoilt, name))


def test_a_loss_that_is_not_finite_is_marked_where_it_occurs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.scalars["loss"][3] = np.inf
    (axes,) = figure(run, "loss").axes
    (marked,) = [line for line in axes.get_lines() if line.get_label() == "not finite"]
    np.testing.assert_array_equal(marked.get_xdata(), [30])


def test_a_step_without_validation_is_not_marked_but_a_lost_last_one_is(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert np.isnan(run.scalars["validation_loss"]).any()
    assert "not finite" not in labels(figure(run, "loss"))
    run.scalars["validation_loss"][-1] = np.nan
    assert "not finite" in labels(figure(run, "loss"))


def test_a_run_under_way_need_not_have_been_validated_last(tmp_path: Path) -> None:
    run = make_run(tmp_path, ended=False)
    run.scalars["validation_loss"][-1] = np.nan
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


def test_the_last_row_that_is_finite_is_shown(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        if step >= 18:
            row["signal_gradient_rms"] = np.nan

    measures = make_run(tmp_path, steps=20, spoil=spoil).measures
    assert selection.rows(measures) == [0, 5, 10, 14, 17, 19]


def test_gradient_flow_shows_the_runs_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    parameters, signal, parts = figure(run, "gradient_flow").axes
    measures = run.measures
    x, y = curves(signal)[0]
    np.testing.assert_array_equal(x, np.arange(5))
    np.testing.assert_array_equal(y, measures.signal_gradient_rms[0])
    np.testing.assert_array_equal(
        curves(parameters)[0][1],
        measures.layer_gradient_norm[0, 1:-1],  # without input and output
    )
    expected = [
        measures.skip_gradient_rms[0],
        measures.skip_gradient_rms[-1],
        measures.branch_gradient_rms[0],
        measures.branch_gradient_rms[-1],
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
    run.scalars.update(step=steps, gradient_norm=steps + 1)
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
    assert "least squares" in labels(figure(run, "loss"))
    del run.provenance["least_squares_loss"]
    assert "least squares" not in labels(figure(run, "loss"))


def test_a_long_loss_is_averaged_over_bins() -> None:
    steps = np.arange(103.0)
    size, centres, means = binned(steps, 2 * steps)
    assert size == 2
    np.testing.assert_allclose(means, 2 * centres)
    assert centres[-1] == 102


@pytest.mark.parametrize(
    "values",
    [[3.0, 3.0], [0.9, 1.1], [1e-20, 1.0], [0, np.nan, np.inf], [1e-300, 1e300], [5e-324, 2.0], []],
)
def test_log_limits_hold_the_values_and_a_decade_and_a_tick(values: list[float]) -> None:
    low, high = scales.log_limits(values)
    assert 0 < low < high < np.inf
    assert high / low > 9.999
    shown = [value for value in values if 1e-300 <= value < np.inf]
    assert all(low < value < high for value in shown)
    major, minor = scales.log_ticks(low, high)
    assert 2 <= len(major) <= 7
    assert all(low <= tick <= high for tick in (*major, *minor))


def test_minor_ticks_are_drawn_once_where_the_last_limits_put_them() -> None:
    axes = Figure().add_axes((0, 0, 1, 1))
    scales.log_axis(axes, [1, 10])
    scales.log_axis(axes, [0.2, 30])
    (ticks,) = axes.collections
    _, minor = scales.log_ticks(*scales.log_limits([0.2, 30]))
    np.testing.assert_allclose(ticks.get_offsets(), [(0, tick) for tick in minor])
    assert not axes.get_legend_handles_labels()[0]


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.05, "0.05"), (200, "200"), (1e-4, "$10^{-4}$"), (2e5, r"$2{\times}10^{5}$")],
)
def test_tick_labels(value: float, text: str) -> None:
    assert scales.tick_label(value) == text


def test_cells_of_the_heat_map_lie_around_their_steps() -> None:
    np.testing.assert_array_equal(edges(np.array([0, 10, 14])), [-5, 5, 12, 16])
    np.testing.assert_array_equal(edges(np.array([7])), [6.5, 7.5])


def test_nothing_lies_outside_the_sheet(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        spoilt_row(row, step)
        row["gradient_norm"] *= 1e-200 if step == 3 else 1
        row["signal_gradient_rms"] *= 1e-200 if step == 3 else 1

    run = make_run(tmp_path, depth=8, steps=9, spoil=spoil)
    for name in ALL:
        drawn = figure(run, name)
        with look():
            FigureCanvasAgg(drawn).draw()
            box = drawn.get_tightbbox()
        width, height = drawn.get_size_inches()
        assert box.x0 >= 0, name
        assert box.y0 >= 0, name
        assert box.x1 <= width, name
        assert box.y1 <= height, name


def test_formats_and_the_same_bytes_again(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    names = ["heatmap", "signal"]
    paths = draw(run, figures=names, formats=list(starts))
    once = {path: path.read_bytes() for path in paths}
    assert len(once) == 3 * len(names)
    assert all(content.startswith(starts[path.suffix[1:]]) for path, content in once.items())
    assert draw(run, figures=names, formats=list(starts)) == paths
    assert {path: path.read_bytes() for path in paths} == once
    assert set((tmp_path / "plots").iterdir()) == set(once)


def test_settings_outside_neither_matter_nor_change(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    plain = draw(run, figures=["loss"])[0].read_bytes()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert draw(run, figures=["loss"])[0].read_bytes() == plain
        assert matplotlib.rcParams["font.size"] == 30


def test_the_description_takes_any_configuration(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert sheet.describe(run) == "depth 4 · residual scaled · gelu"
    run.config.clear()
    run.config["activation"] = "$$"
    assert sheet.describe(run) == "depth 4"
    figure(run, "loss")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"figures": ["los"]}, ["plot.figures", "'los'", "did you mean loss"]),
        ({"figures": []}, ["plot.figures"]),
        ({"formats": ["gif"]}, ["plot.formats", "'gif'", "png, svg, pdf"]),
        ({"formats": []}, ["plot.formats"]),
    ],
)
def test_unknown_figures_and_formats(
    tmp_path: Path, options: dict[str, Any], words: list[str]
) -> None:
    run = make_run(tmp_path)
    with pytest.raises(SettingError) as error:
        draw(run, **options)
    assert all(word in str(error.value) for word in words)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "plots").exists()


def test_a_run_without_a_measured_step(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no step has been measured"):
        draw(make_run(tmp_path, steps=0))


def test_the_command_prints_what_it_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", depth=1)
    main([str(tmp_path / "a"), str(tmp_path / "b"), "--figures", "loss,layers", "--formats", "svg"])
    written = capsys.readouterr().out.split("\n")[:-1]
    assert written == [
        str(tmp_path / run / "plots" / f"{name}.svg")
        for run in ("a", "b")
        for name in ("loss", "layers")
    ]
    assert all(Path(path).is_file() for path in written)


@pytest.mark.parametrize(
    "arguments",
    [["{}/none"], ["{}", "--figures", "x"], ["{}", "--formats", "x"], ["{}", "--x"], []],
)
def test_the_command_refuses_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    make_run(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([argument.format(tmp_path) for argument in arguments])
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1


def test_pyplot_is_never_imported(tmp_path: Path) -> None:
    make_run(tmp_path)
    code = (
        "import sys; from ffn_train.plots import draw; from ffn_train.runs import load_run;"
        "run = load_run(sys.argv[1]); draw(run);"
        "draw(run, figures=['heatmap'], formats=['svg', 'pdf']);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)


def test_the_module_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ffn_train.plots", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "is not a run directory" in result.stderr


def lost(row: Any, step: int) -> None:
    row["gradient_norm"] = np.inf


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


def test_the_prediction_sets_the_scale_where_nothing_measured_is_finite(tmp_path: Path) -> None:
    run = make_run(tmp_path, spoil=lost)
    count = len(run.measures.tensors)
    found = Prediction(
        *[np.full(5, 2.0)] * 2, np.full(count, 200.0), *[np.full(5, 0.1)] * 2, np.ones(count)
    )
    run = replace(run, theory=Theory({"anchored": found}, {}))
    parameters, signal, *_ = figure(run, "gradient_flow").axes
    low, high = parameters.get_ylim()
    assert low < np.exp(200) < high
    assert [text.get_text() for text in parameters.texts] == ["nothing measured is finite"]
    assert not signal.texts


def zeros_of(axes: Axes) -> list[float]:
    (line,) = [line for line in axes.get_lines() if line.get_label() == "zero"]
    return [float(x) for x in np.asarray(line.get_xdata())]


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


def test_a_measured_zero_is_marked_in_the_strip_too(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["signal_gradient_rms"][:2] = 0

    run = make_run(tmp_path, spoil=spoil)
    count = len(run.measures.tensors)
    found = Prediction(*[np.zeros(5)] * 2, np.zeros(count), *[np.full(5, 0.1)] * 2, np.ones(count))
    run = replace(run, theory=Theory({"anchored": found}, {}))
    axes = figure(run, "gradient_flow").axes
    assert zeros_of(axes[1]) == zeros_of(axes[4]) == [0, 1]


def test_the_legend_says_that_no_unit_is_dead(tmp_path: Path) -> None:
    def spoil(row: Any, step: int) -> None:
        row["dead_share"] = 0

    drawn = figure(make_run(tmp_path / "a", spoil=spoil), "signal")
    assert len(drawn.axes) == 1
    titles = [legend.get_title().get_text() for legend in drawn.legends]
    assert "none" in [t.get_text() for t in drawn.legends[titles.index("dead units")].get_texts()]
    assert "none" not in labels(figure(make_run(tmp_path / "b"), "signal"))


def prediction(depth: int, growth: float) -> Prediction:
    log, sd = growth * np.arange(depth + 1.0), np.full(depth + 1, 0.2)
    return Prediction(log, log[::-1], np.zeros(1), sd, sd, np.ones(1))


def test_a_prediction_beyond_float64_is_drawn() -> None:
    found = prediction(1000, 2.0)  # exp(2000) = 10^868
    left, right = predicted.figure("", "", "", [({}, found)]).axes
    for axes, log in ((left, found.log_signal_rms), (right, found.log_signal_gradient_rms)):
        low, high = axes.get_ylim()
        assert low < 0
        assert high > 868
        _, y = curves(axes)[0]
        np.testing.assert_allclose(y, log / np.log(10))
        ticks = [label.get_text() for label in axes.get_yticklabels()]
        assert ticks == ["1", "$10^{200}$", "$10^{400}$", "$10^{600}$", "$10^{800}$"]


def test_a_prediction_of_zero_is_marked() -> None:
    found = prediction(4, 0.5)
    found.log_signal_rms[2:] = -np.inf
    left, _ = predicted.figure("", "", "", [({}, found)]).axes
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
    told = [(title, [str(handle.get_label()) for handle in handles]) for title, handles in groups]
    assert told == [("depth", ["8", "16", "64"]), ("residual", ["none", "scaled"])]
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


def test_where_no_step_was_taken_and_nothing_is_finite_no_scale_is_invented(tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=1, spoil=lost)
    (updates,) = figure(run, "updates").axes
    assert [text.get_text() for text in updates.texts] == ["no step was taken"]
    assert len(figure(run, "heatmap").axes) == 1  # no colour bar
    assert len(figure(make_run(tmp_path / "whole"), "heatmap").axes) == 2


def test_a_single_block_has_its_band(tmp_path: Path) -> None:
    run = make_run(tmp_path, depth=1)
    count = len(run.measures.tensors)
    found = Prediction(*[np.zeros(2)] * 2, np.zeros(count), *[np.full(2, 0.1)] * 2, np.ones(count))
    run = replace(run, theory=Theory({"anchored": found}, {}))
    panel, _, _, strip, _ = figure(run, "gradient_flow").axes
    for axes in (panel, strip):
        (band,) = [part for part in axes.collections if isinstance(part, PolyCollection)]
        box = band.get_datalim(axes.transData)
        assert box.width > 0
        assert box.height > 0


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.000"), (1.0004, "1.0004"), (0.99962, "0.9996"), (1.25, "1.250")]
)
def test_a_number_is_told_from_1(value: float, text: str) -> None:
    assert scales.number(value, 4) == text
