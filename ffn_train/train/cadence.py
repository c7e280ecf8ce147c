"""When a row is due: every so many steps, and less often as a run grows long."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Cadence:
    """Every ``every`` steps up to ``limit`` rows; from there the interval doubles with the step.

    Between 2ᵏ·limit·every and 2ᵏ⁺¹·limit·every steps the interval is 2ᵏ⁺¹·every, so each doubling
    of the run adds limit/2 rows: a million steps with ``every=1, limit=10000`` give 43,000 rows.
    The rule does not depend on the run's length, so a resumed or extended run keeps its rows.
    """

    every: int
    limit: int

    def due(self, step: int) -> bool:
        """Whether a row is due at ``step``."""
        return step % self._interval(step) == 0

    def next(self, step: int) -> int:
        """The first step from ``step`` on at which a row is due; beyond all runs if none is."""
        if self.limit == 1 and step > 0:  # half a row for each doubling: there is none
            return sys.maxsize
        while not self.due(step):
            step += -step % self._interval(step)
        return step

    def _interval(self, step: int) -> int:
        return self.every << (step // (self.every * self.limit)).bit_length()
