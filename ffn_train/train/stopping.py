"""The rules that stop a run before its last step, and what they remember of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ffn_train.tasks.scores import Score

EXPLODED = 1000  # times the loss of the trivial model
FALLS = 0.9  # times the lowest loss so far: noise on a plateau does not get below it


@dataclass(frozen=True)
class Progress:
    """How a run has come along, as far as a rule needs it.

    ``exploded_for``: steps since the loss rose above the limit, or last fell by a tenth there, to
    ``lowest_exploded``. ``best_score``: of the evaluations, at ``best_step``, the first of equals;
    ``since_best``: evaluations that came after it. Scores that are NaN do not count.
    """

    exploded_for: int = 0
    lowest_exploded: float | None = None
    best_score: float | None = None
    best_step: int = 0
    since_best: int = 0

    def with_loss(self, loss: float, limit: float) -> Progress:
        """After one more step, whose loss has exploded if it is above ``limit``."""
        if not loss > limit:
            if not self.exploded_for:
                return self
            return replace(self, exploded_for=0, lowest_exploded=None)
        if self.lowest_exploded is None or loss < FALLS * self.lowest_exploded:
            return replace(self, exploded_for=1, lowest_exploded=loss)
        return replace(self, exploded_for=self.exploded_for + 1)

    def with_score(self, step: int, value: float, score: Score) -> Progress:
        """After one more evaluation."""
        if math.isnan(value):
            return self
        best = self.best_score
        if best is None or (value > best if score.better == "higher" else value < best):
            return replace(self, best_score=value, best_step=step, since_best=0)
        return replace(self, since_best=self.since_best + 1)
