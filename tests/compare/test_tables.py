"""The tables, as CSV and in the terminal."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from ffn_train.compare import table
from ffn_train.compare.metrics import STANDARD
from ffn_train.compare.tables import tables
from tests.compare.made_up import (
    case,
    compared,
    rows,
    small_sweep,
)


def test_the_tables_do_not_depend_on_the_order_of_the_runs() -> None:
    cases = small_sweep()
    assert tables(compared(*cases)) == tables(compared(*reversed(cases)))


def test_a_row_for_each_group_and_metric() -> None:
    lines = rows(tables(compared(*small_sweep()))["groups.csv"])
    assert len(lines) == 4 * len(STANDARD)
    (row,) = [
        row
        for row in lines
        if (row["residual"], row["model.depth"], row["metric"]) == ("none", "16", "train_loss")
    ]
    losses = [0.1 * 16, 0.1 * 17, 0.1 * 18]
    assert (row["n"], row["n_values"]) == ("3", "3")
    assert float(row["mean"]) == pytest.approx(np.mean(losses), rel=1e-15)
    assert float(row["std"]) == pytest.approx(np.std(losses, ddof=1), rel=1e-12)
    assert float(row["stderr"]) == pytest.approx(np.std(losses, ddof=1) / 3**0.5, rel=1e-12)
    assert (float(row["min"]), float(row["max"])) == (losses[0], losses[2])


def test_what_held_the_runs_back_is_counted() -> None:
    kinds = ["depth", "nothing", "depth"]
    cases = [
        replace(case(seed=seed), verdict={"held back": kind, "gradient flow": "healthy"})
        for seed, kind in enumerate(kinds)
    ]
    comparison = compared(*cases, case(seed=3))
    assert "held back: depth in 2, nothing in 1; gradient flow: healthy in 3" in table(comparison)
    assert [row["held_back"] for row in rows(tables(comparison)["runs.csv"])] == [*kinds, ""]


def test_groups_that_were_held_back_are_named_if_they_are_few() -> None:
    large = "rate too large"
    cases = [
        replace(case(depth=depth), verdict={"held back": kind})
        for depth, kind in enumerate(["nothing", large, "noise", large, large, large], start=1)
    ]
    few = compared(*cases[:4])
    said = "held back: rate too large in 2 (depth=2; depth=4), nothing in 1, noise in 1 (depth=3)"
    assert few.verdicts == said
    assert compared(*cases).verdicts.startswith("held back: rate too large in 4, nothing in 1")
    assert "lowest final validation loss: depth=1 (1)" in table(few)
    long = [replace(each, settings={**each.settings, "model": "m" * 60}) for each in cases[:1]]
    long = [replace(each, verdict={"held back": large}) for each in long]
    assert compared(*long, *cases[1:2]).verdicts == "held back: rate too large in 2"


def test_the_best_group_is_named_with_what_its_mean_leaves_out() -> None:
    others = [case(1.0, depth=8, seed=seed) for seed in range(2)]
    lost = compared(case(0.5, depth=4), case(9.0, depth=4, seed=1, state="diverged"), *others)
    said = "lowest final validation loss: depth=4 (0.5, 1 of 2 diverged or stopped)"
    assert said in table(lost)
    going = compared(case(0.5, depth=4, state="interrupted"), *others)
    assert "lowest final validation loss: depth=4 (0.5, unfinished)" in table(going)


def test_a_row_for_each_run() -> None:
    lost = case(7, depth=4, residual="none", seed=3, state="diverged")
    lines = rows(tables(compared(*small_sweep(), lost))["runs.csv"])
    before = ["residual", "model.depth", "seed", "state", "learned", "held_back", "gradient_flow"]
    assert list(lines[0]) == [*before, *STANDARD, "directory"]
    assert [row["seed"] for row in lines][:5] == ["0", "1", "2", "3", "0"]
    assert lines[3]["state"] == "diverged"
    assert lines[3]["validation_loss"] == "nan"
    assert lines[3]["best_validation_loss"] == "7"
    assert lines[0]["directory"] == small_sweep()[9].label


def test_one_seed_leaves_the_spread_empty() -> None:
    lines = rows(tables(compared(*small_sweep(skip=(1, 2))))["groups.csv"])
    assert {(row["n_values"], row["std"], row["stderr"]) for row in lines} == {("1", "", "")}


def test_the_printed_table_shows_what_differs_and_fits() -> None:
    failed = case(state="failed", depth=4, seed=9, residual="none")
    text = table(compared(*small_sweep(), failed), 100)
    lines = text.splitlines()
    assert lines[1].split()[:3] == ["residual", "depth", "n"]
    assert "lr" not in lines[1]
    assert [line.split()[:2] for line in lines[2:6]] == [
        ["none", "4"],
        ["none", "16"],
        ["scaled", "4"],
        ["scaled", "16"],
    ]
    assert all(len(line) <= 100 for line in lines)
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
    left = re.findall(
        r"left out to fit the terminal: (.*) \(all columns are in groups.csv\)", words
    )
    named = [*shown[4:], *(left[0].split(", ") if left else [])]
    assert sorted(named) == sorted(" ".join(m.heading).strip() for m in STANDARD.values())
    assert bool(left) == (width < 130)
    explained = "ratio |dL/dx_0| / |dL/dx_L|" in words
    assert explained == any(name.startswith("ratio ") for name in shown)
    assert ("growth per block" in words) == any(name.startswith("growth ") for name in shown)
    if width >= 60:
        assert all(len(line) <= width for line in text.splitlines())


def test_a_wide_terminal_shows_every_spread() -> None:
    text = table(compared(*small_sweep()))  # for a pipe or a file
    assert "left out" not in text
    assert text.splitlines()[2].count("±") == 7
    assert text.splitlines()[2].count("×/÷") == 4


def test_settings_that_change_with_another_give_way_to_numbers() -> None:
    more = [f"task.setting_with_a_long_name_{i}" for i in range(4)]
    cases = [
        case(residual=r, depth=d, **dict.fromkeys(more, f"that of {r}"))
        for r in ("none", "scaled")
        for d in (4, 8)
    ]
    text = table(compared(*cases), 100)
    assert headings(text)[:4] == ["residual", "depth", "n", "diverged"]
    assert "validation loss" in headings(text)
    names = ", ".join(more)
    assert f"{names} change together with residual" in " ".join(text.splitlines())
