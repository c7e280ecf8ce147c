"""Figures of curves: losses over steps and the gradient flow over depth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

from ffn_train.compare.case import Case
from ffn_train.compare.panels import MOST
from tests.compare.made_up import (
    case,
    compared,
    drawn,
    lines_of,
    small_sweep,
    vanished,
    words_of,
)


def test_a_mean_for_each_group_and_a_trace_for_each_run() -> None:
    sheet = drawn(compared(*small_sweep()), "loss_curves")
    assert [axes.get_title("left") for axes in sheet.axes] == ["residual none", "residual scaled"]
    for axes in sheet.axes:
        means = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(means) == 2
        np.testing.assert_allclose(
            means[0].get_ydata(), np.array([4, 2, 1]) * (0.4 * 0.5 * 0.6) ** (1 / 3)
        )
        shown = [c for c in axes.collections if not c.get_label().startswith("_minor")]
        assert sum(len(c.get_paths()) for c in shown) == 6 + 2  # traces and bands


def test_a_diverged_run_is_marked_and_leaves_the_mean_alone() -> None:
    cases = [*small_sweep(), case(7, depth=4, residual="none", seed=3, state="diverged")]
    comparison = compared(*cases)
    curves, final = drawn(comparison, "loss_curves"), drawn(comparison, "final")
    plain = lines_of(drawn(compared(*small_sweep()), "loss_curves"), 3)
    for line, before in zip(lines_of(curves, 3), plain, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), before.get_ydata())
    for sheet in (curves, final):
        crosses = [line for axes in sheet.axes for line in axes.lines if line.get_marker() == "x"]
        assert sum(len(line.get_xdata()) for line in crosses) == 1
        words = [text.get_text() for axes in sheet.axes for text in axes.texts]
        assert any(word.startswith("1 diverged of ") for word in words)


def lost(losses: list[float], evaluated: int, **settings: Any) -> Case:
    """A run that diverged at its last loss, of which the validation has the first few alone."""
    diverged = case(state="diverged", **settings)
    assert diverged.traces is not None
    steps, values = np.arange(len(losses), dtype=float), np.array(losses)
    curves = {
        "train_loss": (steps, values),
        "validation_loss": (steps[:evaluated], values[:evaluated]),
    }
    return replace(diverged, traces=replace(diverged.traces, curves=curves))


@pytest.mark.parametrize("metric", ["validation_loss", "train_loss"])
@pytest.mark.parametrize("evaluated", [0, 1, 3])
@pytest.mark.parametrize("end", [math.inf, math.nan, 1e30])
def test_the_trace_of_a_run_that_diverged_goes_to_its_last_step(
    metric: str, evaluated: int, end: float
) -> None:
    cases = [case(depth=4, seed=s) for s in (0, 1)]
    cases.append(lost([50.0, 90.0, 1e5, 1e9, end], evaluated, depth=4, seed=2))
    (axes,) = drawn(compared(*cases, metric=metric), "loss_curves").axes
    top = axes.get_ylim()[1]
    (cross,) = (line for line in axes.lines if line.get_marker() == "x")
    assert cross.get_xdata().tolist() == [4.0]
    assert cross.get_ydata().tolist() == [top]
    paths = [path.vertices for c in axes.collections for path in c.get_paths()]
    (trace,) = (path for path in paths if path[-1].tolist() == [4.0, top] and len(path) <= 5)
    if metric == "train_loss" or evaluated:
        assert trace[0].tolist() == [0.0, 50.0]
        assert top > 50
        assert len(trace) == (5 if metric == "train_loss" else evaluated + 1)


def test_one_huge_first_loss_does_not_flatten_the_others() -> None:
    cases = [case(depth=4), lost([1e30, math.inf], 1, depth=8)]
    (axes,) = drawn(compared(*cases), "loss_curves").axes
    assert axes.get_ylim()[1] < 100


def test_the_flow_is_relative_to_its_end() -> None:
    cases = [case(ratio=r, residual=name) for name, r in (("none", 1e-6), ("identity", 1e6))]
    sheet = drawn(compared(*cases), "gradient_flow")
    lines = lines_of(sheet, 5)
    assert len(lines) == 4  # two groups at the start and at the end
    for line, ratio in zip(lines, (1e-6, 1e6, 1e-6, 1e6), strict=True):
        assert line.get_ydata()[0] == pytest.approx(ratio)
        assert line.get_ydata()[-1] == pytest.approx(1)
        assert line.get_xdata()[[0, -1]].tolist() == [0, 1]


def zeros_of(axes: Axes) -> list[Any]:
    """The triangles at the lower edge."""
    marked = [line for line in axes.lines if line.get_transform() == axes.get_xaxis_transform()]
    return [line for line in marked if line.get_marker() == "v" and not any(line.get_ydata())]


def test_a_gradient_that_has_vanished_is_marked_at_the_lower_edge() -> None:
    sound, gone = case(theory=True), vanished(case(depth=8, theory=True))
    flow = drawn(compared(sound, gone), "gradient_flow")
    assert len(flow.axes) == 3
    for axes in flow.axes:
        (triangles,) = zeros_of(axes)
        assert triangles.get_xdata().tolist() == [at / 8 for at in range(7)]
    final = drawn(compared(sound, gone, metric="gradient_ratio_start"), "final")
    (triangle,) = zeros_of(final.axes[0])
    assert triangle.get_xdata().tolist() == [8]
    without = drawn(compared(sound), "gradient_flow")
    for sheet, count in ((flow, 1), (final, 1), (without, 0)):
        words = [text.get_text() for legend in sheet.legends for text in legend.get_texts()]
        assert words.count("zero") == count


def test_a_loss_of_zero_is_marked_at_the_lower_edge() -> None:
    learned = case()
    assert learned.traces is not None
    curve = np.arange(4.0), np.array([1.0, 0.01, 0.0, 0.0])
    curves = {"train_loss": curve, "validation_loss": curve}
    learned = replace(learned, traces=replace(learned.traces, curves=curves))
    for cases, count in (([learned, case(depth=8)], 1), ([case(depth=8)], 0)):
        sheet = drawn(compared(*cases), "loss_curves")
        marked = [line.get_xdata().tolist() for line in zeros_of(sheet.axes[0])]
        assert marked == [[2, 3]] * count
        words = [text.get_text() for legend in sheet.legends for text in legend.get_texts()]
        assert words.count("zero") == count


def test_a_zero_on_a_linear_axis_has_its_place() -> None:
    cases = [case(loss, depth=4 + loss) for loss in (0, 1, 2)]
    (axes,) = drawn(compared(*cases), "final").axes
    assert axes.get_yscale() == "linear"
    assert not zeros_of(axes)


def test_theory_stands_beside_the_flow_with_the_ratio_below() -> None:
    seeds = [case(ratio=1e3, seed=seed, theory=True) for seed in (0, 1)]
    start, strip, end = drawn(compared(*seeds), "gradient_flow").axes
    measured, predicted = (
        np.asarray(line.get_ydata()) for line in start.lines if len(line.get_xdata()) == 5
    )
    np.testing.assert_allclose(predicted / measured, np.exp(0.1))
    (ratio,) = (line.get_ydata() for line in strip.lines if len(line.get_xdata()) == 5)
    np.testing.assert_allclose(ratio, np.exp(-0.1))
    assert start.get_ylabel() == "at the start"
    assert strip.get_ylabel() == "meas./pred."
    assert len(lines_of(end.figure, 5)) == 4  # theory is of the start alone
    # a group in which one run has none is drawn without
    mixed = [*seeds, case(ratio=1e3, seed=2)]
    assert len(drawn(compared(*mixed), "gradient_flow").axes) == 2


def test_runs_of_several_depths_may_share_a_group() -> None:
    cases = [case(ratio=r, depth=d) for d, r in ((2, 1e4), (8, 1e-2))]
    sheet = drawn(compared(*cases, by=["lr"]), "gradient_flow")
    (line, _) = lines_of(sheet, 9)
    assert line.get_ydata()[0] == pytest.approx(1e1)  # the geometric mean


def test_a_run_that_did_not_measure_the_flow_takes_no_part_in_its_group() -> None:
    measured = [case(ratio=1e3, depth=4, seed=s, theory=True) for s in (0, 1)]
    deeper = case(depth=16, theory=True)
    assert deeper.traces is not None
    traces = replace(deeper.traces, flow=np.zeros((0, 0)), flow_steps=np.zeros(0))
    cases = [*measured, replace(deeper, traces=traces)]
    alone, together = (
        lines_of(drawn(compared(*some, by=["lr"]), "gradient_flow"), 5)
        for some in (measured, cases)
    )
    assert len(together) == len(alone) == 4  # measured and predicted, their ratio, and the end
    for line, before in zip(together, alone, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), before.get_ydata())


def test_a_group_of_curves_without_a_common_step_is_left_out() -> None:
    other = case(seed=1)
    assert other.traces is not None
    later = {name: (steps + 1, values) for name, (steps, values) in other.traces.curves.items()}
    apart = [case(seed=0), replace(other, traces=replace(other.traces, curves=later))]
    sheet = drawn(compared(*apart, case(2.0, depth=8)), "loss_curves")
    assert len(lines_of(sheet, 3)) == 1


def of_length(steps: int, loss: float, **settings: Any) -> Case:
    """A run with a constant loss at every step until this one."""
    run = case(**settings)
    assert run.traces is not None
    curve = np.arange(steps + 1.0), np.full(steps + 1, loss)
    curves = {"train_loss": curve, "validation_loss": curve}
    return replace(run, traces=replace(run.traces, curves=curves))


def thin_lines(axes: Axes) -> list[Any]:
    several = [each for each in axes.collections if isinstance(each, LineCollection)]
    ticks = [each for each in several if str(each.get_label()).startswith("_minor")]
    (thin,) = (each for each in several if each not in ticks)
    return [np.array(run) for run in thin.get_segments()]


SHARED = "means only at the steps that all runs of a group share"


@pytest.mark.parametrize("times", [1, 20])  # long curves are drawn as means over some steps
def test_each_run_is_drawn_to_its_end_and_the_mean_as_far_as_all_go(times: int) -> None:
    cases = [of_length(10 * times, 1.0, seed=0), of_length(30 * times, 4.0, seed=1)]
    sheet = drawn(compared(*cases), "loss_curves")
    (axes,) = sheet.axes
    mean = axes.lines[0]
    runs = thin_lines(axes)
    about = times - 1  # a point stands for so many steps around it
    assert mean.get_xdata()[-1] == pytest.approx(10 * times, abs=about)
    np.testing.assert_allclose(mean.get_ydata(), 2.0)
    for run, (end, loss) in zip(runs, ((10, 1.0), (30, 4.0)), strict=True):
        assert run[-1, 0] == pytest.approx(end * times, abs=about)
        np.testing.assert_allclose(run[:, 1], loss)
    if times > 1:
        assert len(runs[1]) == 50  # a fiftieth of the longest run's steps each
        assert len(runs[0]) == len(mean.get_xdata()) == 17
    assert SHARED in words_of(sheet)
    assert SHARED not in words_of(drawn(compared(*small_sweep()), "loss_curves"))


def test_the_mean_is_that_of_the_runs_that_ended() -> None:
    cases = [of_length(10, loss, seed=seed) for seed, loss in enumerate((1.0, 4.0))]
    cases.append(of_length(3, 90.0, seed=2, state="interrupted"))
    sheet = drawn(compared(*cases), "loss_curves")
    (axes,) = sheet.axes
    assert axes.lines[0].get_xdata().tolist() == list(range(11))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 2.0)
    assert [len(run) for run in thin_lines(axes)] == [11, 11, 4]
    assert "1 unfinished, left out of the final means" in words_of(sheet)
    assert SHARED not in words_of(sheet)


def test_figures_of_curves_say_how_many_of_very_many_groups_they_show() -> None:
    comparison = compared(*(case(d, depth=d, lr=float(lr)) for d in (4, 8) for lr in range(1, 101)))
    losses, flow = drawn(comparison, "loss_curves"), drawn(comparison, "gradient_flow")
    assert len(lines_of(losses, 3)) == MOST
    assert len(lines_of(flow, 5)) + len(lines_of(flow, 9)) == 2 * MOST  # at the start and the end
    for sheet in (losses, flow):
        assert f"{MOST} of 200 groups" in words_of(sheet)
