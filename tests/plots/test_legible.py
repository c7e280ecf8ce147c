"""What a reader of a run's figures must not misread."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from PIL import Image

from ffn_train.config.settings import SettingError
from ffn_train.plots import draw, figure
from ffn_train.plots.appearance import Appearance
from ffn_train.plots.quantity import draw_quantity
from ffn_train.plots.style import block_look, look, step_look
from ffn_train.runs import Run, RunError, files
from ffn_train.runs.finding import Finding
from ffn_train.runs.provenance import Leg, Provenance
from ffn_train.runs.score import ScoreResult
from ffn_train.runs.summary import Summary
from ffn_train.runs.theory import Theory
from tests.plots.made_up import ALL, constant, labels, make_run, outputs, spoilt_row

CONFIG = {
    "model": {"width": 64},
    "residual": {"name": "scaled"},
    "optimizer": {"name": "sgd", "lr": 0.1},
    "task": {"name": "table", "path": "/home/me/secret/table.csv", "target": "price $x_1$"},
    "trainer": {"steps": 2500},
    "seed": 3,
}
SUMMARY = Summary(
    score=ScoreResult("r2", "R²", "higher", value=0.951),
    verdict=(Finding("learned", "yes", ""), Finding("gradient flow", "healthy", "")),
)
CPU = {"engine": "numpy", "blas": "openblas", "blas_threads": 1, "shards": 1}
LEGS = (
    Leg(0, 1000, 0.1, **CPU),
    Leg(1000, 2500, 0.1, 0.0, **CPU),
    Leg(1200, 2500, 0.1, 0.1, **{**CPU, "engine": "compiled", "blas_threads": 2}),
)
LAYERS = ("0", "1", "10", "18", "19", "total")
OVER_STEPS = ("heatmap", "layers", "loss", "updates")


def told_apart(run: Run) -> Run:
    return replace(run, config=CONFIG, summary=SUMMARY)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A long run of a deep stack with a row that is lost, clipped steps, theory, and legs."""
    path = tmp_path_factory.mktemp("run")
    made = told_apart(make_run(path, depth=20, steps=250, spoil=spoilt_row, clipped=True))
    predictions = constant(20, len(made.measures.tensors))
    provenance = replace(made.provenance, legs=LEGS, targets=("price $x_1$",))
    return replace(made, theory=Theory({"anchored": predictions}, {}), provenance=provenance)


@pytest.fixture(scope="module")
def drawn(run: Run) -> Mapping[str, Figure]:
    sheets = {name: figure(run, name) for name in ALL}
    for sheet in sheets.values():
        with look():
            FigureCanvasAgg(sheet).draw()
    return sheets


def texts(sheet: Figure) -> list[Text]:
    """All that is written on a figure."""
    written = [*sheet.texts]
    for legend in sheet.legends:
        written += [legend.get_title(), *legend.get_texts()]
    for axes in sheet.axes:
        written += [axes.title, axes._left_title, *axes.texts]
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            written += [axis.label, axis.get_offset_text()]
            for tick in axis.get_major_ticks():
                if min(ends) <= tick.get_loc() <= max(ends):
                    written += [tick.label1, tick.label2]
    return [text for text in written if text.get_visible() and text.get_text().strip()]


def ink(sheet: Figure, axes: Axes) -> float:
    """The share of a panel's pixels that are neither white nor the grid."""
    canvas = FigureCanvasAgg(sheet)
    with look():
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[::-1, :, :3].min(axis=2)
    box = axes.get_window_extent()
    x0, y0, x1, y1 = (int(end) for end in box.padded(-2).extents)
    return float((pixels[y0:y1, x0:x1] < 0.85 * 255).mean())


