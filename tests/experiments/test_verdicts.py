"""The study of verdicts: its situations, its arithmetic, and three runs judged."""

from __future__ import annotations

import importlib
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffn_train.config.composition import compose
from ffn_train.config.places import EXPERIMENTS
from ffn_train.runs.finding import FLOW, HELD_BACK, LEARNED, Finding

FOLDER = EXPERIMENTS / "verdicts"
pytestmark = pytest.mark.usefixtures("study")


def module(name: str) -> Any:
    return importlib.import_module(name)


def situation(name: str) -> Any:
    (named,) = (
        situation for situation in module("situations").SITUATIONS if situation.name == name
    )
    return named


def outcome(score: float, distance: float = 1.0) -> Any:
    return module("scoring").Outcome(score, 1 - score, baseline_error=0.5, distance=distance)


def judged(name: str, run: Any, *findings: Finding, seed: int = 0, after: Any = None) -> Any:
    """A made-up verdict; ``after``: what becomes of the run with each change, in their order."""
    changes = [finding.change for finding in findings if finding.change]
    remedied = dict(zip(changes, after or (), strict=True))
    return module("scoring").judged(situation(name), "setting", seed, run, findings, remedied)


def test_enough_situations_of_every_cause_and_good_runs() -> None:
    situations = module("situations").SITUATIONS
    causes = Counter(situation.cause for situation in situations)
    assert len({situation.name for situation in situations}) == len(situations) >= 64
    assert len(causes) >= 13
    assert causes["nothing"] >= 12
    assert all(situation.spoiled for situation in situations if situation.cause != "nothing")


@pytest.mark.parametrize("name", ["outlier, Huber", "orthogonal, gain too large"])
def test_a_situation_can_be_composed(name: str, tmp_path: Path) -> None:
    compose(situation(name).draw("testing", 0, tmp_path).overrides)


def test_the_two_ranges_share_no_value() -> None:
    situations = module("situations")
    for situation in situations.SITUATIONS:
        values = [*situation.sound.values(), *situation.spoiled.values()]
        varied = [v for v in values if isinstance(v, situations.Between | situations.OneOf)]
        assert varied or situation.cause in ("noise", "nothing"), situation.name
        for value in varied:
            if isinstance(value, situations.OneOf):
                assert not {*value.setting} & {*value.testing}, situation.name
            else:
                (low, high), (least, most) = sorted([value.setting, value.testing])
                assert low <= high < least <= most, situation.name


def test_a_draw_is_repeatable_and_its_repair_differs_in_what_is_spoiled_alone(
    tmp_path: Path,
) -> None:
    outlier = situation("outlier")
    case, again = (outlier.draw("testing", 1, tmp_path / name) for name in "ab")
    assert [text.replace("/a/", "/b/") for text in case.overrides] == list(again.overrides)
    spoiled, repaired = (
        Path(overrides[1].removeprefix("task.path=")).read_text().splitlines()
        for overrides in (case.overrides, case.repaired)
    )
    differing = [
        (a, b) for a, b in zip(spoiled, repaired, strict=True) if a != b and not a.startswith("x")
    ]
    assert len(differing) == 1
    a, b = (float(line.rsplit(",")[-1]) for line in differing[0])
    assert 1e3 <= a - b <= 5e4
    slow = situation("SGD too slow").draw("setting", 0, tmp_path)
    assert {*slow.overrides} - {*slow.repaired} == {slow.overrides[-1]}
    assert slow.overrides[-1].startswith("optimizer.lr=")


def test_classes_are_quantiles_of_the_target(tmp_path: Path) -> None:
    made = {"rows": 90, "inputs": 4}
    for name, classes in (("numbers", 0), ("letters", 3)):
        rng = np.random.default_rng(0)
        module("situations").write_table(tmp_path / name, **made, classes=classes, rng=rng)
    numbers, letters = (
        [line.rsplit(",", 1) for line in (tmp_path / name).read_text().splitlines()[1:]]
        for name in ("numbers", "letters")
    )
    assert [row[0] for row in numbers] == [row[0] for row in letters]
    ordered = sorted(zip(numbers, letters, strict=True), key=lambda pair: float(pair[0][1]))
    assert "".join(letter for _, (_, letter) in ordered) == "a" * 30 + "b" * 30 + "c" * 30


