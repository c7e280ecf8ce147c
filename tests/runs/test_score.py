"""What a score declares of itself, and the skill that follows."""

from __future__ import annotations

from typing import Any

import pytest

from ffn_train.runs.score import ScoreDeclared

NAN = float("nan")


@pytest.mark.parametrize(
    ("better", "perfect", "no_skill", "value", "skill"),
    [
        ("higher", 1.0, 0.5, 0.75, 0.5),
        ("higher", 1.0, 0.5, 0.5, 0.0),
        ("higher", 1.0, -1.0, -2.0, -0.5),
        ("lower", 0.0, 4.0, 1.0, 0.75),
        ("lower", -2.0, 0.0, -1.0, 0.5),
        ("higher", None, 2.0, 3.0, 0.5),  # relative to the trivial model's
        ("higher", None, -2.0, -1.0, 0.5),
        ("lower", None, 2.0, 3.0, -0.5),
        ("lower", None, -2.0, -3.0, 0.5),
        ("higher", None, 0.0, 3.0, NAN),
        ("higher", 1.0, 1.0, 0.5, NAN),  # guesses are perfect
        ("higher", 1.0, None, 0.5, NAN),
        ("higher", 1.0, NAN, 0.5, NAN),
        ("lower", 0.0, 4.0, None, NAN),
        ("lower", 0.0, 4.0, NAN, NAN),
        ("lower", 0.0, 4.0, float("inf"), float("-inf")),
    ],
)
def test_the_skill(
    better: Any, perfect: float | None, no_skill: float | None, value: float | None, skill: float
) -> None:
    score = ScoreDeclared("s", "S", better, perfect=perfect, no_skill=no_skill)
    assert score.skill(value) == pytest.approx(skill, nan_ok=True)