def assert_inside_and_apart(sheet: Figure) -> None:
    """All texts of a drawn figure lie on it, 6 pixels from its edges, and none on another one."""
    boxes = {text: text.get_window_extent() for text in texts(sheet)}
    for text, box in boxes.items():
        words = text.get_text()
        assert box.x0 >= 6, words
        assert box.y0 >= 6, words
        assert box.x1 <= sheet.bbox.width - 6, words
        assert box.y1 <= sheet.bbox.height - 6, words
    for (one, first), (other, second) in combinations(boxes.items(), 2):
        common = Bbox.intersection(first, second)
        touch = common is not None and min(common.width, common.height) > 2  # pixels
        assert not touch, f"{one.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("name", ALL)
def test_texts_lie_on_the_figure_and_apart(drawn: Mapping[str, Figure], name: str) -> None:
    assert_inside_and_apart(drawn[name])


@pytest.mark.parametrize("name", ["loss", "predictions", "confusion"])
def test_long_names_in_letters_that_no_font_has_are_shortened(tmp_path: Path, name: str) -> None:
    classes = name == "confusion"
    foreign = tuple(f"目标{n}标目的名称很长的一列数据单位是千克" * 3 for n in range(2))
    run = make_run(tmp_path)
    written = outputs(targets=2)
    if classes:
        written = replace(written, true=np.arange(40) % 2)
    written.write(tmp_path)
    task = {"name": "table", "path": "/home/me/数据.csv", "target": foreign[0]}
    origin = {"targets": foreign, "kind": "classes" if classes else "regression"}
    provenance = replace(run.provenance, **origin)
    sheet = figure(replace(run, config={**CONFIG, "task": task}, provenance=provenance), name)
    with look():
        FigureCanvasAgg(sheet).draw()
    assert_inside_and_apart(sheet)
    titles = [axes.get_title("left") for axes in sheet.axes if axes.get_title("left")]
    names = [tick.get_text() for tick in sheet.axes[0].get_xticklabels()] if classes else titles
    assert name == "loss" or len(set(names)) == 2
    said = [text.get_text() for text in texts(sheet) if "\\u" in text.get_text()]
    assert any("target\xa0\\u76ee" in words for words in said)
    assert len(said) == {"loss": 1, "predictions": 3, "confusion": 5}[name]
    for words in said:
        assert "…" in words
        whole = re.sub(r"\\u[0-9a-f]{4}", "", words)
        assert "\\" not in whole, words  # no escape is cut


@pytest.mark.parametrize("size", [1e-6, 1e-30, 1e7, 1e12])
@pytest.mark.parametrize("inputs", [1, 2])
def test_values_of_any_size_have_ticks_that_say_it(
    tmp_path: Path, size: float, inputs: int
) -> None:
    run = make_run(tmp_path)
    written = outputs(targets=3, inputs=inputs)
    x = None if written.input is None else size * written.input
    scaled = replace(written, true=size * written.true, predicted=size * written.predicted, input=x)
    scaled.write(tmp_path)
    names = {"targets": ("a", "b", "c"), "inputs": ("x",)}
    sheet = figure(replace(run, provenance=replace(run.provenance, **names)), "predictions")
    with look():
        FigureCanvasAgg(sheet).draw()
    assert_inside_and_apart(sheet)
    for axes in sheet.axes:
        words = [tick.label1.get_text() for tick in axes.yaxis.get_major_ticks()]
        ticks = [float(word.replace("\N{MINUS SIGN}", "-")) for word in words]
        assert ticks == pytest.approx(list(axes.get_yticks()), rel=1e-9, abs=0)


