"""Claims as text: aligned for a terminal, and as CSV with one row for each check."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence

from ffn_train.report.table import aligned
from ffn_train.reproduce.claim import ABSENT, Check, Claim

COLUMNS = (
    *("claim", "source", "check", "measured", "bound", "expected", "tolerance", "holds"),
    *("verdict", "recorded"),
)


def text(claims: Sequence[Claim]) -> str:
    """Each claim with its verdict and source, and below it measured beside expected."""
    rows: list[Sequence[str] | str] = []
    for claim in claims:
        news = "" if claim.as_recorded else f"   NOT AS RECORDED: {claim.recorded}"
        rows.append(f"  {claim.verdict:<14}  {claim.statement}{news}")
        absent = f"   (for stacks with {claim.absent})" if claim.absent else ""
        rows.append(f"  {'':<14}  {claim.source}{absent}")
        for check in claim.checks:
            expected = f" expected {_expected(check)}{'' if check.holds else '   no'}"
            rows.append((f"{'':<20}{check.label}", f"{_number(check.measured):>9}", expected))
    return "\n".join(aligned(rows, left=(0, 2)))


def _expected(check: Check) -> str:
    if check.bound == "near":
        return f"{_number(check.expected)} ± {check.tolerance:.2g}"
    slack = f" (± {check.tolerance:.2g})" if check.tolerance else ""
    return f"{check.bound} {_number(check.expected)}{slack}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def csv_text(claims: Sequence[Claim]) -> str:
    """A row for each check, under ``COLUMNS``; numbers to six digits."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for claim in claims:
        for check in claim.checks:
            numbers = [f"{v:.6g}" for v in (check.measured, check.expected, check.tolerance)]
            holds = "yes" if check.holds else "no"
            row = (claim.statement, claim.source, check.label, numbers[0], check.bound)
            writer.writerow((*row, *numbers[1:], holds, claim.verdict, claim.recorded))
    return buffer.getvalue()


def summary(claims: Sequence[Claim]) -> str:
    """How many claims ended how, and whether that is what is on record."""
    counted = Counter("in part" if " of " in c.verdict else c.verdict for c in claims)
    counts = [
        f"{counted[verdict]} {verdict}"
        for verdict in ("reproduced", "in part", "refuted", ABSENT)
        if verdict in counted
    ]
    news = sum(not claim.as_recorded for claim in claims)
    record = f"{news} not as recorded" if news else "all as recorded"
    return f"{len(claims)} claims: {', '.join(counts)}; {record}"
