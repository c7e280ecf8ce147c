"""The page of a comparison in a browser."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.compare.case import Case
from ffn_train.compare.page import content, html
from tests.compare.made_up import case, compared, drawn, having, lines_of, small_sweep, vanished
from tests.view.conftest import Opened, fits, pixels, text, visit

HOSTILE = "</script><img/src=x/onerror=alert(1)>"


@pytest.fixture(scope="session")
def visited_sweep(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    lost = case(9.0, state="diverged", depth=4, residual="identity", seed=0)
    made = html(compared(*small_sweep(), lost, x="depth", color="residual"), "a sweep")
    return visit(browser, made, tmp_path_factory.mktemp("page"))


@pytest.fixture
def sweep_page(visited_sweep: Any) -> Any:
    """The page of 13 runs of two depths and three residuals, as it is when it is opened."""
    page, wrong = visited_sweep
    page.evaluate("""() => {
      Object.assign(comparisonPage.state, { words: "", open: null, rows: "groups" });
      document.getElementById("filter").value = "";
      document.getElementById("rows").value = "groups";
      comparisonPage.steps.go(Infinity);
      comparisonPage.draw();
    }""")
    yield page
    assert not wrong


def rows(page: Any) -> list[list[str]]:
    cells = page.eval_on_selector_all(
        ".runs tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return list(cells)


def test_numbers_are_those_of_the_tables(sweep_page: Any) -> None:
    comparison = compared(*small_sweep(), x="depth", color="residual")
    table = {row[0]: row for row in rows(sweep_page)}
    assert len(table) == 5
    for group in comparison.groups:
        name = f"residual {group.point['residual']}, depth {group.point['model.depth']}"
        statistics = group.statistics(comparison.metric)
        mean, sign, spread = table[name][5].split()
        assert sign == "±"
        assert float(mean) == pytest.approx(statistics.mean, rel=5e-3)
        assert float(spread) == pytest.approx(statistics.std, rel=5e-3)
        ratio = group.statistics(comparison.metrics["gradient_ratio_start"])
        assert f"{float(f'{ratio.mean:.3g}'):g} ×/÷" in " ".join(table[name])


def test_an_unfinished_run_counts_only_where_none_has_ended(opened: Opened) -> None:
    runs = [case(1, seed=0), case(3, seed=1), case(90, seed=2, ratio=8.0, state="interrupted")]
    comparison = compared(*runs, case(7, depth=8, seed=0, state="running"))
    page = opened(html(comparison))
    assert [each.statistics(comparison.metric).mean for each in comparison.groups] == [2, 7]
    for row, group in zip(rows(page), comparison.groups, strict=True):
        assert row[0] == f"depth {group.point['model.depth']}"
        for name in ("validation_loss", "gradient_ratio_start", "gradient_ratio_end"):
            at = list(comparison.metrics).index(name)
            mean = page.evaluate(
                f"comparisonPage.runs.statistics(comparisonPage.runs.all.filter(run => "
                f"run.label.split(',')[1] === '{group.point['model.depth']}'), {at}).mean"
            )
            assert mean == pytest.approx(group.statistics(comparison.metrics[name]).mean)


def test_what_is_another_quantity_in_some_runs_has_no_mean(opened: Opened) -> None:
    kinds = [{"loss": "mse", "task": "a"}, {"loss": "huber", "task": "a"}, {"task": "b"}, {}]
    runs = [having(case(1.0 + at, depth=8 + at), kind) for at, kind in enumerate(kinds)]
    page = opened(html(compared(*runs)))
    names = list(compared(*runs).metrics)

    def mean(name: str, *places: int) -> float | None:
        """NaN arrives as None."""
        some = f"comparisonPage.runs.all.filter((_, at) => {list(places)}.includes(at))"
        number = page.evaluate(f"comparisonPage.runs.statistics({some}, {names.index(name)}).mean")
        return None if number is None or math.isnan(number) else number

    order = [run.settings["model.depth"] for run in compared(*runs).cases]
    mse, huber, other, unknown = (order.index(8 + at) for at in range(4))
    assert mean("validation_loss", mse, huber) is None
    assert mean("validation_score", mse, huber) == 1.5
    assert mean("validation_score", mse, other) is None
    assert mean("train_loss", mse, unknown) == 2.5
    assert mean("gradient_ratio_end", mse, huber, other) == 1


def test_charts_are_drawn_and_the_flow_changes_with_the_step(opened: Opened) -> None:
    runs = small_sweep()
    for each in runs:
        assert each.traces is not None
        each.traces.flow[0] *= np.linspace(3, 1, each.traces.flow.shape[1])
    page = opened(html(compared(*runs, x="depth", color="residual")))
    before = {name: pixels(page, name) for name in ("metric_0", "curves", "flow")}
    assert all(drawn > 300 for drawn, _ in before.values())
    page.keyboard.press("Home")
    assert pixels(page, "flow") != before["flow"]


def test_the_table_is_sorted_in_place(sweep_page: Any) -> None:
    heading = sweep_page.locator(".runs thead button", has_text="validation loss").first
    column = [cell.strip() for cell in sweep_page.locator(".runs thead th").all_inner_texts()]
    at = next(i for i, word in enumerate(column) if word.startswith("validation loss"))
    heading.click()
    up = [row[at] for row in rows(sweep_page)]
    heading.click()
    down = [row[at] for row in rows(sweep_page)]
    means = [float(cell.split()[0]) for cell in up if cell != "–"]
    assert means == sorted(means)
    assert [cell for cell in down if cell != "–"] == [cell for cell in up if cell != "–"][::-1]


@pytest.mark.parametrize("down", [False, True])
def test_runs_without_a_number_are_last_in_both_directions(down: bool, opened: Opened) -> None:
    runs = [case(1.0), case(9.0, state="diverged", seed=1), case(2.0, seed=2)]
    page = opened(html(compared(case(state="failed", seed=3), *runs)))
    page.select_option("#rows", "runs")
    heading = page.locator(".runs thead button", has_text="validation loss").first
    for _ in range(1 + down):
        heading.click()
    at = page.evaluate("comparisonPage.table.sorted.column")
    numbers = ["2", "1"] if down else ["1", "2"]
    assert [row[at] for row in rows(page)] == [*numbers, "not finite", "–"]


def test_a_point_without_a_mean_is_said_to_have_none_for_its_own_reason(opened: Opened) -> None:
    missing = case(depth=16, state="interrupted")
    missing = replace(
        missing, metrics={k: v for k, v in missing.metrics.items() if "loss" not in k}
    )
    stopped, infinite = case(depth=8, state="stopped"), case(math.inf, depth=16)
    for runs, words in (
        ([stopped], "× diverged or stopped"),
        ([missing], "× no value"),
        ([infinite], "× not finite"),
        ([infinite, stopped], "× diverged or stopped, not finite"),
    ):
        page = opened(html(compared(case(), *runs, x="depth")))
        assert words in text(page, '[data-chart="metric_0"] .note')


def test_equal_values_have_no_spread_and_an_axis_around_them(opened: Opened) -> None:
    runs = [case(1.0, seed=at) for at in range(6)]
    page = opened(html(compared(*runs, metric="validation_score")))
    assert rows(page)[0][1:4] == ["6", "0", "1"]
    almost = "1 - 2 ** -53"
    assert page.evaluate(f"extent([[{almost}, 1]], false)") == pytest.approx([0.9, 1.1])
    assert len(page.evaluate(f"evenTicks({almost}, 1)")) < 10
    assert page.evaluate("evenTicks(0.88, 1.12)") == pytest.approx([0.9, 0.95, 1, 1.05, 1.1])


@pytest.mark.parametrize("metric", ["validation_loss", "validation_score"])
def test_what_is_far_worse_than_the_trivial_model_does_not_flatten_the_others(
    metric: str, opened: Opened
) -> None:
    values = {(2, 0): 0.1, (2, 1): 0.2, (4, 0): 0.3, (4, 1): 0.2, (8, 0): 0.4, (8, 1): 6800.0}
    runs = [
        replace(case(value, depth=d, seed=s), trivial=1.0, poor=9.0)
        for (d, s), value in values.items()
    ]
    page = opened(html(compared(*runs, x="depth", metric=metric)))
    ends = page.evaluate("comparisonPage.charts[0].limits()")
    assert ends["max"] - ends["min"] < 2
    runs = [replace(run, trivial=math.nan, poor=math.nan) for run in runs]
    page = opened(html(compared(*runs, x="depth", metric=metric)))
    assert page.evaluate("comparisonPage.charts[0].limits()")["max"] > 3400


EXTEND = """async ([header, blocks]) =>
  comparisonPage.extend(new Data({ name: "", ...header }, (number) => blocks[number]))"""
CHOSEN = """() => ["x", "color", "panel", "metric"].map((id) =>
  document.getElementById(id).selectedOptions[0].text)"""


def test_what_is_chosen_stays_so_where_a_run_brings_a_setting_and_a_metric(opened: Opened) -> None:
    runs, more = small_sweep(), case(1.0, width=16, depth=8)
    bare = [m for m in runs[0].declared if "train" not in m.name]
    runs = [replace(run, declared=bare) for run in runs]
    page = opened(html(compared(*runs, x="depth", color="residual")))
    page.select_option("#panel", label="seed")
    page.select_option("#metric", label="ratio start")
    page.locator(".runs thead button", has_text="lost").click()
    before = page.evaluate(CHOSEN)
    page.evaluate(EXTEND, content(compared(*runs, more, x="depth", color="residual")))
    assert page.evaluate(CHOSEN) == before == ["depth", "residual", "seed", "ratio start"]
    for control in ("#x", "#color", "#panel"):
        assert "width" in text(page, control)
    assert "training loss" in text(page, "#metric")
    shown = page.evaluate(
        "comparisonPage.charts.map((each) => [each.about.title, each.content.axis])"
    )
    assert shown == [["ratio start", "depth"]] * 3
    assert page.evaluate("comparisonPage.charts[0].about.place(1)") == "depth 8"
    assert text(page, "th[aria-sort=ascending]").startswith("lost")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("depth>=16", 6),
        ("depth >= 16", 6),
        ("model.depth>4", 6),
        ("depth<16", 7),
        ("depth<=4.0", 7),
        ("depth==4.0", 7),
        ("residual!=none depth=4", 4),
        ("residual==none", 6),
        ("scaled", 6),
        ("diverged", 1),
        ("4,8,scaled,0.1", 3),  # of a run's name
        ("depth=16,residual=scaled", 0),
        ("x9", 0),
    ],
)
def test_a_filter_holds_for_all(words: str, count: int, sweep_page: Any) -> None:
    before = pixels(sweep_page, "curves")
    sweep_page.locator("#filter").fill(words)
    assert text(sweep_page, ".said").startswith(f"{count} of 13 runs")
    assert count == 0 or pixels(sweep_page, "curves") != before
    invalid = sweep_page.get_attribute("#filter", "aria-invalid")
    assert invalid == ("false" if count else "true")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "dpeth>=2",
            "dpeth>=2: dpeth is not among the settings that differ: residual, depth, seed",
        ),
        ("depth>=abc", "depth>=abc: >= needs a number"),
        ("depth<", "depth<: a condition is SETTING SIGN VALUE, as depth>=16"),
        (">=16", ">=16: a condition is SETTING SIGN VALUE, as depth>=16"),
        ("depth=8", "depth=8: no run has it; depth is 4, 16"),
        ("residual==non", "residual==non: no run has it; residual is none, identity, scaled"),
        ("residual>none", "residual>none: > compares numbers"),
        ("depth=4 seed<x", "seed<x: < needs a number"),
    ],
)
def test_a_condition_that_no_run_can_meet_is_told(words: str, said: str, sweep_page: Any) -> None:
    sweep_page.locator("#filter").fill(words)
    assert text(sweep_page, ".said").strip() == f"0 of 13 runs; {said}"
    assert sweep_page.get_attribute("#filter", "aria-invalid") == "true"


def test_the_value_of_a_setting_that_a_run_lacks_has_no_order(opened: Opened) -> None:
    page = opened(html(compared(case(1.0, units=2), case(2.0, units=4), case(3.0))))
    page.locator("#filter").fill("units>=2")
    assert text(page, ".said").startswith("2 of 3 runs")
    page.locator("#filter").fill("units!=2")
    assert text(page, ".said").startswith("2 of 3 runs")


def test_a_name_that_looks_like_a_condition_is_found(opened: Opened) -> None:
    runs = [replace(case(1.0, seed=at), label=f"jobs/wide=yes,seed={at}") for at in (0, 1)]
    page = opened(html(compared(*runs)))
    page.locator("#filter").fill("wide=yes,seed=1")
    assert text(page, ".said").startswith("1 of 2 runs")


def test_a_cell_of_the_map_opens_its_curves(sweep_page: Any) -> None:
    before = pixels(sweep_page, "curves")
    cell = sweep_page.locator(".map button").first
    name = cell.get_attribute("aria-label").partition(":")[0]
    cell.click()
    assert f"opened: {name}" in text(sweep_page, ".said")
    assert pixels(sweep_page, "curves") != before
    assert "×" in text(sweep_page, ".map")  # of the run that diverged
    assert sweep_page.locator(".map .absent").count() == 1
    sweep_page.locator(".said button").click()
    assert pixels(sweep_page, "curves") == before


def test_axis_colour_panel_and_metric_are_chosen(sweep_page: Any) -> None:
    sweep_page.select_option("#panel", label="seed")
    assert sweep_page.locator('[data-part="metric"] figure').count() == 3
    sweep_page.select_option("#panel", "")
    before = pixels(sweep_page, "metric_0")
    sweep_page.select_option("#metric", label="ratio start")
    assert pixels(sweep_page, "metric_0") != before
    sweep_page.select_option("#metric", "0")


WITHOUT_BANDS = """() => {
  const chart = comparisonPage.charts[0];
  chart.show({ ...chart.content, bands: [] });
}"""


def test_a_spread_that_stands_alone_is_an_error_bar(opened: Opened) -> None:
    runs = [case(1.0, seed=0), case(2.0, seed=1), case(1.5, depth=8)]
    page = opened(html(compared(*runs, x="depth")))
    page.select_option("#metric", "1")
    bars = pixels(page, "metric_0")
    page.evaluate(WITHOUT_BANDS)
    assert pixels(page, "metric_0") != bars


def test_a_band_ends_at_a_gap(sweep_page: Any) -> None:
    values = "[NaN, 1, NaN, 1, 1, Infinity, 1, 1]"
    band = f"{{ x: [0, 1, 2, 3, 4, 5, 6, 7], low: {values}, high: {values} }}"
    assert sweep_page.evaluate(f"() => stretches({band})") == [[1], [3, 4], [6, 7]]


NAMES = """() => {
  const u = comparisonPage.charts[0].drawn, axis = u.axes[0];
  const names = axis.values(u, axis.splits(u));
  return [names, axis.rotate(u, names), u.bbox.height];
}"""


@pytest.mark.parametrize("key", ["activation", "lr"])
def test_each_value_on_the_axis_is_named(key: str, opened: Opened) -> None:
    """Words, and numbers that are not evenly spaced: slanted where there is no room."""
    levels: dict[str, list[Any]] = {
        "activation": ["gelu", "gelu_tanh", "leaky_relu", "relu", "tanh", "x" * 30],
        "lr": [1e-4, 3e-4, 0.003, 0.01, 0.15, 100.0],
    }
    runs = [case(1.0 + at, **{key: level}) for at, level in enumerate(levels[key])]
    page = opened(html(compared(*runs, x=key)))
    wanted = [str(level) if len(str(level)) <= 18 else "x" * 17 + "…" for level in levels[key]]
    names, slant, height = page.evaluate(NAMES)
    assert [float(name) for name in names] == levels[key] if key == "lr" else names == wanted
    assert slant == 0
    page.set_viewport_size({"width": 340, "height": 900})
    page.wait_for_timeout(100)
    narrow, slant, less = page.evaluate(NAMES)
    assert narrow == names
    assert slant > 0
    assert less < height
    page.set_viewport_size({"width": 170, "height": 900})
    page.wait_for_timeout(100)
    assert 0 < len(page.evaluate(NAMES)[0]) < len(names)  # no room for all: some are left out


@pytest.mark.parametrize("width", [420, 320])
def test_a_narrow_window_has_all_controls_in_it(width: int, opened: Opened) -> None:
    page = opened(html(compared(*small_sweep(), x="depth", color="residual")))
    assert fits(page, width)


def test_hovering_names_the_run_and_what_differs(sweep_page: Any) -> None:
    over = sweep_page.locator('[data-chart="curves"] .u-over')
    box = over.bounding_box()
    over.hover(position={"x": box["width"] / 2, "y": box["height"] / 2})
    said = text(sweep_page, '[data-chart="curves"] .readout')
    assert "residual" in said
    assert "depth" in said


def test_two_runs_are_shown_with_their_difference(sweep_page: Any) -> None:
    sweep_page.locator("#pair > summary").click()
    names = sweep_page.eval_on_selector_all("#runs option", "all => all.map(each => each.value)")
    for letter, name in zip("AB", (names[0], names[-2]), strict=True):
        sweep_page.locator(f"#run-{letter}").fill(name)
        sweep_page.locator(f"#run-{letter}").press("Enter")
    table = sweep_page.eval_on_selector_all(
        ".pair tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    first, second, difference = next(row[1:] for row in table if row[0] == "validation loss")
    assert float(difference) == pytest.approx(float(second) - float(first), rel=1e-2, abs=1e-3)
    for chart in ("pair_loss", "pair_difference", "pair_flow"):
        assert pixels(sweep_page, chart)[0] > 300
    sweep_page.locator("#pair > summary").click()


Means = dict[str, tuple[Any, Any]]
MEANS = """chart => comparisonPage[chart].content.lines.filter(line => !line.thin)
  .map(line => [line.label, Array.from(line.x), Array.from(line.y)])"""


def means(page: Any, chart: str) -> Means:
    """The thick lines of a chart, by their names."""
    return {name: (x, y) for name, x, y in page.evaluate(MEANS, chart)}


def with_curve(run: Case, steps: Any, losses: Any) -> Case:
    assert run.traces is not None
    curve = np.array(steps, float), np.array(losses, float)
    curves = {"validation_loss": curve, "train_loss": curve}
    return replace(run, traces=replace(run.traces, curves=curves))


def test_runs_are_averaged_at_their_common_steps_without_lost_and_unfinished_ones(
    opened: Opened,
) -> None:
    runs = [
        with_curve(case(lr=0.1, seed=0), [0, 5, 10], [4, 2, 1]),
        with_curve(case(lr=0.1, seed=1), [0, 5, 7, 10, 15], [1, 8, 9, 4, 2]),
        with_curve(case(lr=0.1, seed=2, state="diverged"), [0, 4, 5, 10], [9, 1e8, 1e9, np.inf]),
        with_curve(case(lr=0.1, seed=3, state="interrupted"), [0, 3], [2, 3]),
        with_curve(case(lr=0.2, seed=0, state="diverged"), [0, 5], [3, np.inf]),
        with_curve(case(lr=0.2, seed=1, state="stopped"), [0, 5], [3, 1e6]),
        with_curve(case(lr=0.3, seed=0, state="running"), [0, 5], [4, 9]),
        with_curve(case(lr=0.3, seed=1, state="running"), [0, 5, 10], [1, 1, 1]),
        with_curve(case(lr=0.4, seed=0, state="diverged"), [0, 5], [3, np.inf]),
        with_curve(case(lr=0.4, seed=1), [0, 5], [3, 6]),
    ]
    page = opened(html(compared(*runs, x="lr")))
    shown = means(page, "curves")
    assert shown["lr 0.1"] == ([0, 5, 10], pytest.approx([2, 4, 2]))
    assert shown["lr 0.2"] == ([], [])  # all lost
    assert shown["lr 0.3"] == ([0, 5], pytest.approx([2, 3]))
    assert shown["lr 0.4"] == ([0, 5], [3, 6])  # the run that is left
    ends = page.evaluate("comparisonPage.curves.limits()")
    assert 9 < ends["max"] < 20  # the first loss of a lost run is in view, its later ones are not


def test_the_mean_of_the_page_is_that_of_the_figure(opened: Opened) -> None:
    runs = [*small_sweep(), case(9.0, state="diverged", depth=4, residual="none", seed=3)]
    comparison = compared(*runs, x="depth", color="residual")
    lines = lines_of(drawn(comparison, "loss_curves"), 3)
    wanted = sorted(np.round(np.array(line.get_ydata()), 4).tolist() for line in lines)
    pages = means(opened(html(comparison)), "curves").values()
    assert sorted(np.round(y, 4).tolist() for _, y in pages) == wanted


@pytest.mark.parametrize(("first", "planned"), [(0, 50_000), (1_000_000, None)])
def test_a_curve_keeps_its_points_whatever_its_steps(first: int, planned: int | None) -> None:
    steps = first + np.arange(941.0)
    settings: dict[str, Any] = {"trainer.steps": planned}
    run = with_curve(case(**settings), steps, np.geomspace(2, 1, 941))
    short = with_curve(case(**settings), steps[:700], np.ones(700))
    counts = content(compared(run, short))[0]["curves"]["train_loss"]["counts"]
    assert all(30 < count <= 60 for count in counts)


def test_a_point_over_other_losses_is_left_out_and_said_to_be(opened: Opened) -> None:
    runs = [having(case(1.0, seed=at), {"loss": loss}) for at, loss in enumerate(("mse", "huber"))]
    alike = [having(case(2.0, seed=at, depth=8), {"loss": "mse"}) for at in range(2)]
    page = opened(html(compared(*runs, *alike, by=["model.depth"], x="depth")))
    ((line, said),) = page.evaluate(
        "comparisonPage.charts.map(({ content, note }) => [content.lines[0], note.textContent])"
    )
    assert (line["x"], line["y"]) == ([1], [2])
    assert said == "no mean: the runs differ in loss"


def test_a_ratio_of_zero_leaves_the_others_on_a_logarithmic_scale(opened: Opened) -> None:
    ratios = {2: 1.0, 4: 0.09, 8: 2e-23, 16: 0.0}
    runs = [
        case(ratio=ratio, depth=depth, residual=residual)
        if ratio
        else vanished(case(depth=depth, residual=residual))
        for depth, ratio in ratios.items()
        for residual in ("none", "scaled")
    ]
    options = {"x": "depth", "color": "residual", "metric": "gradient_ratio_start"}
    page = opened(html(compared(*runs, **options)))
    assert text(page, '[data-chart="metric_0"] .note') == "▾ zero"
    assert page.evaluate("comparisonPage.charts[0].content.log")
    assert 0 < page.evaluate("comparisonPage.charts[0].limits().min") < 2e-23
    shades = page.eval_on_selector_all(
        ".map tbody tr:first-child button", "all => all.map((each) => each.style.background)"
    )
    assert len(set(shades)) == 3
    assert shades[2] == shades[3]  # the low end of the scale


@pytest.mark.parametrize("evaluated", [0, 1, 3, 5])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_lost_run_s_curve_goes_on_to_a_cross_at_its_last_step(
    evaluated: int, seeds: int, opened: Opened
) -> None:
    lost = with_curve(case(state="stopped", depth=8), range(5), [4, 5, 60, 700, 8000])
    assert lost.traces is not None
    steps, losses = lost.traces.curves["train_loss"]
    curves = {
        "train_loss": (steps, losses),
        "validation_loss": (steps[:evaluated], losses[:evaluated]),
    }
    lost = replace(lost, traces=replace(lost.traces, curves=curves))
    page = opened(html(compared(lost, *(case(seed=at, depth=8) for at in range(1, seeds)))))
    lines = page.evaluate(
        "comparisonPage.curves.content.lines.map((line) => [...line.x].map((x, at) => "
        "[x, String(line.y[at])]))"
    )
    assert [[at, str(losses[at]).removesuffix(".0")] for at in range(evaluated)] + [
        [4, "NaN"]
    ] in lines
    assert "× diverged or stopped" in text(page, '[data-chart="curves"] .note')


def test_curves_of_other_losses_have_no_mean(opened: Opened) -> None:
    runs = [having(case(1.0, seed=at), {"loss": loss}) for at, loss in enumerate(("mse", "huber"))]
    alike = [having(case(2.0, seed=at, depth=2), {"loss": "mse"}) for at in range(2)]
    page = opened(html(compared(*runs, *alike, by=["model.depth"])))
    curves, flows = means(page, "curves"), means(page, "flow")
    assert sorted(len(x) for x, _ in curves.values()) == [0, 3]
    assert all(x for x, _ in flows.values())


def test_long_curves_have_the_same_bins_where_one_ends_early(opened: Opened) -> None:
    steps = np.arange(500.0)
    planned: dict[str, Any] = {"trainer.steps": 500}
    runs = [
        with_curve(case(seed=0, **planned), steps, 1 + steps),
        with_curve(case(seed=1, **planned), steps[:333], 1 + steps[:333]),
        with_curve(case(seed=2), steps, 1 + steps),  # how long it would be is not known
    ]
    page = opened(html(compared(*runs, by=["model.depth"])))
    ((x, y),) = means(page, "curves").values()
    assert x == [10 * at + 4.5 for at in range(33)]
    assert y == pytest.approx([1 + at for at in x])


def test_the_flow_is_averaged_over_the_runs_that_count_at_its_step(opened: Opened) -> None:
    """At the start over all; later without lost ones, which do not stretch the axis either."""
    runs = [
        case(ratio=4.0, seed=0),
        case(ratio=1.0, seed=1, depth=2),
        case(ratio=1e12, seed=2, state="diverged"),
    ]
    page = opened(html(compared(*runs, by=["optimizer.lr"])))
    ((x, y),) = means(page, "flow").values()
    assert x == [0, 0.25, 0.5, 0.75, 1]
    assert y == pytest.approx([2 ** (1 - at) for at in x], rel=1e-4)
    assert page.evaluate("comparisonPage.flow.limits()")["max"] < 10
    page.keyboard.press("Home")
    ((x, y),) = means(page, "flow").values()
    assert y == pytest.approx([4e12 ** ((1 - at) / 3) for at in x], rel=1e-4)
    assert page.evaluate("comparisonPage.flow.limits()")["max"] > 1e12


def test_what_a_run_lacks_and_what_is_not_finite_stay_apart() -> None:
    lost = case(2.0, state="diverged", seed=1)
    header, _ = content(compared(case(), lost, case(state="failed", seed=2)))
    names = [metric["name"] for metric in header["metrics"]]
    from ffn_train.compare.page import _values

    values = dict(zip(names, _values(lost, names), strict=True))
    assert values["validation_loss"] == math.inf
    assert math.isnan(_values(case(state="failed"), names)[0])
    assert [run["measured"] for run in header["runs"]] == [True, True, False]


def test_names_are_text(opened: Opened, tmp_path: Path) -> None:
    runs = [case(1.0, residual=HOSTILE), case(2.0, residual="none")]
    page = opened(html(compared(*runs), HOSTILE), color_scheme="dark")
    assert page.locator("img").count() == 0
    assert text(page, "h1") == HOSTILE
    assert HOSTILE in rows(page)[0][0] + rows(page)[1][0]


def test_a_notebook_shows_the_page() -> None:
    comparison = compared(*small_sweep())
    assert comparison.view().page == html(comparison)
    line = "Comparison(12 runs: 12 finished; 4 groups by residual, model.depth)"
    assert repr(comparison) == line
    assert repr(compared(case(1.0))) == "Comparison(1 run: 1 finished; 1 group)"


def test_the_same_runs_give_the_same_bytes() -> None:
    assert html(compared(*small_sweep())) == html(compared(*reversed(small_sweep())))
