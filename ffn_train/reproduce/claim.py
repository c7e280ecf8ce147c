"""A published claim, what was measured of it, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ABSENT = "premise absent"
Bound = Literal["near", "at least", "at most"]


@dataclass(frozen=True)
class Check:
    """One number of a claim: what was measured beside what the claim expects of it.

    ``near``: |measured - expected| <= tolerance; ``at least`` and ``at most``: measured lies on
    that side of expected, or within the tolerance of it. A ``trivial`` one holds by construction:
    it is shown and counts for nothing.
    """

    label: str
    measured: float
    expected: float
    tolerance: float = 0.0
    bound: Bound = "near"
    trivial: bool = False

    def __post_init__(self) -> None:
        if not self.tolerance >= 0:
            raise ValueError(f"{self.label}: tolerance must be a number >= 0, got {self.tolerance}")

    @property
    def holds(self) -> bool:
        """Whether the measurement agrees; one that is not a number agrees with nothing."""
        low = self.measured >= self.expected - self.tolerance
        high = self.measured <= self.expected + self.tolerance
        return {"near": low and high, "at least": low, "at most": high}[self.bound]


def near(label: str, measured: float, expected: float, tolerance: float) -> Check:
    """measured = expected ± tolerance."""
    return Check(label, float(measured), float(expected), float(tolerance))


def within(label: str, measured: float, expected: float, share: float) -> Check:
    """measured = expected ± share of |expected|."""
    return near(label, measured, expected, share * abs(expected))


def at_least(label: str, measured: float, expected: float) -> Check:
    """measured >= expected."""
    return Check(label, float(measured), float(expected), bound="at least")


def at_most(label: str, measured: float, expected: float) -> Check:
    """measured <= expected."""
    return Check(label, float(measured), float(expected), bound="at most")


@dataclass(frozen=True)
class Claim:
    """A statement from a source, the numbers it stands or falls with, and the recorded verdict.

    reproduced: every check holds; refuted: none does; else "k of n checks". Premise absent: the
    statement is made for what is not here, ``absent``, so that the checks show what is left of it
    and speak neither for it nor against it. ``recorded`` is the verdict that this study is known to
    reach, written down by hand: another one is news.
    """

    statement: str
    source: str
    checks: Sequence[Check]
    recorded: str
    absent: str = ""

    def __post_init__(self) -> None:
        if all(check.trivial for check in self.checks):
            raise ValueError(f"a claim without a check: {self.statement}")

    @property
    def verdict(self) -> str:
        """What the measurements say."""
        if self.absent:
            return ABSENT
        counted = [check.holds for check in self.checks if not check.trivial]
        if all(counted):
            return "reproduced"
        return f"{sum(counted)} of {len(counted)} checks" if any(counted) else "refuted"

    @property
    def as_recorded(self) -> bool:
        """Whether the verdict is the one on record."""
        return self.verdict == self.recorded
