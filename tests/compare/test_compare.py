"""Comparisons: the right runs in the right groups, right numbers of them, and figures of them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from ffn_train.commands.compare import main
from ffn_train.compare import Comparison, Options, collect, table, write
from ffn_train.compare.case import Case, Traces
from ffn_train.compare.colours import colours
from ffn_train.compare.comparison import compare
from ffn_train.compare.figures import FIGURES, figure
from ffn_train.compare.metrics import METRICS, statistics
from ffn_train.compare.tables import tables
from ffn_train.compare.terminal import WIDTH
from ffn_train.compare.values import differing, flatten
from ffn_train.compare.where import conditions
from ffn_train.config.settings import SettingError
from ffn_train.runs import files, load_run
from tests.support.small_runs import config, run_in

SETTINGS = {
    "seed": 0,
    "model.depth": 4,
    "model.width": 8,
    "residual": "scaled",
    "optimizer.lr": 0.1,
}


def case(
    loss: float = 1.0,
    *,
    state: str = "finished",
    ratio: float = 1.0,
    theory: bool = False,
    **changes: Any,
) -> Case:
    """A run that is made up; settings may be given by the end of their names.

    With ``theory`` its gradient is predicted 10 % too large in the logarithm at every place.
    """
    settings: dict[str, Any] = dict(SETTINGS)
    for name, value in changes.items():
        key = next((key for key in SETTINGS if key.rpartition(".")[2] == name), name)
        settings[key] = value
    label = ",".join(map(str, settings.values()))
    numbers = dict.fromkeys(METRICS, loss)
    numbers |= {"gradient_ratio_start": ratio, "gradient_ratio_end": ratio}
    if state in ("pending", "failed"):
        return Case(Path(label), label, state, settings, dict.fromkeys(METRICS, math.nan), {}, None)
    steps = np.array([0.0, 5.0, 10.0])
    depth = settings["model.depth"]
    losses = loss * np.array([4.0, 2.0, 1.0])
    if state == "diverged":
        losses[-1] = np.inf
        numbers |= {"validation_loss": math.nan, "validation_r2": math.nan}
    flow = 3 * np.geomspace(ratio, 1, depth + 1)
    expected = (np.log(flow / flow[-1]) + 0.1, np.linspace(0.2, 0, depth + 1))
    traces = Traces(
        {"validation_loss": (steps, losses), "train_loss": (steps, losses)},
        flow,
        flow,
        expected if theory else None,
        np.array([0.0, 5.0]),
        np.ones((2, depth + 1)),
    )
    return Case(Path(label), label, state, settings, numbers, {"training_seconds": 1.0}, traces)


def compared(*cases: Case, **options: Any) -> Comparison:
    return compare(cases, Options(**options), "here")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# statistics


def test_statistics_by_hand() -> None:
    found = statistics([1.0, 2.0, 6.0])
    assert (found.n, found.mean, found.min, found.max) == (3, 3.0, 1.0, 6.0)
    assert found.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2), rel=1e-15)
    assert found.stderr == pytest.approx(math.sqrt(7 / 3), rel=1e-15)


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    one = statistics([0.5, math.nan])
    assert (one.n, one.mean, one.min, one.max) == (1, 0.5, 0.5, 0.5)
    assert math.isnan(one.std)
    assert math.isnan(one.stderr)
    none = statistics([math.inf, math.nan])
    assert none.n == 0
    assert math.isnan(none.mean)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_spread_of_extreme_values(scale: float) -> None:
    assert statistics([1 * scale, 3 * scale]).std == pytest.approx(math.sqrt(2) * scale, rel=1e-12)
    assert statistics([0.1] * 3).mean == 0.1  # rounding must not leave the range


def test_geometric_statistics_by_hand() -> None:
    found = statistics([1.0, 10.0, 1000.0], geometric=True)
    assert found.mean == pytest.approx(10 ** (4 / 3), rel=1e-14)
    std = 10 ** np.std([0, 1, 3], ddof=1)
    assert found.std == pytest.approx(std, rel=1e-13)
    assert found.stderr == pytest.approx(std ** (1 / math.sqrt(3)), rel=1e-13)
    assert (found.low, found.high) == (found.mean / found.std, found.mean * found.std)
    assert (found.n, found.min, found.max) == (3, 1.0, 1000.0)
    assert statistics([0.1] * 3, geometric=True).mean == 0.1
    extreme = statistics([1e-300, 1e300], geometric=True)
    assert extreme.mean == pytest.approx(1.0)
    assert extreme.std == math.inf


def test_a_geometric_mean_over_a_zero_is_zero_and_what_is_not_finite_is_left_out() -> None:
    found = statistics([0.0, 4.0, math.inf, math.nan], geometric=True)
    assert (found.n, found.mean, found.min, found.max) == (2, 0.0, 0.0, 4.0)
    assert math.isnan(found.std)
    assert math.isnan(found.stderr)


def test_ratios_over_seeds_are_geometric_in_table_and_figure() -> None:
    cases = [
        case(ratio=r, depth=d, seed=s) for d in (4, 8) for s, r in enumerate((1e-6, 1e-2, 1e-1))
    ]
    found = compared(*cases, metric="gradient_ratio_end")
    # the arithmetic one would be 0.037 ± 0.055: below zero within a deviation
    assert f"0.001 ×/÷ {10 ** np.std([-6, -2, -1], ddof=1):.3g}" in table(found)
    assert "geometric mean ×/÷ standard deviation" in table(found)
    sheet = drawn(found, "final")
    (line,) = lines_of(sheet, 2)
    np.testing.assert_allclose(line.get_ydata(), 1e-3)
    assert "geometric mean ×/÷ its standard deviation over seeds" in words_of(sheet)
    (bar, *_) = [c for c in sheet.axes[0].collections if not c.get_label().startswith("_minor")]
    ends = bar.get_segments()[0][:, 1]
    assert ends[1] / 1e-3 == pytest.approx(1e-3 / ends[0])
    ratios, losses = (
        next(row for row in rows(tables(found)["groups.csv"]) if row["metric"] == metric)
        for metric in ("gradient_ratio_end", "train_loss")
    )
    assert (ratios["average"], losses["average"]) == ("geometric", "arithmetic")
    assert float(ratios["mean"]) == pytest.approx(1e-3)
    assert float(ratios["std"]) == pytest.approx(10 ** np.std([-6, -2, -1], ddof=1))


def test_ratios_that_are_not_finite_are_told_of() -> None:
    cases = [case(ratio=r, seed=s) for s, r in enumerate((2.0, 8.0, 1.0))]
    lost = {**cases[2].metrics, "gradient_ratio_end": math.inf}
    cases[2] = replace(cases[2], metrics=lost)
    text = table(compared(*cases, metric="gradient_ratio_end"))
    assert "4 ×/÷ " in text
    assert "ratio end: 1 not finite and in no mean" in text
    assert "mean is 0" not in text
    cases[2] = replace(cases[2], metrics={**lost, "gradient_ratio_end": 0.0})
    text = table(compared(*cases, metric="gradient_ratio_end"))
    assert "ratio end: the mean is 0 where that of a run is" in text
    assert text.split("\n")[2].split()[2:4] == ["0", "1"]  # no spread beside it


def test_diverged_runs_are_counted_and_not_averaged_in() -> None:
    group = compared(case(1, seed=0), case(3, seed=1), case(1e9, seed=2, state="diverged")).groups[
        0
    ]
    found = group.statistics("best_validation_loss")
    assert (found.n, found.mean, found.max) == (2, 2.0, 3.0)
    assert group.n_diverged == 1
    assert group.share_diverged == pytest.approx(1 / 3)
    # what is measured before the first update is that of all
    assert group.statistics("gradient_ratio_start").n == 3
    assert group.statistics("gradient_ratio_end").n == 2


def test_all_diverged() -> None:
    found = compared(*(case(seed=seed, state="diverged") for seed in range(2)))
    row = next(r for r in rows(tables(found)["groups.csv"]) if r["metric"] == "validation_loss")
    assert (row["n"], row["n_diverged"], row["share_diverged"]) == ("2", "2", "1.0")
    assert (row["n_values"], row["mean"], row["std"]) == ("0", "", "")
    assert "2 diverged" in table(found)
    assert {"loss_curves", "gradient_flow"} <= set(figures(found))


# settings


def test_choices_are_named_and_what_changes_no_number_is_left_out() -> None:
    flat = flatten(config())
    assert flat["residual"] == "scaled"
    assert flat["residual.power"] == 0.5
    assert flat["model.depth"] == 3
    assert not {key.partition(".")[0] for key in flat} & {"run", "plot", "checkpoint", "threads"}


def test_engines_can_be_compared_also_with_runs_older_than_the_choice() -> None:
    older = {key: value for key, value in config().items() if key != "engine"}
    assert differing([flatten(older), flatten(config())]) == []
    assert differing([flatten(older), flatten(config(engine="compiled"))]) == ["engine"]


def test_settings_that_a_choice_implies_do_not_differ() -> None:
    none, scaled = {"residual": "none"}, {"residual": "scaled", "residual.scale": 1.0}
    assert differing([none, scaled]) == ["residual"]
    assert differing([none, scaled, {**scaled, "residual.scale": 2.0}]) == [
        "residual",
        "residual.scale",
    ]


def test_groups_over_seeds_sorted_by_number() -> None:
    cases = [case(depth=depth, seed=seed) for seed in (1, 0) for depth in (64, 4, 16)]
    found = compared(*cases)
    assert found.keys == ["model.depth"]
    assert [group.point["model.depth"] for group in found.groups] == [4, 16, 64]
    assert [[c.seed for c in group.cases] for group in found.groups] == [[0, 1]] * 3


def test_grouping_by_what_is_asked_for() -> None:
    cases = [case(d, depth=d, residual=r) for d in (4, 8) for r in ("none", "scaled")]
    none, _ = compared(*cases, by=["residual"]).groups
    assert none.point == {"residual": "none"}
    assert none.statistics("validation_loss").mean == 6.0
    assert len(compared(*cases, by=["lr"]).groups) == 1
    with pytest.raises(SettingError, match=r"--by must name one of model.depth, residual, got"):
        compared(*cases, by=["dept"])


@pytest.mark.parametrize(
    ("words", "depths"),
    [
        (["depth>=16"], [16, 64]),
        (["depth > 4", "depth<64"], [16]),
        (["model.depth=4"], [4]),
        (["depth==4.0"], [4]),
        (["residual!=none"], [4, 64]),
        (["residual=none"], [16]),
    ],
)
def test_where(words: list[str], depths: list[int]) -> None:
    cases = [case(depth=4), case(depth=16, residual="none"), case(depth=64)]
    asked = conditions(words, [one.settings for one in cases])
    left = [one for one in cases if all(condition.holds(one.settings) for condition in asked)]
    assert [one.settings["model.depth"] for one in left] == depths


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ["depth>16"]}, "no run in here meets --where depth>16"),
        ({"where": ["depth~16"]}, "--where must be KEY SIGN VALUE with a sign of"),
        ({"where": ["dpeth>16"]}, "did you mean depth?"),
        ({"where": ["residual>none"]}, "words go with = and !="),
        ({"where": ["depth>>4"]}, "--where must be KEY SIGN VALUE with a sign of"),
        ({"where": ["depth=>4"]}, "= > <, got 'depth=>4'"),
        ({"where": ["depth>="]}, "= > <, got 'depth>='"),
        ({"where": ["depth>=four"]}, "--where depth>=four: >= needs a number, got 'four'"),
        ({"where": ["depth>=nan"]}, ">= needs a number, got 'nan'"),
        ({"where": ["depth>=4 lr<1"]}, "got '4 lr<1'; each condition has a --where of its own"),
        ({"where": ["depth=5"]}, "--where depth=5: no run has it; depth is 4, 8"),
        ({"where": ["residual=bb"]}, "no run has it; residual is a, b; did you mean b?"),
        ({"x": "width"}, "--x must name one of model.depth, residual, got 'width'"),
        ({"color": "seed"}, "--color must name one of model.depth, residual, got 'seed'"),
        ({"x": "depth", "color": "depth"}, "--color depth is what --x shows already"),
        ({"metric": "loss"}, "--metric must be one of validation_loss, best_validation_loss,"),
    ],
)
def test_a_mistake_is_told_in_a_line(options: dict[str, Any], message: str) -> None:
    cases = [case(depth=d, residual=r, seed=s) for d in (4, 8) for r in "ab" for s in (0, 1)]
    with pytest.raises(SettingError) as caught:
        compared(*cases, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_ambiguous_short_name_is_refused() -> None:
    cases = [case(**{"measure.every": n, "evaluate.every": n}) for n in (1, 2)]
    with pytest.raises(SettingError, match=r"may be any of evaluate\.every, measure\.every"):
        compared(*cases, x="every")


# layout


def test_depth_on_the_axis_and_the_residual_in_the_colour() -> None:
    cases = [case(depth=d, residual=r) for d in (4, 8) for r in ("none", "scaled")]
    layout = compared(*cases).layout
    assert (layout.x, layout.over_x.color, layout.over_x.panels) == ("model.depth", "residual", ())
    assert (layout.curves.color, layout.curves.panels) == ("model.depth", ("residual",))
    asked = compared(*cases, x="residual", color="depth").layout
    assert (asked.x, asked.over_x.color) == ("residual", "model.depth")


def test_settings_that_vary_together_are_shown_once() -> None:
    cases = [case(depth=d, lr=1 / d, residual=r) for d in (4, 8, 16) for r in ("none", "scaled")]
    layout = compared(*cases).layout
    assert (layout.x, layout.over_x.color, layout.over_x.panels) == ("model.depth", "residual", ())
    (axes,) = drawn(compared(*cases), "final").axes
    assert sum(len(line.get_xdata()) == 3 for line in axes.lines) == 2  # a line a residual
    assert layout.partners == {"optimizer.lr": "model.depth"}
    assert "with depth 4, 8, 16 goes lr 0.25, 0.125, 0.0625" in words_of(axes.figure)
    crowd = compared(*(case(depth=d, lr=1 / d) for d in range(1, 9)))
    assert "lr changes together with depth" in words_of(drawn(crowd, "final"))


def test_a_search_over_the_rate_at_each_depth() -> None:
    cases = [case(depth=d, lr=lr / d) for d in (4, 8) for lr in (0.11, 0.23, 0.37)]
    layout = compared(*cases, x="lr").layout
    assert (layout.x, layout.over_x.color) == ("optimizer.lr", "model.depth")
    sheet = drawn(compared(*cases, x="lr"), "final")
    assert len(lines_of(sheet, 3)) >= 2  # a line a depth


def test_what_gives_few_panels_goes_to_the_colour() -> None:
    cases = [case(depth=d, lr=lr * (1 + d / 100)) for d in (4, 8) for lr in range(1, 7)]
    roles = compared(*cases).layout.curves
    assert (roles.color, roles.panels) == ("optimizer.lr", ("model.depth",))
    few = [case(depth=d, lr=lr) for d in (4, 8) for lr in range(1, 7)]
    assert compared(*few).layout.curves.color == "model.depth"
    asked = compared(*cases, color="depth").layout.curves
    assert (asked.color, asked.panels) == ("model.depth", ("optimizer.lr",))


def test_many_values_go_to_the_colour_and_few_to_the_panels() -> None:
    cases = [case(depth=d, lr=lr / 10) for d in (4, 8) for lr in range(1, 31)]
    roles = compared(*cases).layout.curves
    assert (roles.color, roles.panels, roles.pooled) == ("optimizer.lr", ("model.depth",), ())


# tables


def small_sweep(*, skip: tuple[int, ...] = ()) -> list[Case]:
    return [
        case(0.1 * (depth + seed), depth=depth, residual=residual, seed=seed)
        for residual in ("scaled", "none")
        for depth in (16, 4)
        for seed in (0, 1, 2)
        if seed not in skip
    ]


def test_the_tables_do_not_depend_on_the_order_of_the_runs() -> None:
    cases = small_sweep()
    assert tables(compared(*cases)) == tables(compared(*reversed(cases)))


def test_a_row_for_each_group_and_metric() -> None:
    found = rows(tables(compared(*small_sweep()))["groups.csv"])
    assert len(found) == 4 * len(METRICS)
    (row,) = [
        row
        for row in found
        if (row["residual"], row["model.depth"], row["metric"]) == ("none", "16", "train_loss")
    ]
    losses = [0.1 * 16, 0.1 * 17, 0.1 * 18]
    assert (row["n"], row["n_values"]) == ("3", "3")
    assert float(row["mean"]) == pytest.approx(np.mean(losses), rel=1e-15)
    assert float(row["std"]) == pytest.approx(np.std(losses, ddof=1), rel=1e-12)
    assert float(row["stderr"]) == pytest.approx(np.std(losses, ddof=1) / 3**0.5, rel=1e-12)
    assert (float(row["min"]), float(row["max"])) == (losses[0], losses[2])


def test_a_row_for_each_run() -> None:
    lost = case(7, depth=4, residual="none", seed=3, state="diverged")
    found = rows(tables(compared(*small_sweep(), lost))["runs.csv"])
    assert list(found[0]) == ["residual", "model.depth", "seed", "state", *METRICS, "directory"]
    assert [row["seed"] for row in found][:5] == ["0", "1", "2", "3", "0"]
    assert found[3]["state"] == "diverged"
    assert found[3]["validation_loss"] == ""
    assert found[3]["best_validation_loss"] == "7"
    assert found[0]["directory"] == small_sweep()[9].label


def test_one_seed_leaves_the_spread_empty() -> None:
    found = rows(tables(compared(*small_sweep(skip=(1, 2))))["groups.csv"])
    assert {(row["n_values"], row["std"], row["stderr"]) for row in found} == {("1", "", "")}


def test_the_printed_table_shows_what_differs_and_fits() -> None:
    text = table(compared(*small_sweep(), case(state="failed", depth=4, seed=9, residual="none")))
    lines = text.splitlines()
    assert lines[1].split()[:3] == ["residual", "depth", "n"]
    assert "lr" not in lines[1]
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["none", "4"],
        ["none", "16"],
        ["scaled", "4"],
        ["scaled", "16"],
    ]
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[-1] == "13 runs: 1 failed, 12 finished; 1 without results"


def headings(text: str) -> list[str]:
    """Of the columns of numbers, both lines of each in one."""
    upper, lower = text.splitlines()[:2]
    ends = {match.end(): match.group() for match in re.finditer(r"\S+( \S+)*", upper)}
    lows = {match.end(): match.group() for match in re.finditer(r"\S+( \S+)*", lower)}
    # a column with a spread has its heading on the right of all of it, as any other
    return [f"{ends.get(end, '')} {word}".strip() for end, word in lows.items()]


@pytest.mark.parametrize("width", [20, 60, 80, 100, 130, 250])
def test_each_heading_is_true_alone_and_no_column_goes_in_silence(width: int) -> None:
    comparison = compared(*small_sweep())
    text = table(comparison, width)
    words = " ".join(text.splitlines())
    shown = headings(text)
    assert "validation loss" in shown  # the metric that is asked for, however narrow
    left = re.findall(r"no room for (.*): groups.csv has all", words)
    named = [*shown[4:], *(left[0].split(", ") if left else [])]
    assert sorted(named) == sorted(" ".join(m.heading).strip() for m in METRICS.values())
    assert bool(left) == (width < 130)
    explained = "ratio |dL/dx_0| / |dL/dx_L|" in words
    assert explained == any(name.startswith("ratio ") for name in shown)
    assert ("growth per block" in words) == any(name.startswith("growth ") for name in shown)
    if width >= 60:
        assert all(len(line) <= width for line in text.splitlines())


def test_a_wide_terminal_shows_every_spread() -> None:
    text = table(compared(*small_sweep()), 250)
    assert text.splitlines()[2].count("±") == 6
    assert text.splitlines()[2].count("×/÷") == 4


def test_settings_that_change_with_another_give_way_to_numbers() -> None:
    more = [f"task.setting_with_a_long_name_{i}" for i in range(4)]
    cases = [
        case(residual=r, depth=d, **dict.fromkeys(more, f"that of {r}"))
        for r in ("none", "scaled")
        for d in (4, 8)
    ]
    text = table(compared(*cases))
    assert headings(text)[:4] == ["residual", "depth", "n", "diverged"]
    assert "validation loss" in headings(text)
    names = ", ".join(more)
    assert f"{names} change together with residual" in " ".join(text.splitlines())


# directories


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two depths and two seeds, none of which is to be changed."""
    root = tmp_path_factory.mktemp("sweep")
    for depth in (1, 3):
        for seed in (0, 1):
            run_in(root / f"d{depth}s{seed}", config(model={"depth": depth}, seed=seed))
    return root


