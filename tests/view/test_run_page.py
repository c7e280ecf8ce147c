"""The page of a run in a browser: its numbers, its pictures, and what it does when it is used."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.runs import Run
from ffn_train.view import run_page
from tests.support.made_measures import with_values
from tests.support.small_runs import config, run_in
from tests.view.conftest import Opened, fits, pixels, text

DEPTH = ("parameter_gradient", "signal_gradient", "quantity_depth", "heat_map")
STEPS = ("quantity_steps", "loss", "score", "ratio", "updates", "clipped")

DECODED = """async () => {
  const all = {};
  for (const [name, quantity] of runPage.quantities) {
    await quantity.ready();
    all[name] = { steps: quantity.steps, values: Array.from(quantity.values) };
  }
  return all;
}"""


def step(page: Any) -> int:
    return int(page.evaluate("runPage.state.step"))


def choose(page: Any, quantity: str) -> None:
    """A quantity's values are unpacked when it is chosen for the first time."""
    page.select_option("#quantity", quantity)
    while page.evaluate("runPage.state.quantity.name") != quantity:
        page.wait_for_timeout(20)


def go(page: Any, index: int) -> None:
    page.locator("#step").fill(str(index))


def test_numbers_in_the_page_are_those_of_the_run(small_page: Any, small_run: Run) -> None:
    decoded = small_page.evaluate(DECODED)
    measures = small_run.measures
    for name, series in measures.series.items():
        if measures.lacks(name):
            continue
        assert decoded[name]["steps"] == series.step.tolist()
        wanted = series.values.astype(np.float32).ravel()
        np.testing.assert_array_equal(np.float32(decoded[name]["values"]), wanted)
    layers = decoded["layer_gradient_norm"]["values"]
    np.testing.assert_allclose(layers, measures.layer_gradient_norm.ravel(), rtol=1e-6)
    ratio = decoded["update_ratio"]["values"]
    np.testing.assert_allclose(ratio, measures.update_ratio.ravel(), rtol=1e-6)


def test_the_text_at_each_step_has_the_run_s_ratio(small_page: Any, small_run: Run) -> None:
    steps = small_run.measures["signal_gradient_rms"].step
    for index, ratio in enumerate(small_run.measures.gradient_ratio):
        go(small_page, index)
        assert step(small_page) == steps[index]
        assert f"Step {steps[index]}" in text(small_page, ".said")
        assert float(text(small_page, "#ratio-now")) == pytest.approx(ratio, rel=5e-3)


def test_every_chart_is_drawn_and_changes_with_the_step(small_page: Any) -> None:
    last = {name: pixels(small_page, name) for name in (*DEPTH, *STEPS)}
    go(small_page, 1)
    for name, before in last.items():
        assert before[0] > 300, f"{name} is empty"
        assert pixels(small_page, name) != before, f"{name} does not change"


def test_a_line_is_where_its_numbers_are(small_page: Any, small_run: Run) -> None:
    """The pixel at each point of the current line is drawn in its colour."""
    colours = small_page.evaluate("""() => {
      const chart = runPage.drawn[0][0], u = chart.drawn, line = chart.content.lines[1];
      const at = (value, scale) => Math.round(u.valToPos(value, scale, true));
      const pixel = (x, y) => [...u.ctx.getImageData(at(x, "x"), at(y, "y"), 1, 1).data];
      return Array.from(line.x, (x, index) => pixel(x, line.y[index]));
    }""")
    assert len(colours) == small_run.measures.depth
    assert all(red < 60 and alpha > 200 for red, _, _, alpha in colours)


def test_keyboard_and_play_move_the_step(small_page: Any) -> None:
    steps = small_page.evaluate("runPage.steps.steps")
    small_page.keyboard.press("Home")
    assert step(small_page) == steps[0]
    small_page.keyboard.press("ArrowRight")
    assert step(small_page) == steps[1]
    small_page.keyboard.press("ArrowLeft")
    small_page.keyboard.press(" ")
    while step(small_page) != steps[-1]:
        small_page.wait_for_timeout(50)
    assert small_page.get_attribute(".steps button", "aria-label") == "play (space)"


