"""Figures of maps: trainability and the layers' gradients; and the coordinate check."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from ffn_train.compare.figures import figure
from ffn_train.plots.style import MUTED
from ffn_train.runs import load_run
from tests.compare.made_up import (
    case,
    compared,
    drawn,
    having,
    small_sweep,
    titles,
    told,
    words_of,
)
from tests.support.small_runs import config, run_in


def test_the_map_shows_losses_ratios_and_what_diverged() -> None:
    cases = [
        case(d, depth=d, lr=lr, ratio=d, state="diverged" if d * lr > 30 else "finished")
        for d in (4, 8, 16)
        for lr in (1, 2, 4)
    ]
    sheet = drawn(compared(*cases), "trainability_map")
    loss, ratio, lost = (axes.collections[0].get_array() for axes in sheet.axes[:3])
    assert loss.mask.tolist() == [[False] * 3, [False, False, True], [False, True, True]]
    assert loss[:, 0].tolist() == [4, 8, 16]  # over the rate
    assert ratio[:, 2].tolist() == [4, 8, 16]
    assert lost.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_cells_of_the_map_are_seen_where_every_ratio_is_one() -> None:
    cases = [case(depth=d, lr=lr) for d in (4, 8) for lr in (0.1, 0.11, 0.12)]
    for axes in drawn(compared(*cases), "trainability_map").axes[:2]:
        assert to_rgba(MUTED) in map(tuple, axes.collections[0].get_edgecolor())


def test_cells_of_the_map_without_a_run_are_told_of() -> None:
    cases = [case(depth=d, lr=lr) for d in (4, 8) for lr in (1, 2, 3)]
    assert "hatched" not in words_of(drawn(compared(*cases), "trainability_map"))
    sheet = drawn(compared(*cases[1:]), "trainability_map")
    assert "hatched: no run" in words_of(sheet)
    for axes in sheet.axes[:2]:
        (hatched,) = (c for c in axes.collections if c.get_hatch())
        assert len(hatched.get_paths()) == 1


def test_cells_of_the_map_over_different_losses_have_no_mean() -> None:
    cases = [
        having(case(d, depth=d, lr=lr, seed=seed), {"loss": loss, "log.every": at})
        for d in (4, 8)
        for lr in (1, 2)
        for seed, loss in enumerate(("mse", "huber" if d * lr == 16 else "mse"))
        for at in range(1, 8)  # too many values for a row each
    ]
    lost = having(case(depth=8, lr=2, seed=2, state="diverged"), {"loss": "mse", "log.every": 1})
    comparison = compared(*cases, lost, by=["depth", "lr", "log.every", "loss"])
    sheet = drawn(comparison, "trainability_map")
    loss, ratio = (axes.collections[0].get_array() for axes in sheet.axes[:2])
    assert loss.mask.tolist() == [[False, False], [False, True]]
    assert not ratio.mask.any()
    assert not [line for line in sheet.axes[0].lines if line.get_marker() == "x"]  # one lives
    words = "no mean of losses over runs that differ in loss"
    assert words_of(sheet).count(words) == 1
    pooled = compared(*cases, by=["depth", "lr"])
    assert words_of(drawn(pooled, "trainability_map")).count(words) == 1


def test_no_map_of_mostly_nothing() -> None:
    cases = [case(depth=d, lr=lr * d) for d in (1, 2, 3, 4) for lr in (0.1, 0.31, 0.53)]
    assert figure(compared(*cases), "trainability_map") is None


def test_the_coordinate_check_needs_widths() -> None:
    assert figure(compared(*small_sweep()), "coordinate_check") is None
    cases = [case(width=w, seed=s) for w in (8, 16, 32) for s in (0, 1)]
    sheet = drawn(compared(*cases), "coordinate_check")
    assert [axes.get_title("left") for axes in sheet.axes] == ["step 0", "step 5"]
    for axes in sheet.axes:
        assert len([line for line in axes.lines if len(line.get_xdata()) == 3]) >= 5


def test_values_beyond_the_colours_of_the_map_are_told_by_an_arrow() -> None:
    ends = [(float(ratio), "neither") for ratio in np.geomspace(1.1e-5, 9e4, 12)]
    for ratio, wanted in (*ends, (1e-9, "min"), (1e9, "max")):
        cases = [
            case(ratio=ratio if d == 4 else 1, depth=d, residual=r)
            for d in (4, 8)
            for r in ("none", "scaled")
        ]
        sheet = drawn(compared(*cases), "trainability_map")
        bars = sheet.axes[2:]
        assert [bar._colorbar.extend for bar in bars] == ["neither", wanted]


def test_the_last_norms_of_a_run_that_diverges_do_not_set_the_colours(tmp_path: Path) -> None:
    run_in(tmp_path / "sound", config())
    lost = {"optimizer": {"lr": 1e3}, "trainer": {"clip": None, "patience": 1}}
    run = run_in(tmp_path / "lost", config(measure={"every": 1}, **lost))
    assert run.state == "stopped"
    last = run.measures.layer_gradient_norm[-1]
    sheet = drawn(told(tmp_path)[0], "layers")
    maps = [axes.collections[0] for axes in sheet.axes if axes.get_title("left")]
    assert maps[0].get_clim() == maps[1].get_clim()
    assert maps[0].get_clim()[1] < last[np.isfinite(last)].max()
    assert sheet.axes[-1]._colorbar.extend == "max"


def test_layers_are_small_multiples_on_one_scale(sweep: Path) -> None:
    sheet = drawn(told(sweep)[0], "layers")
    panels = [axes for axes in sheet.axes if axes.get_title("left")]
    assert [axes.get_title("left") for axes in panels] == ["depth 1", "depth 3"]
    assert len({axes.collections[0].get_clim() for axes in panels}) == 1
    first = load_run(sweep / "d1s0").measures.layer_gradient_norm.T
    np.testing.assert_array_equal(panels[0].collections[0].get_array(), first)


def test_each_layer_map_is_filled_whatever_the_other_runs_lengths(tmp_path: Path) -> None:
    for depth, steps in ((1, 1), (2, 8), (3, 40)):
        changes = {"model": {"depth": depth}, "trainer": {"steps": steps}}
        run_in(tmp_path / f"{depth}", config(**changes))
    sheet = drawn(told(tmp_path)[0], "layers")
    assert titles(sheet) == ["depth 1", "depth 2", "depth 3"]
    assert "each over its own steps" in words_of(sheet)
    panels = [axes for axes in sheet.axes if axes.get_title("left")]
    for axes, last in zip(panels, (1, 8, 40), strict=True):
        mesh = axes.collections[0].get_coordinates()[..., 0]
        assert axes.get_xlim() == (mesh.min(), mesh.max())
        assert axes.get_xlim()[1] < 1.6 * last
    assert panels[0].get_xticks().tolist() == [0, 1]  # two measurements, and both have their step


def test_titles_of_many_settings_fit_beside_each_other(tmp_path: Path) -> None:
    norms = [{"name": name, "eps": 1e-5} for name in ("pre_layer", "post_layer")]
    for index in range(8):
        bits = [index >> bit & 1 for bit in range(3)]
        changes = {
            "optimizer": {"lr": 0.01234 + 0.1 * bits[0], "weight_decay": 0.001234 * bits[1]},
            "trainer": {"steps": 8 + (index in (0, 3, 5)), "batch_size": 16 + 9 * (index % 3)},
            "model": {"depth": 1 + index % 4},
            "norm": norms[index in (1, 2, 5, 6)],
        }
        run_in(tmp_path / f"{index}", config(**changes))
    sheet = drawn(told(tmp_path)[0], "layers")
    FigureCanvasAgg(sheet)
    sheet.draw_without_rendering()
    assert min(map(len, titles(sheet))) > 24
    boxes = [axes._left_title.get_window_extent() for axes in sheet.axes if axes.get_title("left")]
    notes = max(sheet.texts, key=lambda text: len(text.get_text())).get_window_extent()
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in (notes, *boxes[index + 1 :]))
