"""The study of verdicts: its ranges share no value, its situations can be run, its sums are right."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from ffn_train.config.composition import compose

STUDY = Path(__file__).resolve().parents[2] / "experiments" / "verdicts"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(STUDY))
    yield importlib.import_module("judge")
    for name in ("judge", "situations"):
        sys.modules.pop(name, None)


def test_no_value_is_drawn_from_both_ranges(study: Any) -> None:
    situations = sys.modules["situations"]
    for situation in situations.SITUATIONS:
        for value in {**situation.sound, **situation.spoiled}.values():
            if isinstance(value, situations.Between):
                (low, high), (lower, higher) = value.setting, value.testing
                assert high < lower or higher < low, situation.name
            elif isinstance(value, situations.OneOf):
                assert not {*value.setting} & {*value.testing}, situation.name


def test_every_cause_has_situations_and_each_can_be_composed(study: Any, tmp_path: Path) -> None:
    situations = sys.modules["situations"].SITUATIONS
    assert len(situations) >= 60
    assert sum(situation.cause == "nothing" for situation in situations) >= 10
    for situation in {each.cause: each for each in situations}.values():
        case = situation.draw("setting", 0, tmp_path)
        assert case.overrides == situation.draw("setting", 0, tmp_path).overrides
        compose(case.overrides)


def test_a_situation_is_judged_and_its_remedy_tried(study: Any, tmp_path: Path) -> None:
    situations = sys.modules["situations"].SITUATIONS
    place = next(i for i, each in enumerate(situations) if each.name == "one step")
    judged = study.judge((place, "setting", 0, tmp_path))
    assert (judged.cause, judged.said, judged.right) == ("too few steps", "too few steps", True)
    assert judged.remedy == "trainer.steps=200"
    assert judged.remedied > judged.skill
    assert judged.helped
    text = study.table(
        [judged, study.Judged("a", "nothing", 0, "depth", False, "yes", "x", True, 0)]
    )
    assert "| too few steps | 1 | 1 | 1 of 1 |" in text
    assert "named right: 1 of 2 (50%)" in text
    assert "false alarms: 1 of 1 good runs" in text