def told(*roots: Path, **options: Any) -> tuple[Comparison, list[str]]:
    notes: list[str] = []
    return collect(roots, Options(**options), notes.append), notes


def test_runs_are_found_wherever_they_are_and_once(sweep: Path) -> None:
    found, notes = told(sweep, sweep / "d1s0", sweep)
    assert notes == []
    assert [c.label for c in found.cases] == ["d1s0", "d1s1", "d3s0", "d3s1"]
    alone, _ = told(sweep / "d3s1")
    assert [c.label for c in alone.cases] == ["d3s1"]


def test_metrics_are_those_of_the_summary(sweep: Path) -> None:
    found, _ = told(sweep)
    for one in found.cases:
        run = load_run(one.path)
        assert run.summary is not None
        for name in METRICS.keys() - {"best_train_loss"}:
            assert one.metrics[name] == run.summary[name]
        assert one.metrics["best_train_loss"] == run.scalars["loss"].min()


def copied(sweep: Path, to: Path) -> Path:
    shutil.copytree(sweep, to)
    return to


def test_a_damaged_run_is_named_and_left_out(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    for name, file in (("d1s0", files.MEASURES), ("d1s1", files.CONFIG), ("d3s0", files.SUMMARY)):
        (root / name / file).write_bytes((root / name / file).read_bytes()[:40])
    found, notes = told(root)
    assert [c.label for c in found.cases] == ["d3s1"]
    assert found.skipped == 3
    for note, name in zip(notes, ("d1s0", "d1s1", "d3s0"), strict=True):
        assert note.startswith("damaged run left out: ")
        assert name in note
        assert "\n" not in note
    assert "1 finished, 3 damaged and left out" in table(found)


def unfinished(path: Path) -> None:
    (path / files.SUMMARY).unlink()
    (path / files.STATUS).write_text(json.dumps({"state": "running", "reason": None}))


def test_an_unfinished_run_counts_as_it_stands_and_is_marked(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    unfinished(root / "d3s1")
    scalars = root / "d3s1" / files.SCALARS
    lines = scalars.read_text().splitlines(keepends=True)
    scalars.write_text("".join(lines[:7]) + lines[7][:9])  # the last row half written
    found, notes = told(root)
    assert notes == []
    one = found.cases[-1]
    assert one.state == "interrupted"  # no process holds it
    assert one.metrics["train_loss"] == load_run(root / "d3s1").scalars["loss"][5]
    assert one.metrics["validation_loss"] == load_run(root / "d3s1").scalars["validation_loss"][4]
    row = rows(tables(found)["groups.csv"])[-1]
    assert (row["n"], row["n_unfinished"]) == ("2", "1")
    assert "1 unfinished, taken as they stand" in table(found)


def test_the_end_as_it_stands_is_that_of_the_summary(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "runs")
    unfinished(root / "d3s1")
    before, after = (told(path)[0].cases[-1].metrics for path in (sweep, root))
    assert after == before


@pytest.mark.parametrize("left", [(), (files.SCALARS,), (files.SCALARS, files.LAYOUT)])
def test_a_run_that_has_just_begun_is_no_damaged_one(
    sweep: Path, tmp_path: Path, left: tuple[str, ...]
) -> None:
    root = copied(sweep, tmp_path / "runs")
    unfinished(root / "d3s1")
    for name in (files.SCALARS, files.MEASURES, files.LAYOUT):
        if name not in left:
            (root / "d3s1" / name).unlink()
    from ffn_train.runs.directory import claim

    with claim("run.dir", root / "d3s1", root):
        found, notes = told(root)
    assert notes == []
    assert [c.state for c in found.cases if c.traces is None] == ["running"]
    assert "1 without results" in table(found)


@pytest.mark.parametrize("lost", [files.CONFIG, files.SCALARS])
def test_an_ended_run_without_its_settings_or_rows_is_a_damaged_one(
    sweep: Path, tmp_path: Path, lost: str
) -> None:
    root = copied(sweep, tmp_path / "runs")
    (root / "d3s1" / lost).write_text("")
    if lost == files.CONFIG:
        (root / "d3s1" / lost).unlink()
    found, notes = told(root)
    assert len(notes) == 1
    assert "d3s1" in notes[0]
    assert all("d3s1" not in c.label for c in found.cases)


def sweep_of(root: Path, *overrides: str) -> None:
    from ffn_train.sweep.run import run_sweep
    from tests.support.small_runs import SMALL

    run_sweep([*SMALL, *overrides, f"sweep.dir={root}", "hydra/launcher=serial"], lambda line: None)


def test_jobs_of_a_sweep_that_have_not_begun_or_failed_are_counted(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", "seed=0,1", "model.depth=1,2")
    jobs = sorted((tmp_path / "sweep" / "jobs").glob("*depth=1*"))
    shutil.rmtree(jobs[0])
    for path in jobs[1].iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (jobs[1] / files.STATUS).write_text(json.dumps({"state": "failed", "reason": "a reason"}))
    found, notes = told(tmp_path / "sweep")
    assert notes == []
    assert [c.state for c in found.cases] == ["pending", "failed", "finished", "finished"]
    assert found.counts == "4 runs: 1 failed, 2 finished, 1 pending"
    assert [row["n_without_results"] for row in rows(tables(found)["groups.csv"])][::10] == [
        "2",
        "0",
    ]


def test_the_tables_hold_no_times_and_no_absolute_paths(sweep: Path, tmp_path: Path) -> None:
    root = copied(sweep, tmp_path / "elsewhere")
    for index, path in enumerate(sorted(root.iterdir(), reverse=True)):
        provenance = json.loads((path / files.PROVENANCE).read_text())
        changed = {**provenance, "started": str(index), "training_seconds": float(index)}
        (path / files.PROVENANCE).write_text(json.dumps(changed))
    here, there = (tables(told(path)[0]) for path in (sweep, root))
    assert here["groups.csv"] == there["groups.csv"]
    assert here["runs.csv"] == there["runs.csv"]
    assert here["times.csv"] != there["times.csv"]


# figures


def drawn(comparison: Comparison, name: str) -> Figure:
    found = figure(comparison, name)
    assert found is not None
    return found


def figures(comparison: Comparison) -> dict[str, Figure]:
    found = {name: figure(comparison, name) for name in FIGURES}
    return {name: one for name, one in found.items() if one is not None}


def words_of(sheet: Figure) -> str:
    """What stands above its panels."""
    return " ".join(text.get_text() for text in sheet.texts).replace("\n", " ")


def lines_of(sheet: Figure, points: int) -> list[Any]:
    return [line for axes in sheet.axes for line in axes.lines if len(line.get_xdata()) == points]


def test_a_mean_for_each_group_and_a_trace_for_each_run() -> None:
    sheet = drawn(compared(*small_sweep()), "loss_curves")
    assert [axes.get_title("left") for axes in sheet.axes] == ["residual none", "residual scaled"]
    for axes in sheet.axes:
        means = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(means) == 2
        np.testing.assert_allclose(means[0].get_ydata(), np.array([4, 2, 1]) * 0.1 * 5)
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
        assert any(word.startswith("1 of ") and word.endswith(" diverged") for word in words)


def lost(losses: list[float], evaluated: int, **settings: Any) -> Case:
    """A run that diverged at its last loss, of which the validation has the first few alone."""
    one = case(state="diverged", **settings)
    assert one.traces is not None
    steps, values = np.arange(len(losses), dtype=float), np.array(losses)
    curves = {
        "train_loss": (steps, values),
        "validation_loss": (steps[:evaluated], values[:evaluated]),
    }
    return replace(one, traces=replace(one.traces, curves=curves))


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


def test_a_value_has_one_colour_in_all_figures() -> None:
    comparison = compared(*small_sweep())
    depth = colours(comparison.layout, "model.depth")
    residual = colours(comparison.layout, "residual")
    assert len({to_rgba(c(v)) for c in (depth, residual) for v in c.levels}) == 4
    for name in ("loss_curves", "gradient_flow"):
        for line in lines_of(drawn(comparison, name), 5 if name == "gradient_flow" else 3)[:1]:
            assert to_rgba(line.get_color()) == to_rgba(depth(4))
    found = lines_of(drawn(comparison, "final"), 2)
    assert [to_rgba(line.get_color()) for line in found] == [
        to_rgba(residual("none")),
        to_rgba(residual("scaled")),
    ]
    words = lines_of(drawn(compared(*small_sweep(), by=["residual"]), "loss_curves"), 3)
    assert [to_rgba(line.get_color()) for line in words] == [
        to_rgba(residual("none")),
        to_rgba(residual("scaled")),
    ]


def test_numbers_have_an_ordered_colour_scale() -> None:
    layout = compared(*(case(depth=d) for d in (2, 4, 8, 16, 32))).layout
    shades = [to_rgba(colours(layout, "model.depth")(d)) for d in (2, 4, 8, 16, 32)]
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in shades]
    assert light == sorted(light)
    assert min(np.diff(light)) > 0.02


def test_a_few_near_numbers_have_colours_that_are_told_apart() -> None:
    rates = (0.001, 1.0, 1.01, 1.02)
    shade = colours(compared(*(case(lr=lr) for lr in rates)).layout, "optimizer.lr")
    shades = np.array([to_rgba(shade(lr)) for lr in rates])
    assert np.linalg.norm(np.diff(shades, axis=0), axis=1).min() > 0.2


def test_rates_over_decades_and_ratios_have_logarithmic_axes() -> None:
    cases = [case(lr=lr, depth=d, ratio=1 + lr) for lr in (0.01, 0.02, 0.3) for d in (4, 8)]
    sheet = drawn(compared(*cases, x="lr", metric="gradient_ratio_end"), "final")
    (axes,) = sheet.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    losses = drawn(compared(*cases, x="lr", metric="train_loss"), "final").axes[0]
    assert losses.get_yscale() == "linear"


def test_every_near_value_has_its_tick_and_no_label_stands_on_another() -> None:
    cases = [case(lr=lr) for lr in (0.001, 0.01, 1.0, 1.01)]
    (axes,) = drawn(compared(*cases), "final").axes
    assert axes.get_xticks().tolist() == [0.001, 0.01, 1.0, 1.01]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0.001", "0.01", "1", ""]


def test_the_flow_is_relative_to_its_end() -> None:
    cases = [case(ratio=r, residual=name) for name, r in (("none", 1e-6), ("identity", 1e6))]
    sheet = drawn(compared(*cases), "gradient_flow")
    found = lines_of(sheet, 5)
    assert len(found) == 4  # two groups at the start and at the end
    for line, ratio in zip(found, (1e-6, 1e6, 1e-6, 1e6), strict=True):
        assert line.get_ydata()[0] == pytest.approx(ratio)
        assert line.get_ydata()[-1] == pytest.approx(1)
        assert line.get_xdata()[[0, -1]].tolist() == [0, 1]


def test_theory_stands_beside_the_flow_with_the_ratio_below() -> None:
    seeds = [case(ratio=1e3, seed=seed, theory=True) for seed in (0, 1)]
    start, strip, end = drawn(compared(*seeds), "gradient_flow").axes
    measured, predicted = (line.get_ydata() for line in start.lines if len(line.get_xdata()) == 5)
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


def test_the_map_shows_losses_ratios_and_what_diverged() -> None:
    cases = [
        case(d, depth=d, lr=lr, ratio=d, state="diverged" if d * lr > 30 else "finished")
        for d in (4, 8, 16)
        for lr in (1, 2, 4)
    ]
    sheet = drawn(compared(*cases), "trainability_map")
    loss, ratio, lost = (axes.images[0].get_array() for axes in sheet.axes if axes.images)
    assert loss.mask.tolist() == [[False] * 3, [False, False, True], [False, True, True]]
    assert loss[0].tolist() == [4, 8, 16]
    assert ratio[2].tolist() == [4, 8, 16]
    assert lost.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_cells_of_the_map_are_seen_where_every_ratio_is_one() -> None:
    cases = [case(depth=d, lr=lr) for d in (4, 8) for lr in (0.1, 0.11, 0.12)]
    for axes in drawn(compared(*cases), "trainability_map").axes[:3:2]:
        assert all(side.get_visible() for side in axes.spines.values())
        assert sorted(len(c.get_segments()) for c in axes.collections) == [1, 2]


def test_cells_of_the_map_without_a_run_are_told_of() -> None:
    cases = [case(depth=d, lr=lr) for d in (4, 8) for lr in (1, 2, 3)]
    assert "grey" not in words_of(drawn(compared(*cases), "trainability_map"))
    assert "grey: no run" in words_of(drawn(compared(*cases[1:]), "trainability_map"))


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
    ends = [(float(ratio), "neither") for ratio in np.geomspace(1.1e-5, 9e4, 40)]
    for ratio, wanted in (*ends, (1e-9, "min"), (1e9, "max")):
        cases = [
            case(ratio=ratio if d == 4 else 1, depth=d, residual=r)
            for d in (4, 8)
            for r in ("none", "scaled")
        ]
        bars = drawn(compared(*cases), "trainability_map").axes[1::2]
        assert [bar._colorbar.extend for bar in bars] == ["neither", wanted]


def test_the_last_norms_of_a_run_that_diverges_do_not_set_the_colours(tmp_path: Path) -> None:
    run_in(tmp_path / "sound", config())
    lost = {"optimizer": {"lr": 1e3}, "trainer": {"clip": None, "patience": 1}}
    run = run_in(tmp_path / "lost", config(measure={"every": 1}, **lost))
    assert run.state == "diverged"
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


def titles(sheet: Figure) -> list[str]:
    return [axes.get_title("left") for axes in sheet.axes if axes.get_title("left")]


def test_numbers_ascend_and_words_stand_as_their_sweep_has_them(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", "residual=scaled,none,identity", "model.depth=2,10,1")
    found, _ = told(tmp_path / "sweep")
    assert titles(drawn(found, "layers")) == [
        f"residual {r}, depth {d}" for r in ("scaled", "none", "identity") for d in (1, 2, 10)
    ]
    assert titles(drawn(found, "loss_curves")) == [
        f"residual {r}" for r in ("scaled", "none", "identity")
    ]
    assert [row["residual"] for row in rows(tables(found)["runs.csv"])][::3] == [
        *("scaled", "none", "identity")
    ]


def test_words_of_lone_runs_stand_in_alphabetical_order_after_none() -> None:
    found = compared(*(case(norm=word) for word in ("pre_rms", "a_norm", "none")))
    assert list(found.layout.levels["norm"]) == ["none", "a_norm", "pre_rms"]


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
    FigureCanvasAgg(sheet).draw()
    assert min(map(len, titles(sheet))) > 24
    boxes = [axes._left_title.get_window_extent() for axes in sheet.axes if axes.get_title("left")]
    notes = max(sheet.texts, key=lambda text: len(text.get_text())).get_window_extent()
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in (notes, *boxes[index + 1 :]))


CROWDS: Mapping[str, list[Case]] = {
    "sixty": [
        case(d * lr, depth=d, lr=lr / 100, residual=r)
        for d in (2, 4, 8, 16, 32)
        for lr in (1, 2, 3, 5, 8, 13)
        for r in ("identity", "scaled")
    ],
    "words": [case(i, init=f"an_initialiser_{i}") for i in range(1, 31)],
    "near": [case(lr, lr=lr, ratio=lr) for lr in (0.001, 0.00101, 0.01, 0.011, 1, 1.01, 1.02)],
    "near in one decade": [case(1.0, lr=lr) for lr in (0.1, 0.101, 0.1234, 0.13, 0.2, 0.3)],
    "narrow": [
        case(1.0, lr=0.02 * 1.4**i, init=init, norm=norm)
        for i in range(10)
        for init in "abcd"
        for norm in "xy"
    ],
    "narrow and linear": [
        case(1.0, lr=0.02 + i / 1000, init=init, norm=norm)
        for i in range(10)
        for init in "abcd"
        for norm in "xy"
    ],
    "ladder": [case(i, lr=0.001 * 1.3**i, seed=s) for i in range(1, 41) for s in (0, 1)],
    "one": [case()],
    "together": [
        case(depth=d, residual=r, **{f"task.some_setting_{i}": d + i for i in range(8)})
        for d in (4, 8)
        for r in ("none", "scaled")
    ],
    "seeds": [case(seed + 1, seed=seed) for seed in range(4)],
    "lost": [case(depth=d, seed=s, state="diverged") for d in (4, 8) for s in (0, 1)],
    "running": [case(depth=4, state="running"), case(depth=8, state="pending")],
    "widths": [case(width=w, init=i, lr=lr) for w in (8, 16) for i in "abc" for lr in (1, 2, 3)],
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_nothing_is_empty_and_no_words_overlap(crowd: str) -> None:
    found = figures(compared(*CROWDS[crowd]))
    assert {"loss_curves", "gradient_flow"} <= set(found)
    for name, sheet in found.items():
        FigureCanvasAgg(sheet).draw()
        width, height = sheet.bbox.size
        words = []
        for axes in sheet.axes:
            assert axes.lines or axes.collections or axes.images or axes.patches, name
            words += [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            for axis in (axes.xaxis, axes.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                labels = [label for tick in ticks for label in (tick.label1, tick.label2)]
                words += [label for label in labels if label.get_visible()]
        for legend in sheet.legends:
            words += [*legend.get_texts(), legend.get_title()]
        words += sheet.texts
        boxes = [(w.get_text(), w.get_window_extent()) for w in words if w.get_text().strip()]
        for index, (word, box) in enumerate(boxes):
            inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
            assert inside, f"{name}: {word!r} leaves the page"
            for other, there in boxes[index + 1 :]:
                apart = (
                    box.x1 <= there.x0 + 1
                    or there.x1 <= box.x0 + 1
                    or box.y1 <= there.y0 + 1
                    or there.y1 <= box.y0 + 1
                )
                assert apart, f"{name}: {word!r} on {other!r}"


def test_figures_that_no_longer_apply_are_removed(tmp_path: Path) -> None:
    (tmp_path / "coordinate_check.png").touch()
    written = write(compared(*small_sweep()), tmp_path, ["png", "pdf"])
    assert {path.name for path in written} == {
        f"{name}.{kind}"
        for name in ("final", "gradient_flow", "loss_curves", "trainability_map")
        for kind in ("png", "pdf")
    }
    assert all(path.stat().st_size > 1000 for path in written)
    assert not (tmp_path / "coordinate_check.png").exists()


# the command


def test_the_command(
    sweep: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # of the terminal
    main([str(sweep), "--out", str(tmp_path / "out"), "--formats", "svg"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["depth", "n"]
    assert any(line.startswith("no room for ") for line in lines)
    assert lines[-1].startswith("tables and figures (")
    assert lines[-1].endswith(f") in {tmp_path / 'out'}")
    assert {"groups.csv", "runs.csv", "times.csv", "final.svg"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not a directory"),
        (["."], "no run to compare in ."),
        (["SWEEP", "--formats", "png,bmp"], "--formats must be one of png, svg, pdf, got 'bmp'"),
        (["SWEEP", "--formats", "gif"], "--formats must be one of png, svg, pdf, got 'gif'"),
        (["SWEEP", "--formats", ","], "--formats must name some of png, svg, pdf, got none"),
        (["SWEEP", "--x", "dept"], "--x must name one of model.depth, got 'dept'"),
        (["SWEEP", "--where", "depth"], "--where must be KEY SIGN VALUE"),
        (["SWEEP", "--out", "FILE/x"], "--out DIR writes elsewhere"),
        (["SWEEP", "--colour", "depth"], "unrecognized arguments: --colour depth"),
        ([], "the following arguments are required: DIR"),
    ],
)
def test_mistakes_cost_a_line(
    sweep: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    (tmp_path / "file").touch()
    names = {"SWEEP": str(sweep), "FILE/x": str(tmp_path / "file" / "x")}
    with pytest.raises(SystemExit) as left:
        main([names.get(word, word) for word in arguments])
    assert left.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""  # all is checked before the table is printed
    assert err.startswith("ffn_train.compare: ")
    assert message in err
    assert err.count("\n") == 1
    assert not list((tmp_path / "empty").iterdir())


def test_a_sweep_ends_with_its_comparison(tmp_path: Path) -> None:
    from tests.support.small_runs import SMALL

    settings = [word for word in SMALL if not word.startswith("plot.")]
    root = tmp_path / "sweep"
    command = [sys.executable, "-m", "ffn_train", "-m", *settings, "model.depth=1,2", "seed=0,1"]
    command += [f"sweep.dir={root}", "hydra/launcher=serial"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, figures, last = done.stdout.splitlines()
    assert lines[1].split()[:2] == ["depth", "n"]
    assert figures.endswith(f"in {root / 'comparison'}")
    assert last == f"4 finished of 4 jobs in {root}"
    names = {path.name for path in (root / "comparison").iterdir()}
    assert {"groups.csv", "runs.csv", "times.csv", "loss_curves.png", "final.png"} <= names
    tables_before = (root / "comparison" / "groups.csv").read_bytes()
    # a comparison that cannot be written leaves the sweep what it is
    shutil.rmtree(root / "comparison")
    (root / "comparison").touch()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "no comparison: " in again.stderr
    assert "Traceback" not in again.stderr
    (root / "comparison").unlink()
    main([str(root)])
    assert (root / "comparison" / "groups.csv").read_bytes() == tables_before
