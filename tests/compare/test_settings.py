"""Settings of runs: which differ, how runs are grouped and chosen by them."""

from __future__ import annotations

from typing import Any

import pytest

from ffn_train.compare.likeness import in_words
from ffn_train.compare.metrics import STANDARD
from ffn_train.compare.values import differing, in_brief
from ffn_train.compare.where import conditions
from ffn_train.config.settings import SettingError
from ffn_train.plots.settings import flatten
from tests.compare.made_up import (
    case,
    compared,
    having,
)
from tests.support.small_runs import config


def test_choices_are_named_and_what_changes_no_number_is_left_out() -> None:
    flat = flatten(config())
    assert flat["residual"] == "scaled"
    assert flat["residual.power"] == 0.5
    assert flat["model.depth"] == 3
    assert not {key.partition(".")[0] for key in flat} & {"run", "plot", "checkpoint", "threads"}


def test_what_looks_the_same_in_brief_is_told_apart() -> None:
    rates = [0.1, 0.1000001, 0.1000002, 0.25]
    assert in_brief(rates, 16) == ["0.1", "0.1000001", "0.1000002", "0.25"]
    assert in_brief([1, 1.00001, "a" * 30, "a" * 29], 9) == [
        "1",
        "1.00001",
        "aaaa…aaaa (2)",
        "aaaa…aaaa (1)",
    ]
    task = {"name": "table", "path": "a.csv", "target": ["Größe", "b"]}
    assert flatten(config(task=task))["task.target"] == '["Größe", "b"]'


def test_settings_that_differ_are_listed_as_in_a_sentence() -> None:
    assert in_words(["model.width"]) == "differ in width"
    assert in_words(["task", "loss"]) == "differ in loss and task"
    assert in_words(["task", "loss", "model.width"]) == "differ in loss, task and width"


def test_engines_can_be_compared_also_with_runs_older_than_the_choice() -> None:
    older = {key: value for key, value in config().items() if key != "engine"}
    assert differing([flatten(older), flatten(config(engine="numpy"))]) == []
    assert differing([flatten(older), flatten(config(engine="compiled"))]) == ["engine"]


def test_settings_that_a_choice_implies_do_not_differ() -> None:
    none: dict[str, Any] = {"residual": "none"}
    scaled: dict[str, Any] = {"residual": "scaled", "residual.scale": 1.0}
    assert differing([none, scaled]) == ["residual"]
    assert differing([none, scaled, {**scaled, "residual.scale": 2.0}]) == [
        "residual",
        "residual.scale",
    ]


def test_a_frame_tells_null_from_what_a_run_lacks() -> None:
    clips = [having(case(seed=i), {"trainer.clip": clip}) for i, clip in enumerate((None, 1.0))]
    frame = compared(*clips, case(seed=2)).frame()
    assert frame["trainer.clip"].fillna("lacks").tolist() == ["lacks", "null", 1.0]


def test_groups_over_seeds_sorted_by_number() -> None:
    cases = [case(depth=depth, seed=seed) for seed in (1, 0) for depth in (64, 4, 16)]
    comparison = compared(*cases)
    assert comparison.keys == ["model.depth"]
    assert [group.point["model.depth"] for group in comparison.groups] == [4, 16, 64]
    assert [[c.seed for c in group.cases] for group in comparison.groups] == [[0, 1]] * 3


def test_grouping_by_what_is_asked_for() -> None:
    cases = [case(d, depth=d, residual=r) for d in (4, 8) for r in ("none", "scaled")]
    none, _ = compared(*cases, by=["residual"]).groups
    assert none.point == {"residual": "none"}
    assert none.statistics(STANDARD["validation_loss"]).mean == 6.0
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
    filters = conditions(words, [each.settings for each in cases])
    matching = [
        each for each in cases if all(condition.holds(each.settings) for condition in filters)
    ]
    assert [each.settings["model.depth"] for each in matching] == depths


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
    cases = [case(**dict[str, Any]({"measure.every": n, "evaluate.every": n})) for n in (1, 2)]
    with pytest.raises(SettingError, match=r"may be any of evaluate\.every, measure\.every"):
        compared(*cases, x="every")


def test_words_of_lone_runs_stand_in_alphabetical_order_after_none() -> None:
    comparison = compared(*(case(norm=word) for word in ("pre_rms", "a_norm", "none")))
    assert list(comparison.layout.levels["norm"]) == ["none", "a_norm", "pre_rms"]