def test_a_click_on_the_heat_map_chooses_step_and_block(small_page: Any) -> None:
    over = small_page.locator('[data-chart="heat_map"] .u-over')
    box = over.bounding_box()
    place = {"x": box["width"] * 0.05, "y": box["height"] * 0.5}
    over.hover(position=place)
    small_page.wait_for_timeout(60)
    said = text(small_page, '[data-chart="heat_map"] .readout')
    over.click(position=place)
    assert said.startswith(f"step {step(small_page)} · ")
    assert step(small_page) == 0
    chosen = small_page.input_value("#place")
    assert chosen.startswith("blocks.")
    assert said.split(" · ")[1] == chosen
    assert said.split(" · ")[2] == text(small_page, "#value-now")
    assert chosen in text(small_page, '[data-chart="quantity_steps"] .legend')
    # by keyboard alone
    small_page.locator('[data-chart="heat_map"] .plot').press("ArrowUp")
    assert small_page.input_value("#place") > chosen


def test_hovering_moves_no_chart(small_page: Any) -> None:
    height = small_page.evaluate("document.body.scrollHeight")
    for over in small_page.locator(".u-over").all():
        over.hover()
        small_page.wait_for_timeout(30)
        assert small_page.evaluate("document.body.scrollHeight") == height


def test_a_chart_is_read_by_keyboard(small_page: Any) -> None:
    plot = small_page.locator('[data-chart="signal_gradient"] .plot')
    plot.press("ArrowRight")
    plot.press("ArrowRight")
    said = text(small_page, '[data-chart="signal_gradient"] .readout')
    assert said.startswith("boundary 1 · ")
    assert "skip part" in said
    plot.press("Enter")
    assert small_page.input_value("#place") == "blocks.1"
    assert "from" in plot.get_attribute("aria-label")


def test_what_is_below_a_bound_is_marked_and_named(small_page: Any, small_run: Run) -> None:
    first, *_, norms = small_run.measures.layer_gradient_norm[:, 1:-1]
    last = int(small_run.measures["gradient_norm"].step[-1])
    bound = float(np.sort(norms)[1]) * 1.0001
    before = pixels(small_page, "parameter_gradient")
    small_page.locator("#below").fill(repr(bound))
    note = text(small_page, '[data-chart="parameter_gradient"] .note')
    now, start = note.split(" · ")
    for said, step, at_step in ((now, last, norms), (start, 0, first)):
        assert said.startswith(f"at step {step} below ")
        named = {f"blocks.{at}" for at in np.flatnonzero(at_step < bound)}
        assert set(re.findall(r"blocks\.\d", said)) == named
    assert pixels(small_page, "parameter_gradient") != before
    small_page.locator("#below").fill("1e-30")
    assert "below 1e-30: nothing" in text(small_page, '[data-chart="parameter_gradient"] .note')
    small_page.locator("#below").fill("small")
    assert small_page.get_attribute("#below", "aria-invalid") == "true"
    small_page.locator("#below").fill("")
    assert pixels(small_page, "parameter_gradient") == before
    stretches = small_page.evaluate("below([1, 0, 0, 1, 0, 1, 0, 1, 0, NaN], [...'abcdefghij'], 1)")
    assert stretches == "below 1: b to c, e, g, and 1 more"


def test_a_layer_is_found_by_name(small_page: Any) -> None:
    choose(small_page, "weight_norm")
    small_page.locator("#place").fill("blocks.2.down")
    small_page.keyboard.press("Enter")
    assert small_page.input_value("#place") == "blocks.2.down.weight"
    small_page.locator("#place").fill("nowhere")
    small_page.keyboard.press("Enter")
    assert small_page.get_attribute("#place", "aria-invalid") == "true"


