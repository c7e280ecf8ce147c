"""In which settings two runs differ."""

from __future__ import annotations

from typing import Any

from ffn_train.config.keys import lasting
from ffn_train.runs import Run

UNSET = "(unset)"  # of a setting of a choice that the other run does not have


def difference(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    """The settings that may change numbers and differ, by dotted key: both values.

    The source of the data counts; where a run was written and when it was drawn does not.
    """
    left, right = (lasting(run.config, "rounding", "source") for run in (first, second))
    pairs = {key: (left.get(key, UNSET), right.get(key, UNSET)) for key in {**left, **right}}
    return {key: (a, b) for key, (a, b) in pairs.items() if a != b}
