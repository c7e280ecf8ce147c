"""The numbers of a group: means, spreads, and what counts in them."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffn_train.compare import table
from ffn_train.compare.case import Case
from ffn_train.compare.metrics import STANDARD, statistics
from ffn_train.compare.tables import tables
from tests.compare.made_up import (
    case,
    compared,
    drawn,
    figures,
    having,
    lines_of,
    rows,
    words_of,
)


def test_statistics_by_hand() -> None:
    result = statistics([1.0, 2.0, 6.0])
    assert (result.n, result.mean, result.min, result.max) == (3, 3.0, 1.0, 6.0)
    assert result.std == pytest.approx(math.sqrt((4 + 1 + 9) / 2), rel=1e-15)
    assert result.stderr == pytest.approx(math.sqrt(7 / 3), rel=1e-15)


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    result = statistics([0.5, math.nan])
    assert (result.n, result.mean, result.min, result.max) == (1, 0.5, 0.5, 0.5)
    assert math.isnan(result.std)
    assert math.isnan(result.stderr)
    none = statistics([math.inf, math.nan])
    assert none.n == 0
    assert math.isnan(none.mean)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_spread_of_extreme_values(scale: float) -> None:
    assert statistics([1 * scale, 3 * scale]).std == pytest.approx(math.sqrt(2) * scale, rel=1e-12)
    assert statistics([0.1] * 3).mean == 0.1  # rounding must not leave the range


def test_geometric_statistics_by_hand() -> None:
    result = statistics([1.0, 10.0, 1000.0], geometric=True)
    assert result.mean == pytest.approx(10 ** (4 / 3), rel=1e-14)
    std = 10 ** np.std([0, 1, 3], ddof=1)
    assert result.std == pytest.approx(std, rel=1e-13)
    assert result.stderr == pytest.approx(std ** (1 / math.sqrt(3)), rel=1e-13)
    assert (result.low, result.high) == (result.mean / result.std, result.mean * result.std)
    assert (result.n, result.min, result.max) == (3, 1.0, 1000.0)
    assert statistics([0.1] * 3, geometric=True).mean == 0.1
    extreme = statistics([1e-300, 1e300], geometric=True)
    assert extreme.mean == pytest.approx(1.0)
    assert extreme.std == math.inf


def test_a_geometric_mean_over_a_zero_is_zero_and_what_is_not_finite_is_left_out() -> None:
    result = statistics([0.0, 4.0, math.inf, math.nan], geometric=True)
    assert (result.n, result.mean, result.min, result.max) == (2, 0.0, 0.0, 4.0)
    assert math.isnan(result.std)
    assert math.isnan(result.stderr)


def test_ratios_over_seeds_are_geometric_in_table_and_figure() -> None:
    cases = [
        case(ratio=r, depth=d, seed=s) for d in (4, 8) for s, r in enumerate((1e-6, 1e-2, 1e-1))
    ]
    comparison = compared(*cases, metric="gradient_ratio_end")
    # the arithmetic one would be 0.037 ± 0.055: below zero within a deviation
    assert f"0.001 ×/÷ {10 ** np.std([-6, -2, -1], ddof=1):.3g}" in table(comparison)
    assert "geometric mean ×/÷ standard deviation" in table(comparison)
    sheet = drawn(comparison, "final")
    (line,) = lines_of(sheet, 2)
    np.testing.assert_allclose(line.get_ydata(), 1e-3)
    assert "geometric mean ×/÷ its standard deviation over seeds" in words_of(sheet)
    (bar, *_) = [c for c in sheet.axes[0].collections if not c.get_label().startswith("_minor")]
    ends = bar.get_segments()[0][:, 1]
    assert ends[1] / 1e-3 == pytest.approx(1e-3 / ends[0])
    ratios, losses = (
        next(row for row in rows(tables(comparison)["groups.csv"]) if row["metric"] == metric)
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
    lines = rows(tables(compared(*cases))["groups.csv"])
    (row,) = (line for line in lines if line["metric"] == "gradient_ratio_end")
    assert (row["n_values"], row["n_not_finite"]) == ("2", "1")
    cases[2] = replace(cases[2], metrics={**lost, "gradient_ratio_end": 0.0})
    text = table(compared(*cases, metric="gradient_ratio_end"))
    assert "ratio end: the mean is 0 where that of a run is" in text
    assert text.split("\n")[2].split()[2:4] == ["0", "1"]  # no spread beside it


def test_diverged_runs_are_counted_and_not_averaged_in() -> None:
    group = compared(case(1, seed=0), case(3, seed=1), case(1e9, seed=2, state="diverged")).groups[
        0
    ]
    result = group.statistics(STANDARD["best_validation_loss"])
    assert (result.n, result.mean, result.max) == (2, 2.0, 3.0)
    assert group.n_lost == 1
    assert group.share_lost == pytest.approx(1 / 3)
    # what is measured before the first update is that of all
    assert group.statistics(STANDARD["gradient_ratio_start"]).n == 3
    assert group.statistics(STANDARD["gradient_ratio_end"]).n == 2


def test_a_run_and_its_repetitions_count_once() -> None:
    repeated = [case(9, state="interrupted"), case(1), case(1, state="running"), case(3, seed=1)]
    comparison = compared(*repeated)
    result = comparison.groups[0].statistics(STANDARD["train_loss"])
    assert (result.n, result.mean) == (2, 2.0)
    assert result.stderr == pytest.approx(1)
    said = "2 runs: 2 finished; 2 with another's settings and seed, left out"
    assert said in table(comparison)
    unknown = case(seed=None)
    assert len(compared(unknown, replace(unknown, path=Path("another"))).cases) == 2
    altered = [replace(case(), data=digest) for digest in "ab"]
    assert len(compared(*altered).cases) == 2


def test_the_metric_is_one_that_all_runs_have() -> None:
    cases = [case(seed=seed) for seed in range(3)]
    assert compared(*cases).metric.name == "validation_loss"
    known = {k: v for k, v in cases[2].metrics.items() if k != "validation_loss"}
    cases[2] = replace(cases[2], metrics=known)
    assert compared(*cases, case(seed=3, state="pending")).metric.name == "train_loss"
    chosen = compared(*cases, metric="validation_loss")
    assert "3 runs: 3 finished; 1 without validation_loss" in table(chosen)


def test_an_unfinished_run_is_not_averaged_with_those_that_ended() -> None:
    cases = [case(1, seed=0), case(3, seed=1), case(90, seed=2, ratio=8.0, state="interrupted")]
    comparison = compared(*cases, case(7, depth=8, state="running"))
    four, eight = comparison.groups
    loss = comparison.metric
    assert (four.statistics(loss).n, four.statistics(loss).mean) == (2, 2.0)
    # what was measured before the first update is known
    assert four.statistics(STANDARD["gradient_ratio_start"]).mean == pytest.approx(2)
    assert four.statistics(STANDARD["gradient_ratio_end"]).mean == 1
    assert eight.statistics(loss).mean == 7  # there is none that ended
    assert comparison.reservations == [
        "1 unfinished, shown as they are now",
        "1 unfinished, left out of the final means",
    ]
    flows = lines_of(drawn(comparison, "gradient_flow"), 5)
    start, end = (line.get_ydata()[0] for line in flows)
    assert (start, end) == (pytest.approx(2), 1)
    only_lost = compared(case(seed=0, state="diverged"), case(5, seed=1, state="running"))
    assert only_lost.groups[0].statistics(loss).mean == 5


QUANTITIES = [
    {"task": "sinusoid", "loss": "mse"},
    {"task": "sinusoid", "loss": "huber", "loss.delta": 1.0},
    {"task": "sinusoid", "loss": "huber", "loss.delta": 2.0},
    {"task": "table", "task.target": "a", "loss": "mse"},
    {"task": "table", "task.target": "b", "loss": "mse"},
    {"task": "table", "loss": "mse"},
    {},
]


@pytest.mark.parametrize(
    ("first", "second", "losses", "scores"),
    [
        (0, 0, "", ""),
        (0, 1, "loss", ""),
        (1, 2, "loss.delta", ""),
        (0, 3, "task", "task"),
        (1, 3, "loss and task", "task"),
        (3, 4, "task.target", "task.target"),
        (3, 5, "", ""),  # an unknown target may be the same
        (0, 6, "", ""),
    ],
)
def test_what_is_another_quantity_in_some_runs_has_neither_mean_nor_best(
    first: int, second: int, losses: str, scores: str
) -> None:
    cases = [
        having(case(loss, depth=depth), QUANTITIES[index])
        for loss, depth, index in ((1.0, 4, first), (2.0, 5, second))
    ]
    pooled, apart = compared(*cases, by=["lr"]), compared(*cases)
    (group,) = pooled.groups
    for name, differing in (
        ("validation_loss", losses),
        ("best_train_loss", losses),
        ("validation_score", scores),
        ("baseline_score", scores),
        ("gradient_ratio_end", ""),
    ):
        mean = 1.0 if name.startswith("gradient") else 1.5
        assert group.statistics(STANDARD[name]).n == (0 if differing else 2)
        assert differing or group.statistics(STANDARD[name]).mean == mean
    assert pooled.reservations == [
        f"no mean of {kind} over runs that differ in {differing}"
        for kind, differing in (("losses", losses), ("scores", scores))
        if differing
    ]
    assert apart.reservations == []  # a group each
    best = "no lowest final validation loss: the runs differ in " + losses
    lines = table(apart).split("\n")
    assert (best in lines) == bool(losses)
    assert any(line.startswith("lowest final validation loss: ") for line in lines) != bool(losses)
    assert any(" of baseline: " in line for line in table(pooled).split("\n")) != bool(scores)
    means = lines_of(drawn(pooled, "loss_curves"), 0 if losses else 3)
    assert len(means) == 1


def test_runs_of_other_rows_or_another_part_have_no_mean() -> None:
    """The settings are the same; seeds may have other rows, as they split them otherwise."""
    runs = [replace(case(float(seed), seed=seed), data=f"d{seed}") for seed in (1, 2)]
    assert not compared(*runs).reservations
    assert compared(*runs).groups[0].statistics(STANDARD["validation_loss"]).n == 2
    edited = compared(*runs, replace(runs[0], path=Path("later"), data="d3"))
    assert edited.reservations == [
        "no mean of losses over runs that differ in the rows",
        "no mean of scores over runs that differ in the rows",
    ]
    (group,) = edited.groups
    assert group.statistics(STANDARD["validation_loss"]).n == 0
    assert group.statistics(STANDARD["gradient_ratio_end"]).n == 3
    parts = [replace(run, parts={"mine/act.py": run.data or ""}) for run in runs]
    assert compared(*parts).reservations == [
        "no mean of losses over runs that differ in the content of parts",
        "no mean of scores over runs that differ in the content of parts",
    ]
    same = [replace(run, parts={"act.py": "a"}) for run in runs]
    deeper = [replace(case(depth=8, seed=run.seed), parts={"act.py": "b"}) for run in runs]
    whole = compared(*same, *deeper)  # which have other settings, so that they may be compared
    assert not whole.reservations
    assert "lowest final validation loss: " in table(whole)


def test_runs_of_unlike_scores_or_units_are_another_quantity() -> None:
    """As those of a recorded run, of whose loss function nothing else is known."""

    def declared(unit: str, score: str) -> Case:
        about = [replace(STANDARD["train_loss"], unit=unit)]
        about += [replace(STANDARD["validation_score"], heading=("", score))] * bool(score)
        return replace(case(seed=unit), declared=about)

    def words(*cases: Case) -> str:
        return " ".join(compared(*cases).reservations)

    nats, bits = declared("in nats", "R²"), declared("in bits", "accuracy")
    assert "losses over runs that differ in unit of the loss" in words(nats, bits)
    assert "scores over runs that differ in score" in words(nats, bits)
    assert words(nats, declared("", "")) == ""
    known = [having(each, {"loss": "mse"}) for each in (nats, bits)]
    assert "losses" not in words(*known)  # an older version had other words for the unit


def test_all_diverged() -> None:
    comparison = compared(*(case(seed=seed, state="diverged") for seed in range(2)))
    row = next(
        r for r in rows(tables(comparison)["groups.csv"]) if r["metric"] == "validation_loss"
    )
    assert (row["n"], row["n_diverged"], row["share_lost"]) == ("2", "2", "1.0")
    assert (row["n_values"], row["mean"], row["std"]) == ("0", "", "")
    assert "2 diverged" in table(comparison)
    assert {"loss_curves", "gradient_flow"} <= set(figures(comparison))
