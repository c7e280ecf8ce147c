"""What a reader of a comparison's figures must not misread."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from ffn_train.compare import write_figures
from ffn_train.compare.case import STRETCHED, Case
from ffn_train.compare.colours import Colours
from ffn_train.compare.figures import figure, layers
from ffn_train.compare.terminal import table
from ffn_train.config.settings import SettingError
from ffn_train.plots import encoded
from ffn_train.plots.literal import legible, literal
from tests.compare.made_up import (
    case,
    compared,
    drawn,
    figures,
    having,
    small_sweep,
    titles,
    told,
    words_of,
)


def with_curve(original: Case, losses: list[float]) -> Case:
    assert original.traces is not None
    points = np.arange(len(losses), dtype=float), np.array(losses)
    curves = {"train_loss": points, "validation_loss": points}
    return replace(original, traces=replace(original.traces, curves=curves))


def legend_of(sheet: Figure) -> list[str]:
    return [text.get_text() for legend in sheet.legends for text in legend.get_texts()]


def marks_of(sheet: Figure, marker: str) -> int:
    lines = [line for axes in sheet.axes for line in axes.lines if line.get_marker() == marker]
    return sum(len(line.get_xdata()) for line in lines)


EXPLODING = [
    replace(case(loss, depth=d), trivial=1.0) for d, loss in ((2, 0.5), (4, 0.6), (8, 1e9))
]


@pytest.mark.parametrize("name", ["loss_curves", "final"])
def test_an_exploding_run_does_not_flatten_the_others(name: str) -> None:
    sheet = drawn(compared(*EXPLODING), name)
    assert sheet.axes[0].get_ylim()[1] < 20
    assert marks_of(sheet, "^") > 0
    assert "beyond the axis" in legend_of(sheet)
    calm = drawn(compared(*EXPLODING[:2]), name)
    assert marks_of(calm, "^") == 0
    assert "beyond the axis" not in legend_of(calm)


@pytest.mark.parametrize(("better", "sign", "marker"), [("higher", -1, "v"), ("lower", 1, "^")])
def test_a_score_far_worse_than_the_trivial_one_does_not_flatten_the_others(
    better: str, sign: int, marker: str
) -> None:
    values = {(2, 0): 0.1, (2, 1): 0.2, (4, 0): 0.3, (4, 1): 0.2, (8, 0): 0.4, (8, 1): 6800.0}
    scores = [
        replace(judged(case(sign * value, depth=d, seed=s), better), poor=9.0)
        for (d, s), value in values.items()
    ]
    axes, *_ = drawn(compared(*scores, metric="validation_score"), "final").axes
    low, high = axes.get_ylim()
    assert high - low < 2  # nor does the bar of a mean that is beyond
    (far,) = (line for line in axes.lines if line.get_marker() == marker)
    assert far.get_xdata() == pytest.approx([8])
    assert far.get_ydata().tolist() == [high if better == "lower" else low]
    known = [replace(score, poor=math.nan) for score in scores]
    axes, *_ = drawn(compared(*known, metric="validation_score"), "final").axes
    assert np.ptp(axes.get_ylim()) > 6800


def test_a_score_far_worse_does_not_flatten_the_map() -> None:
    cells = [(d, lr, -6800.0 if d * lr > 20 else d / 8) for d in (2, 4, 8) for lr in (1, 2, 3)]
    cases = [
        replace(judged(case(value, depth=d, lr=lr), "higher"), poor=9.0) for d, lr, value in cells
    ]
    axes, *_ = drawn(compared(*cases, metric="validation_score"), "trainability_map").axes
    assert axes.collections[0].get_clim() == (0.25, 1.0)
    assert axes.figure.axes[-2]._colorbar.extend == "min"


def test_the_band_of_losses_beyond_the_axis_does_not_extend_it() -> None:
    runs = [(0.1, 0, 1.0), (0.1, 1, 1.2), (0.2, 0, 0.8), (0.2, 1, 0.9), (9, 0, 1e-1), (9, 1, 1e12)]
    cases = [
        replace(with_curve(case(lr=lr, seed=s), [1.0, loss]), trivial=1.0) for lr, s, loss in runs
    ]
    axes, *_ = drawn(compared(*cases), "loss_curves").axes
    assert axes.get_ylim()[0] > 0.01


def test_an_exploding_cell_does_not_flatten_the_map() -> None:
    cells = [(d, lr, 1e9 if d * lr > 20 else d * lr) for d in (2, 4, 8) for lr in (1, 2, 3)]
    cases = [replace(case(loss, depth=d, lr=lr), trivial=1.0) for d, lr, loss in cells]
    axes, *_ = drawn(compared(*cases), "trainability_map").axes
    assert axes.collections[0].get_clim()[1] < 20
    assert axes.figure.axes[-2]._colorbar.extend == "max"


@pytest.mark.parametrize("words", [4, 9, 25])
def test_every_row_and_column_of_the_map_is_labelled(words: int) -> None:
    inits = [f"initialiser_{index}" for index in range(words)]
    cases = [case(i, init=n, norm=m) for i, n in enumerate(inits) for m in inits[: words - 1]]
    sheet = drawn(compared(*cases, x="init"), "trainability_map")
    for axis, count in ((sheet.axes[0].xaxis, words), (sheet.axes[0].yaxis, words - 1)):
        assert len(axis.get_ticklocs()) == count
        assert all(label.get_text() for label in axis.get_ticklabels())


def test_spread_on_a_log_axis_stays_on_it() -> None:
    losses = {(d, s): 10.0 ** (-3 * s) for d in (2, 4) for s in (0, 1, 2)}
    seeds = [case(loss, depth=d, seed=s) for (d, s), loss in losses.items()]
    (axes,) = drawn(compared(*seeds), "final").axes
    bars = [c for c in axes.collections if not c.get_label().startswith("_minor")]
    ends = np.concatenate([segment[:, 1] for bar in bars for segment in bar.get_segments()])
    low, high = axes.get_ylim()
    assert len(ends) == 4
    assert (ends > low).all()
    assert (ends < high).all()
    curves = drawn(compared(*seeds), "loss_curves").axes[0]
    edges = np.concatenate(
        [path.vertices[:, 1] for c in curves.collections if c.get_alpha() for path in c.get_paths()]
    )
    assert (edges > curves.get_ylim()[0]).all()
    assert (edges < curves.get_ylim()[1]).all()


def test_a_long_curve_is_a_mean_above_a_band_of_quantiles() -> None:
    rng = np.random.default_rng(0)
    noisy = [with_curve(case(depth=d), (rng.lognormal(0, 1, 1000)).tolist()) for d in (2, 4)]
    (axes,) = drawn(compared(*noisy), "loss_curves").axes
    means = [line for line in axes.lines if len(line.get_xdata()) == 50]
    bands = [c for c in axes.collections if c.get_alpha()]
    assert len(means) == len(bands) == 2
    assert min(line.get_zorder() for line in means) > max(band.get_zorder() for band in bands)
    low = bands[0].get_paths()[0].vertices[:, 1].min()
    assert 0.1 < low < 0.4  # the 10 % quantile is 0.28
    assert "10 to 90 %" in words_of(axes.figure)


def test_a_search_is_an_axis_with_its_best_marked() -> None:
    rng = np.random.default_rng(0)
    trials = [
        case(abs(np.log10(lr) + 1) + 1 / depth, depth=depth, lr=lr, residual=residual)
        for depth in (2, 8)
        for residual in ("none", "scaled")
        for lr in 10 ** rng.uniform(-3, 0, 12)
    ]
    comparison = compared(*trials)
    sheet = drawn(comparison, "final")
    assert comparison.layout.searched == ("optimizer.lr",)
    assert sheet.axes[0].get_xlabel() == "lr"
    assert titles(sheet) == ["residual none", "residual scaled"]
    rings = [line for axes in sheet.axes for line in axes.lines if line.get_markersize() > 7]
    best = [
        min(t.metrics["validation_loss"] for t in trials if t.settings["model.depth"] == d)
        for d in (2, 8)
    ]
    assert len(rings) == 4
    assert {float(ring.get_ydata()[0]) for ring in rings} >= set(best)
    assert all(len(titles(each)) <= 4 for each in figures(comparison).values())


def judged(trial: Case, better: Any) -> Case:
    """The run with a score of which such values are better."""
    declared = [
        replace(metric, better=better) if metric.name == "validation_score" else metric
        for metric in trial.declared
    ]
    return replace(trial, declared=declared)


@pytest.mark.parametrize(
    ("metric", "better", "end", "best"),
    [
        ("validation_loss", "", "lowest", min),
        ("validation_score", "lower", "lowest", min),
        ("validation_score", "higher", "highest", max),
        ("gradient_ratio_end", "", "", min),  # of a ratio none is better: that of the loss
    ],
)
def test_the_best_of_a_search_is_at_the_better_end_of_the_metric(
    metric: str, better: str, end: str, best: Callable[..., float]
) -> None:
    rng = np.random.default_rng(0)
    searches = [
        [
            judged(case(abs(np.log10(lr) + 1), depth=depth, lr=lr, ratio=lr), better)
            for lr in 10 ** rng.uniform(-3, 0, 12)
        ]
        for depth in (2, 8)
    ]
    comparison = compared(*searches[0], *searches[1], metric=metric)
    assert comparison.objective.name == (metric if end else "validation_loss")
    values = [best(trial.metrics["validation_loss"] for trial in trials) for trials in searches]
    groups = layers._best(comparison)
    assert [group.cases[0].metrics["validation_loss"] for group in groups] == values
    (axes,) = drawn(comparison, "final").axes
    rings = [float(line.get_ydata()[0]) for line in axes.lines if line.get_markersize() > 7]
    assert sorted(rings) == (sorted(values) if end else [])
    said = [line for line in table(comparison).splitlines() if "lr=" in line]
    assert [line.split()[0] for line in said] == ([end] if end else [])


BEST = "best of a curve"


@pytest.mark.parametrize(
    ("losses", "ringed"),
    [
        ([{}, {}, {}], True),
        ([{"loss": "mse"}, {"loss": "mse"}, {"loss": "huber"}], False),  # another quantity
    ],
)
def test_a_ring_is_in_the_legend_where_one_is_drawn(
    losses: list[dict[str, str]], ringed: bool
) -> None:
    cases = [having(case(1.0 + at, lr=lr), losses[at]) for at, lr in enumerate((0.1, 0.2, 0.3))]
    sheet = drawn(compared(*cases, by=["lr"]), "final")
    rings = [line for axes in sheet.axes for line in axes.lines if line.get_markersize() > 7]
    words = [text.get_text() for legend in sheet.legends for text in legend.get_texts()]
    assert bool(rings) == ringed
    assert (BEST in words) == ringed
    one_each = [case(1.0 + at, lr=lr, depth=at) for at, lr in enumerate((0.1, 0.2, 0.3), 1)]
    alone = drawn(compared(*one_each, x="lr", color="depth"), "final")
    assert not [line for axes in alone.axes for line in axes.lines if line.get_markersize() > 7]
    assert BEST not in [text.get_text() for legend in alone.legends for text in legend.get_texts()]


def test_where_nothing_has_a_mean_there_is_no_figure_of_it() -> None:
    cases = [
        having(case(lr=lr, seed=seed), {"loss": loss})
        for lr in (0.1, 0.2)
        for seed, loss in enumerate(("mse", "huber"))
    ]
    assert figure(compared(*cases, by=["lr"]), "final") is None
    lost = case(lr=0.3, state="diverged")
    assert figure(compared(*cases, lost, by=["lr"]), "final") is not None


def test_curves_of_words_differ_in_marker_and_dash_and_numbers_in_marker() -> None:
    cases = [case(i, init=f"i{i}", depth=d) for i in range(4) for d in (2, 4)]
    comparison = compared(*cases)
    for key, dashes in (("init", 4), ("model.depth", 1)):
        colours = Colours(comparison.layout, key)
        looks = {group.point[key]: colours.look(group) for group in comparison.groups}
        assert len({look["marker"] for look in looks.values()}) == len(looks)
        assert len({str(look["linestyle"]) for look in looks.values()}) == dashes


def test_the_ends_of_every_colour_scale_differ_in_grey() -> None:
    cases = [
        case(
            d * lr,
            depth=d,
            lr=lr,
            ratio=10.0 ** (d - lr),
            state="diverged" if lr > 8 else "finished",
        )
        for d in (1, 4, 8)
        for lr in (1, 4, 9)
    ]
    for axes in drawn(compared(*cases), "trainability_map").axes[:3]:
        grey = axes.collections[0].get_cmap()(np.linspace(0, 1, 64))[:, :3] @ (0.299, 0.587, 0.114)
        steps = np.diff(grey)
        assert (steps > 0).all() or (steps < 0).all()
        assert abs(grey[-1] - grey[0]) > 0.5


def test_equal_panels_are_folded_and_equal_runs_have_no_spread() -> None:
    inits = [case(d, depth=d, init=init) for d in (2, 4) for init in ("lecun", "normal")]
    assert titles(drawn(compared(*inits), "loss_curves")) == ["init lecun/normal"]
    inits[-1] = case(5, depth=4, init="normal")
    assert titles(drawn(compared(*inits), "loss_curves")) == ["init lecun", "init normal"]
    equal = compared(case(), case(seed=1))
    assert "identical runs drawn as one" in words_of(drawn(equal, "loss_curves"))
    assert "±" not in table(equal)
    assert "one run each" not in words_of(drawn(compared(case()), "loss_curves"))
    assert "one run each" in words_of(drawn(compared(case(), case(depth=8)), "loss_curves"))


def test_a_stretched_schedule_is_marked_where_it_was() -> None:
    cases = [case(depth=d, **{STRETCHED: "5, 8"}) for d in (2, 4)]
    sheet = drawn(compared(*cases), "loss_curves")
    assert "schedule stretched" in legend_of(sheet)
    marked = [x for line in sheet.axes[0].lines if len(x := set(line.get_xdata())) == 1]
    assert marked == [{5.0}, {8.0}]
    assert "schedule stretched" not in legend_of(drawn(compared(case()), "loss_curves"))


def test_a_stretched_schedule_is_marked_on_the_maps_of_layers(sweep: Path) -> None:
    comparison, _ = told(sweep)
    assert "stretched" not in words_of(drawn(comparison, "layers"))
    groups = [
        replace(
            group,
            cases=[replace(c, settings={**c.settings, STRETCHED: "4"}) for c in group.cases],
        )
        for group in comparison.groups
    ]
    sheet = drawn(replace(comparison, groups=groups), "layers")
    assert "dotted: schedule stretched" in words_of(sheet)
    panels = [axes for axes in sheet.axes if axes.get_title("left")]
    assert [line.get_xdata() for axes in panels for line in axes.lines] == [[4.0, 4.0]] * 2


def test_header_and_metadata_say_what_tells_a_figure_apart(tmp_path: Path) -> None:
    more = {"optimizer": "sgd", "task.path": "/home/me/secret/table.csv", "task": "table"}
    cases = [case(d + s, depth=d, seed=s, **more) for d in (2, 4) for s in (0, 1, 2)]
    comparison = compared(*cases)
    said = "width 8 · residual scaled · sgd · lr 0.1 · table.csv · seeds 0-2"
    assert said in words_of(drawn(comparison, "final")).replace("\xa0", " ")
    for kind in ("png", "pdf", "svg"):
        (path,) = write_figures(
            replace(comparison, options=replace(comparison.options, figures=["final"])),
            tmp_path,
            [kind],
        )
        content = path.read_bytes()
        if kind == "png":
            content = str(Image.open(io.BytesIO(content)).info).encode()
        for word in (b"Final validation loss against depth", b"model.depth=2,4", b"table.csv"):
            assert word in content, kind
        assert b"secret" not in content


def test_text_from_data_is_drawn_as_it_is() -> None:
    assert literal("a $x_1$ b") == r"a \$x_1\$ b"
    assert literal("_hidden") == " _hidden"
    assert legible("目 é ж") == r"\u76ee é ж"
    names = ["$\\frac{$", "目标\n2", "_x", "50% $ 100"]
    cases = [case(i + d, init=n, norm=n, depth=d) for i, n in enumerate(names) for d in (2, 4)]
    cases += [replace(each, settings={**each.settings, "seed": 1}) for each in cases]
    for key in ("init", "depth"):
        for sheet in figures(compared(*cases, x=key)).values():
            encoded(sheet, "png", whole=True)  # a missing letter is a warning, which is an error
    legend = legend_of(drawn(compared(*cases), "final"))
    assert set(legend) == {literal(name) for name in names}


@pytest.mark.parametrize("inches", [3.5, 7.0])
def test_a_figure_is_as_wide_as_a_column(inches: float) -> None:
    comparison = compared(*small_sweep(), inches=inches)
    for name, sheet in figures(comparison).items():
        png = Image.open(io.BytesIO(encoded(sheet, "png", whole=True)))
        assert png.width / sheet.dpi == pytest.approx(inches, abs=0.03), name


def test_requested_limits_have_ticks_at_whole_numbers_only_where_steps_are_counted() -> None:
    for name, axis, options, whole in (
        ("final", "y", {"metric": "validation_score"}, False),
        ("gradient_flow", "x", {}, False),
        ("loss_curves", "x", {}, True),
    ):
        sheet = drawn(compared(*small_sweep(), **options, **{f"{axis}lim": (0, 1)}), name)
        ticks = getattr(sheet.axes[0], f"get_{axis}ticks")()
        within = [tick for tick in ticks if 0 <= tick <= 1]
        assert within == [0, 1] if whole else len(within) > 4, name


def test_words_on_an_axis_keep_their_places_whatever_the_limits_of_numbers() -> None:
    (axes,) = drawn(compared(*small_sweep(), x="residual", xlim=(0, 500)), "final").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "scaled"]
    assert axes.get_xlim()[1] < 2


def test_options_of_the_figures() -> None:
    panel = drawn(compared(*small_sweep(), only_panel=2, title=False), "loss_curves")
    assert titles(panel) == ["residual scaled"]
    assert not any(text.get_visible() for text in panel.texts)
    limited = drawn(compared(*small_sweep(), xlim=(2, 6), ylim=(0.5, 3)), "loss_curves")
    for axes in limited.axes:
        assert axes.get_ylim() == (0.5, 3)
        assert axes.get_xlim() == (2, 6)
    far = drawn(compared(*small_sweep(), xlim=(0.5, 1e30)), "loss_curves")
    assert {axes.get_xlim() for axes in far.axes} == {(0.5, 1e30)}
    plain = drawn(compared(*small_sweep(), markers=False), "loss_curves")
    assert {line.get_marker() for axes in plain.axes for line in axes.lines} == {""}
    for wrong, message in (
        ({"only_panel": 3}, "--only-panel must be 1 to 2, got 3"),
        ({"ylim": (0, 1)}, "--ylim must be above 0"),
    ):
        with pytest.raises(SettingError, match=message):
            figure(compared(*small_sweep(), **wrong), "loss_curves")


@pytest.mark.parametrize("name", ["trainability_map", "final", "loss_curves"])
def test_names_that_differ_in_their_middle_stay_apart(name: str) -> None:
    columns = [f"目标{n}数据" * 4 for n in range(3)]
    cases = [case(1 + n, target=c, init=i) for n, c in enumerate(columns) for i in "ab"]
    sheet = drawn(compared(*cases), name)
    ticks = [t for axes in sheet.axes for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    shown = [*titles(sheet), *legend_of(sheet), *(tick.get_text() for tick in ticks)]
    assert len({word for word in shown if "u76ee" in word}) == 3, shown
