"""A run's score, as its files record it: declaration and result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ffn_train.nn.core import Floats


@dataclass(frozen=True)
class ScoreDeclared:
    """A score as its task declares it (see tasks/scores.py), with that of the baseline."""

    name: str
    symbol: str
    better: Literal["higher", "lower"]
    says: str | None = None
    perfect: float | None = None
    trivial: str | None = None
    no_skill: float | None = None
    baseline_name: str | None = None
    baseline: float | None = None

    def no_better(self, value: float, than: float | None) -> bool:
        """Whether a value is at most as good as another; False if that is unknown."""
        if than is None:
            return False
        return value <= than if self.better == "higher" else value >= than

    def place_of_best(self, values: Floats) -> int | None:
        """The index of the best value, the first of several; NaN are ignored."""
        known = np.flatnonzero(~np.isnan(values))
        if not known.size:
            return None
        pick = np.argmax if self.better == "higher" else np.argmin
        return int(known[pick(values[known])])

    def skill(self, value: float | None) -> float:
        """The share of the trivial model's error that is removed: 1 for perfect outputs.

        Where no score is perfect, how much better a value is than the trivial model's, relative to
        that. NaN if the value or the trivial model's score is unknown, or that is 0 or perfect.
        """
        if value is None or self.no_skill is None:
            return math.nan
        most = abs(self.no_skill) * (1 if self.better == "higher" else -1)
        if self.perfect is not None:
            most = self.perfect - self.no_skill
        return (value - self.no_skill) / most if most else math.nan


@dataclass(frozen=True)
class ScoreResult(ScoreDeclared):
    """A run's final score, and the best one with its step."""

    value: float | None = None
    best: float | None = None
    best_step: int | None = None