def test_a_verdict_beside_its_cause() -> None:
    learned = Finding(LEARNED, "no", "it has not learned")
    slow = Finding(HELD_BACK, "rate too small", "", ("optimizer.lr=1",))
    steps = Finding(HELD_BACK, "too few steps", "", ("trainer.steps=9",))
    healthy = Finding(FLOW, "healthy", "healthy")

    run = judged(
        "SGD too slow",
        outcome(0.2),
        learned,
        slow,
        steps,
        healthy,
        after=[outcome(0.9), outcome(0.2)],
    )
    assert (run.said, run.right, run.flow_right, run.learned_right) == (
        "rate too small",
        True,
        True,
        None,
    )
    assert (run.remedy, run.remedied, run.helped, run.flow_helped) == (
        "optimizer.lr=1",
        0.9,
        True,
        None,
    )
    assert run.skill == pytest.approx(1 - 0.8 / 0.5)
    assert not run.called_healthy

    wrong = judged("SGD too slow", outcome(0.2), steps, after=[outcome(0.23)])
    assert (wrong.right, wrong.helped, wrong.flow, wrong.flow_right) == (False, False, "", False)
    refused = judged("SGD too slow", outcome(0.2), slow, after=[None])
    assert (refused.right, refused.helped, math.isnan(refused.remedied)) == (True, False, True)
    lost = judged("SGD too slow", outcome(-math.inf), slow, after=[outcome(-5.0)])
    assert lost.helped
    silent = judged("SGD too slow", outcome(0.2))
    assert (silent.said, silent.right, silent.remedied) == ("", False, None)


def test_a_remedy_for_the_gradient_flow_is_judged_by_the_ratio() -> None:
    nothing = Finding(HELD_BACK, "nothing", "")
    exploding = Finding(FLOW, "exploding", "", ("residual=scaled",))
    far, near = outcome(0.9, distance=9.0), outcome(0.9, distance=4.0)
    for after, helped in ((near, True), (far, False), (outcome(0.95, distance=9.0), True)):
        run = judged("tanh", far, nothing, exploding, after=[after])
        assert (run.helped, run.flow_remedy, run.flow_helped) == (None, "residual=scaled", helped)


def test_called_healthy_without_skill() -> None:
    alone = Finding(FLOW, "healthy", "healthy gradient flow")
    for score, called in ((0.52, True), (0.6, False), (-math.inf, True), (math.nan, True)):
        assert judged("tanh", outcome(score), alone).called_healthy is called


def test_what_all_verdicts_come_to() -> None:
    scoring = module("scoring")
    noise, nothing = Finding(HELD_BACK, "noise", ""), Finding(HELD_BACK, "nothing", "")
    slow = Finding(HELD_BACK, "rate too small", "", ("optimizer.lr=1",))
    yes, bad, better = Finding(LEARNED, "yes", ""), outcome(0.2), outcome(0.9)
    table = scoring.rows(
        [
            judged("tanh", better, yes, nothing),
            judged("tanh", better, yes, noise, seed=1),
            judged("SGD too slow", bad, slow, after=[better]),
            judged("SGD too slow", bad, slow, seed=1, after=[bad]),
            judged("SGD too slow", bad, noise, seed=2),
        ]
    )
    good, slow_rows = table
    assert (good["runs"], good["named_right"], good["said_instead"]) == (2, 1, "noise (1)")
    assert (slow_rows["remedies"], slow_rows["helped"], slow_rows["flow_judged"]) == (2, 1, 3)
    assert scoring.totals(table)[:4] == [
        "named right: 3 of 5, 60 % (goal: 90 %)",
        "false alarms in good runs: 1 of 2, 50 % (goal: 0)",
        "called healthy without skill: 0 of 5, 0 % (goal: 0)",
        "remedies that helped: 1 of 2, 50 % (goal: 80 %)",
    ]
    text = "\n".join(scoring.lines(table))
    assert "| rate too small | 1 | 2 of 3 | SGD too slow: noise (1) | 1 of 2 |" in text


def test_a_change_replaces_a_choice_with_what_belonged_to_it() -> None:
    changed = module("judge").changed
    line = ["init=normal", "init.inner=100", "init.bias_std=1", "optimizer.lr=1", "residual=scaled"]
    assert changed(line, ["init=he", "optimizer.lr=0.1"]) == [
        "init=he",
        "optimizer.lr=0.1",
        "residual=scaled",
    ]
    assert changed(line, ["init=normal", "init.inner=1"])[:2] == ["init=normal", "init.inner=1"]


def test_situations_are_run_and_their_remedies_applied(tmp_path: Path) -> None:
    judge, situations = module("judge"), module("situations").SITUATIONS
    names = ["one step", "gated without a norm, too deep"]
    places = [situations.index(situation(name)) for name in names]
    results = [judge.judge(judge.Job(place, "setting", 0, tmp_path)) for place in places]
    assert all(result.said for result in results)
    assert [result.score < 0.5 for result in results] == [True, True]
    assert results[1].score == -math.inf
    for result, place in zip(results, places, strict=True):  # what was judged wrong is kept
        assert (tmp_path / f"{place}-0").exists() is not result.right
        assert (result.remedied is None) is (result.remedy == "")
    place = situations.index(situation("units killed, plain"))
    spoiled = judge.repair(judge.Job(place, "testing", 0, tmp_path))
    assert float(spoiled["repaired"]) > 0.9 > float(spoiled["score"])