def test_quantities_scales_and_legends_change_the_picture(small_page: Any) -> None:
    before = pixels(small_page, "quantity_depth")
    choose(small_page, "signal_rms")
    other = pixels(small_page, "quantity_depth")
    assert other != before
    small_page.locator("#log").uncheck()
    assert pixels(small_page, "quantity_depth") != other
    small_page.locator("#log").check()
    before = pixels(small_page, "signal_gradient")
    entry = small_page.locator('[data-chart="signal_gradient"] .legend button', has_text="skip")
    entry.click()
    hidden = pixels(small_page, "signal_gradient")
    assert hidden != before
    entry.click()
    assert pixels(small_page, "signal_gradient") == before


def test_a_chart_is_saved_as_picture_and_table(
    small_page: Any, small_run: Run, tmp_path: Path
) -> None:
    chart = small_page.locator('[data-chart="signal_gradient"]')
    with small_page.expect_download() as started:
        chart.get_by_text("CSV").click()
    started.value.save_as(tmp_path / "table.csv")
    header, *rows = csv.reader((tmp_path / "table.csv").read_text().splitlines())
    assert header[:3] == ["block boundary l", "step 0", "now"]
    flow = small_run.measures["signal_gradient_rms"].values
    assert [float(row[2]) for row in rows] == flow[-1].astype(np.float32).tolist()
    with small_page.expect_download() as started:
        chart.get_by_text("PNG").click()
    started.value.save_as(tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes()[:4] == b"\x89PNG"


def test_terms_are_explained(small_page: Any) -> None:
    small_page.locator("dt .term", has_text="growth").focus()
    shown = small_page.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert "factor" in shown


def test_the_outcome_and_the_settings_stand_on_the_page(small_page: Any, small_run: Run) -> None:
    assert "finished" in text(small_page, "h1")
    assert small_run.summary is not None
    for finding in small_run.summary.verdict:
        assert finding.text in text(small_page, "dl")
    small_page.locator("summary").click()
    assert "optimizer.lr" in text(small_page, "details")


def made_up(run: Run, name: str) -> Run:
    """The run with other numbers."""
    shape = run.measures["signal_gradient_rms"].values.shape
    flow = np.ones(shape)
    if name == "zero":
        flow[:] = 0
    elif name == "one row":
        flow = flow[:1]
    elif name == "not finite":
        flow[1:, 0], flow[1:, 1] = np.nan, np.inf
    elif name == "tiny":
        flow[:, 0] = 1e-300
    return replace(run, measures=with_values(run.measures, signal_gradient_rms=flow))


@pytest.mark.parametrize(
    ("name", "said", "note"),
    [
        ("zero", "0/0", "▾ zero"),
        ("one row", "1", ""),
        ("not finite", "not finite", "× not finite"),
        ("tiny", "1e-300", ""),
    ],
)
def test_unusual_numbers_are_shown_in_their_place(
    name: str, said: str, note: str, small_run: Run, opened: Opened
) -> None:
    page = opened(run_page(made_up(small_run, name)))
    assert text(page, "#ratio-now") == said
    assert note in text(page, '[data-chart="signal_gradient"]')
    assert pixels(page, "signal_gradient")[0] > 100


def test_where_nothing_is_finite_no_colours_have_values(small_run: Run, opened: Opened) -> None:
    scalars = {name: column[:1] for name, column in small_run.scalars.items()}
    scalars["clipped_norm"] = np.full(1, np.nan)
    lost = np.full_like(small_run.measures["gradient_norm"].values[:1], np.nan)
    measures = with_values(small_run.measures, gradient_norm=lost)
    page = opened(run_page(replace(small_run, measures=measures, scalars=scalars)))
    assert page.locator('[data-chart="heat_map"] .scale').count() == 0
    assert "no step was taken" in text(page, '[data-chart="clipped"]')


def test_nothing_is_relative_to_weights_that_are_all_zero(small_run: Run, opened: Opened) -> None:
    """As at the start of Fixup."""
    weights = small_run.measures["weight_norm"].values.copy()
    weights[0, [column.block == 0 for column in small_run.measures.tensors]] = 0
    measures = with_values(small_run.measures, weight_norm=weights)
    page = opened(run_page(replace(small_run, measures=measures)))
    for quantity in ("update_ratio", "weight_norm"):
        choose(page, quantity)
        page.evaluate("runPage.find('blocks.0')")
        go(page, 0)
        zero = "does not apply: all weights are 0"
        assert text(page, "#value-now") == (zero if quantity == "update_ratio" else "0")
        assert "not finite" not in text(page, "body")
    assert f"× {zero}" in text(page, '[data-chart="updates"]')


@pytest.mark.parametrize("scores", [[0.1, 0.9, np.nan], [-3, np.nan, np.nan], [-5, -3, -4]])
def test_scores_are_in_view_where_others_are_not_finite_or_all_are_low(
    scores: list[float], small_run: Run, opened: Opened
) -> None:
    scalars = {name: column.copy() for name, column in small_run.scalars.items()}
    score = scalars["validation_score"]
    score[~np.isnan(score)] = scores
    page = opened(run_page(replace(small_run, scalars=scalars)))
    assert ("× not finite" in text(page, '[data-chart="score"]')) is bool(np.isnan(scores).any())
    low, high = page.evaluate(
        "runPage.drawn.find(([chart]) => chart.about.name === 'score')[0].content.y"
    )
    assert low < np.nanmin(scores)
    assert high > np.nanmax(scores)


@pytest.mark.parametrize("name", ["diverged", "none", "killed", "several_targets"])
def test_old_and_unfinished_runs_have_a_page(
    name: str, old_run: Callable[[str], Run], opened: Opened
) -> None:
    run = old_run(name)
    page = opened(run_page(run), color_scheme="dark")
    assert name in text(page, "h1")
    assert pixels(page, "signal_gradient")[0] > 100
    parts = text(page, '[data-chart="signal_gradient"]')
    assert ("skip part" in parts) == (name != "none")


def test_a_run_of_another_program_has_a_page(opened: Opened) -> None:
    from ffn_train.runs import load_run

    run = load_run(Path(__file__).parents[1] / "old_runs" / "foreign")
    page = opened(run_page(run))
    assert "no prediction" in text(page, '[data-chart="parameter_gradient"]')
    assert "settings were not recorded" in page.inner_html("details")


def test_tensors_are_labelled_by_their_roles_whatever_their_names(
    small_run: Run, opened: Opened
) -> None:
    layout = small_run.measures.layout
    tensors = tuple(
        t if t.block is None else replace(t, name=f"h_{t.block}/{t.role}", layer=f"h_{t.block}")
        for t in layout.tensors
    )
    measures = replace(small_run.measures, layout=replace(layout, tensors=tensors))
    page = opened(run_page(replace(small_run, measures=measures)))
    labels = page.evaluate("runPage.quantities.get('gradient_norm').places.map((p) => p.brief)")
    assert labels == [t.name if t.block is None else f"{t.block} {t.role}" for t in tensors]
    assert "0 up.weight" in labels


def test_hostile_names_are_text(small_run: Run, opened: Opened, tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    layout = small_run.measures.layout
    tensors = tuple(
        replace(t, name=f"{hostile}{t.name}", layer=f"{hostile}{t.layer}") for t in layout.tensors
    )
    measures = replace(small_run.measures, layout=replace(layout, tensors=tensors))
    config = {**small_run.config, "residual": {"name": hostile}}
    page = opened(run_page(replace(small_run, measures=measures, config=config)))
    assert page.locator("img").count() == 0
    assert page.input_value("#place").startswith(hostile)
    page.locator("summary").click()
    assert hostile in text(page, "details")


@pytest.mark.parametrize("depth", [1, 1000])
def test_shallow_and_deep_stacks_have_a_page(depth: int, small_run: Run, opened: Opened) -> None:
    run = of_depth(small_run, depth)
    page = opened(run_page(run))
    for name in DEPTH:
        assert pixels(page, name)[0] > 100, name
    choose(page, "gradient_norm")
    page.locator("#place").fill(f"blocks.{depth - 1}.weight")
    page.keyboard.press("Enter")
    norm = run.measures["gradient_norm"].values[-1, depth - 1]
    assert float(text(page, "#value-now")) == pytest.approx(norm, rel=5e-3)


def of_depth(run: Run, depth: int) -> Run:
    """A run of so many blocks of one tensor each, with made-up numbers and no prediction."""
    layout = run.measures.layout
    tensor = layout.tensors[0]
    tensors = tuple(
        replace(tensor, name=f"blocks.{b}.weight", block=b, layer=f"blocks.{b}", order=b)
        for b in range(depth)
    )
    widths = {"tensor": depth, "boundary": depth + 1, "block": depth}
    rng = np.random.default_rng(0)
    measures = replace(run.measures, layout=replace(layout, depth=depth, tensors=tensors))
    numbers = {
        name: rng.random((3, widths[series.column.per])) + 0.5
        for name, series in measures.series.items()
    }
    return replace(run, measures=with_values(measures, **numbers), theory=None)


def test_a_quantity_of_the_whole_run_from_elsewhere_is_shown(
    small_run: Run, opened: Opened
) -> None:
    flow = small_run.measures["signal_gradient_rms"]
    column = replace(flow.column, name="cosine", per="run", says="A cosine.", log=False)
    cosine = replace(flow, column=column, values=np.linspace(-1, 1, len(flow.step)))
    measures = replace(small_run.measures, series={**small_run.measures.series, "cosine": cosine})
    page = opened(run_page(replace(small_run, measures=measures)))
    choose(page, "cosine")
    assert text(page, "#value-now") == "1"
    assert "one number at each step" in text(page, '[data-chart="heat_map"]')
    assert pixels(page, "quantity_steps")[0] > 300


def test_a_run_that_predicts_classes_has_a_page(tmp_path: Path, opened: Opened) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'one' if a > b else 'other'}" for a, b in rng.random((80, 2))]
    (tmp_path / "classes.csv").write_text("\n".join(["a,b,kind", *rows]))
    table = {"name": "table", "path": str(tmp_path / "classes.csv"), "target": "kind"}
    run = run_in(tmp_path / "run", config(task=table))
    page = opened(run_page(run))
    assert "accuracy" in text(page, "dl")
    assert pixels(page, "score")[0] > 300
    page.locator("summary").click()
    assert str(tmp_path) not in page.content()


def test_a_quantity_without_values_says_why(small_run: Run, opened: Opened) -> None:
    series = dict(small_run.measures.series)
    column = replace(series["dead_share"].column, absent="no unit rectifies")
    series["dead_share"] = replace(series["dead_share"], column=column)
    del series["update_norm"]
    late = series["signal_rms"]
    series["signal_rms"] = replace(late, step=late.step[:2], values=late.values[:2])
    page = opened(run_page(replace(small_run, measures=replace(small_run.measures, series=series))))
    choose(page, "dead_share")
    assert "does not apply: no unit rectifies" in text(page, '[data-chart="quantity_depth"]')
    assert "not measured" in text(page, '[data-chart="updates"]')
    choose(page, "signal_rms")
    assert "not measured at step 8: as at step 3" in text(page, '[data-chart="quantity_depth"]')


@pytest.mark.parametrize("width", [420, 320])
def test_a_narrow_window_has_all_controls_in_it(width: int, small_run: Run, opened: Opened) -> None:
    page = opened(run_page(small_run))
    assert fits(page, width)