def test_a_name_that_turns_the_writing_round_is_drawn_as_its_escape(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs(targets=2, inputs=1).write(tmp_path)
    turned = {"targets": ("a\N{RIGHT-TO-LEFT OVERRIDE}bc", "d"), "inputs": ("\N{SOFT HYPHEN}e",)}
    sheet = figure(replace(run, provenance=replace(run.provenance, **turned)), "predictions")
    said = {text.get_text() for text in texts(sheet)}
    assert {r"a\u202ebc over the input", r"a\u202ebc", r"\xade"} <= said
    assert not any(set(text) & set("\N{RIGHT-TO-LEFT OVERRIDE}\N{SOFT HYPHEN}") for text in said)


@pytest.mark.parametrize("name", ALL)
def test_each_panel_shows_something(drawn: Mapping[str, Figure], name: str) -> None:
    for axes in drawn[name].axes:
        assert ink(drawn[name], axes) > 0.002


def test_every_layer_of_a_shallow_map_is_labelled(tmp_path: Path) -> None:
    axes, bar = figure(make_run(tmp_path, depth=3), "heatmap").axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["input", "0", "1", "2", "output"]
    (label,) = bar.texts
    assert label.get_rotation() == 0


def test_a_header_says_what_tells_a_run_from_others(drawn: Mapping[str, Figure]) -> None:
    said = (
        "depth 20 · width 64 · residual scaled · sgd · lr 0.1 · table.csv · "
        "target price $x_1$ · steps 2500 · seed 3 R² 0.951 · learned: yes · gradient flow: healthy"
    )
    for sheet in drawn.values():
        note = sheet.texts[1].get_text()
        assert note.replace("\xa0", " ").replace("\n", " ") == said


def test_a_run_that_has_not_ended_or_ended_badly_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=2)
    for state, summary, words in (
        ("interrupted", None, "interrupted, at step 10"),
        ("running", None, "finished, at step 10"),  # as its directory says
        ("diverged", Summary(state="diverged", score=SUMMARY.score), "diverged · R² 0.951"),
    ):
        sheet = figure(replace(run, state=state, summary=summary), "loss")
        assert words in sheet.texts[1].get_text().replace("\xa0", " ")


def test_the_files_hold_title_description_and_overrides_without_paths(run: Run) -> None:
    paths = draw(run, figures=["loss"], formats=["png", "svg", "pdf"])
    for path in paths:
        content = path.read_bytes()
        if path.suffix == ".png":
            content = str(Image.open(io.BytesIO(content)).info).encode()
        for word in (b"Loss", b"gradient\xc2\xa0flow", b"optimizer.lr=0.1", b"task.path=table.csv"):
            readable = {".png": content.replace(b"\\xa0", b"\xc2\xa0")}.get(path.suffix, content)
            if path.suffix == ".pdf" and b"\xc2" in word:  # in an encoding of its own
                continue
            assert word in readable, (path.suffix, word)
        assert b"secret" not in content


@pytest.mark.parametrize("name", OVER_STEPS)
def test_legs_that_are_not_plain_are_marked(drawn: Mapping[str, Figure], name: str) -> None:
    sheet = drawn[name]
    vertical = [line for line in sheet.axes[0].lines if len({*line.get_xdata()}) == 1]
    steps = {float(line.get_xdata()[0]) for line in vertical if len(line.get_xdata()) == 2}
    assert {1000, 1200} <= steps
    assert {"schedule\nstretched", "engine,\nthreads\nchanged"} <= labels(sheet)


def test_a_plain_resume_changes_no_byte_of_a_figure(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    straight = replace(run, provenance=Provenance(legs=LEGS[:1]))
    again = Leg(20, 1000, 0.1, 0.1, **CPU)
    # a leg whose rows were all written again leaves no trace either
    lost = Leg(20, 1000, 0.1, 0.1, **{**CPU, "engine": "compiled"})
    for legs in ((LEGS[0], again), (LEGS[0], lost, again)):
        resumed = replace(run, provenance=Provenance(legs=legs))
        for name in ("loss", "heatmap"):
            files_of = [draw(each, figures=[name])[0].read_bytes() for each in (straight, resumed)]
            assert files_of[0] == files_of[1], name


def test_long_curves_are_means_above_bands_of_quantiles(drawn: Mapping[str, Figure]) -> None:
    for name, size in (("loss", 5), ("layers", 5), ("updates", 5)):
        axes = drawn[name].axes[0]
        bands = [band for band in axes.collections if band.get_alpha()]
        means = [line for line in axes.lines if len(line.get_xdata()) == 50]
        assert len(bands) == len(means) > 0, name
        assert min(line.get_zorder() for line in means) > max(b.get_zorder() for b in bands)
        assert f"10 to 90 %\nof {size} rows" in labels(drawn[name])


def test_colours_are_never_alone(drawn: Mapping[str, Figure]) -> None:
    for looks in (
        [step_look(order, 6) for order in range(6)],
        [block_look(block, 8) for block in range(8)],
    ):
        assert len({each["marker"] for each in looks}) == len(looks)
    loss = {line.get_label(): line for line in drawn["loss"].axes[0].lines}
    dashes = [loss[name]._unscaled_dash_pattern[1] for name in ("validation", "baseline")]
    assert loss["training,\nmean of 5"]._unscaled_dash_pattern[1] is None
    assert dashes[0][0] >= 3 * dashes[1][0]  # strokes and dots: alike in grey otherwise
    layers = [line for line in drawn["layers"].axes[0].lines if line.get_label() in LAYERS]
    assert len({line.get_marker() for line in layers}) == len(layers) == len(LAYERS)


def test_strokes_of_clipped_steps_lie_below_all_curves_and_apart(
    drawn: Mapping[str, Figure],
) -> None:
    sheet = drawn["updates"]
    (axes,) = sheet.axes
    (strokes,) = [line for line in axes.lines if line.get_marker() == "|"]
    points = sheet.dpi / 72
    places = strokes.get_transform().transform(strokes.get_xydata())
    assert len(places) > 20
    assert np.diff(places[:, 0]).min() > 1.5 * points * strokes.get_markeredgewidth()
    top = places[0, 1] + points * strokes.get_markersize() / 2
    for line in axes.lines:
        if line is not strokes and line.get_transform() == axes.transData:
            y = np.asarray(line.get_ydata(), dtype=float)
            lowest = axes.transData.transform((0, y[np.isfinite(y)].min()))[1]
            assert lowest - points * line.get_markersize() / 2 > top
    assert axes.get_xlabel() == "step (strokes: clipped, 249 of 249 rows)"


def test_each_of_two_long_curves_says_how_many_values_a_mean_is_of(tmp_path: Path) -> None:
    run = make_run(tmp_path, steps=800)
    assert {"training,\nmean of 16", "validation,\nmean of 9", "10 to 90 %\nof as many"} <= labels(
        figure(run, "loss")
    )


def test_what_is_dashed_is_explained(drawn: Mapping[str, Figure]) -> None:
    assert "rule of thumb,\n$10^{-3}$ a step" in labels(drawn["updates"])
    said = {text.get_text() for legend in drawn["signal"].legends for text in legend.get_texts()}
    assert "this run's\n$x_0$, $\\partial L/\\partial x_L$" in said


@pytest.mark.parametrize(("targets", "inputs", "panels"), [(1, 2, 1), (1, 1, 2), (2, 2, 2)])
def test_predictions_have_a_panel_for_each_target_and_one_over_the_input(
    tmp_path: Path, targets: int, inputs: int, panels: int
) -> None:
    run = make_run(tmp_path)
    written = outputs(targets=targets, inputs=inputs)
    written.write(tmp_path)
    names = ("_目 $", "b")[:targets]
    run = replace(run, provenance=replace(run.provenance, targets=names, inputs=("x$",)))
    sheet = figure(run, "predictions")
    shown = sheet.axes[: 2 * panels]
    assert len(sheet.axes) == len(shown)  # each with its residuals
    against = sheet.axes[panels - 1]
    (dots,) = [line for line in against.lines if line.get_marker() == "o"]
    order = np.argsort(written.true[:, -1])
    np.testing.assert_array_equal(dots.get_ydata(), written.predicted[order, -1])
    residuals = [axes for axes in sheet.axes if axes.get_ylabel() == "residual"]
    assert len(residuals) == panels
    draw(run, figures=["predictions"])  # a letter that no font has is a warning, which is an error


def test_predictions_far_away_or_lost_are_marked_at_the_edge(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    written = outputs(targets=1)
    written.predicted[:3, 0] = 1e12, -1e12, np.nan
    written.write(tmp_path)
    sheet = figure(run, "predictions")
    assert {"beyond\nthe axis", "not finite"} <= labels(sheet)
    assert np.ptp(sheet.axes[0].get_ylim()) < 20
    written.predicted[:] = np.nan
    written.write(tmp_path)
    words = [text.get_text() for text in figure(run, "predictions").axes[0].texts]
    assert words == ["no prediction is finite"]


def test_predictions_of_a_single_row_are_on_the_axis(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs(targets=1, rows=1).write(tmp_path)
    assert "beyond\nthe axis" not in labels(figure(run, "predictions"))


def test_an_odd_unit_and_a_long_one_are_read(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    for unit in ("$ a_b$", "thousandths of the usual size"):
        series = run.measures["signal_rms"]
        series = replace(series, column=replace(series.column, unit=unit))
        measures = replace(run.measures, series={**run.measures.series, "signal_rms": series})
        with look():
            sheet = draw_quantity(replace(run, measures=measures), "signal_rms")
            FigureCanvasAgg(sheet).draw()
        assert_inside_and_apart(sheet)
        said = [sheet.axes[0].get_ylabel(), *(text.get_text() for text in sheet.texts)]
        assert unit.replace("$", r"\$") in " ".join(said)


def test_predictions_are_left_out_where_there_are_none(tmp_path: Path) -> None:
    notes = list[str]()
    classes = make_run(tmp_path / "classes")
    classes = replace(classes, provenance=replace(classes.provenance, kind="classes"))
    with pytest.raises(RunError, match=r"predictions is for regression, and the task of .* is"):
        figure(classes, "predictions")
    older = make_run(tmp_path / "older")
    (older.path / files.PREDICTIONS).unlink()
    assert "predictions" not in [path.stem for path in draw(older, notify=notes.append)]
    assert notes == [
        f"left out: predictions needs predictions.npz, which {older.path} lacks: "
        "made by a version that kept none"
    ]


def test_options_of_the_looks(tmp_path: Path) -> None:
    run = make_run(tmp_path)

    def drawn_with(name: str = "gradient_flow", **options: Any) -> Figure:
        return figure(run, name, Appearance(**options))

    alone = drawn_with(only_panel=3)
    assert [axes.get_title(loc="left") for axes in alone.axes] == ["(c)  skip and branch part"]
    assert alone.axes[0].yaxis.label.get_visible()
    assert {"skip", "branch"} <= labels(alone)
    assert not {"skip", "branch"} & labels(drawn_with(only_panel=2))
    for inches in (3.5, 7.0):
        sheet = drawn_with(inches=inches)
        assert sheet.get_size_inches()[0] == inches
        assert min(axes.get_position().width * inches for axes in sheet.axes) > 0.8
    bare = drawn_with("updates", title=False, markers=False)
    assert not any(text.get_visible() for text in bare.texts)
    blocks = [line for line in bare.axes[0].lines if str(line.get_label()) in "0123"]
    assert {line.get_marker() for line in blocks} <= {"", "None"}
    assert bare.get_size_inches()[1] < drawn_with("updates").get_size_inches()[1]
    limited = drawn_with("layers", xlim=(5, 20), ylim=(0.1, 10)).axes[0]
    assert (limited.get_xlim(), limited.get_ylim()) == ((5, 20), (0.1, 10))
    for name, options, words in (
        ("loss", {"only_panel": 2}, "--only-panel must be 1 to 1 for loss, got 2"),
        ("layers", {"ylim": (0, 1)}, "--ylim must be above 0"),
    ):
        with pytest.raises(SettingError, match=words):
            drawn_with(name, **options)
