"""A run's verdict beside its true cause, and what all of them come to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from situations import RANGES, Situation

from ffn_train.runs.finding import FLOW, HELD_BACK, LEARNED, NOTHING, Finding

LEAST = 0.05  # of the error, that a remedy has to remove: more than another seed would
SKILL = 0.1  # the share of the baseline's error; a run that removes less is not called healthy
GOALS = {
    "named right": "90 %",
    "false alarms in good runs": "0",
    "called healthy without skill": "0",
    "remedies that helped": "80 %",
}

Changes = Mapping[tuple[str, ...], "Outcome | None"]


class Outcome(NamedTuple):
    """A run in numbers: its score, how far that is from perfect, and linear regression's error.

    ``distance`` is the larger modulus of log |dL/dx_0| / |dL/dx_L| at the first and last step.
    """

    score: float
    error: float
    baseline_error: float
    distance: float

    @property
    def skill(self) -> float:
        """The share of linear regression's error that the run removes."""
        return 1 - self.error / self.baseline_error if self.baseline_error > 0 else -math.inf


class Judged(NamedTuple):
    """One run. None: no answer is implied by the cause, or no remedy is named.

    ``remedied``: the score with the remedy for what held the run back; NaN if it was refused.
    """

    ranges: str
    situation: str
    cause: str
    seed: int
    score: float
    skill: float
    said: str
    right: bool
    learned: str
    learned_right: bool | None
    flow: str
    flow_right: bool | None
    called_healthy: bool
    remedy: str
    remedied: float | None
    helped: bool | None
    flow_remedy: str
    flow_helped: bool | None


def judged(
    situation: Situation,
    ranges: str,
    seed: int,
    run: Outcome,
    findings: Sequence[Finding],
    remedied: Changes,
) -> Judged:
    """The verdict of one run; ``remedied`` are the runs with each change that it names.

    Of several findings for a question the first counts.
    """
    first = {finding.question: finding for finding in reversed(findings)}
    kinds = {question: finding.kind for question, finding in first.items()}
    said, learned, flow = (kinds.get(question, "") for question in (HELD_BACK, LEARNED, FLOW))
    change = first[HELD_BACK].change if said else ()
    flow_change = first[FLOW].change if flow else ()
    if flow_change == change:
        flow_change = ()
    after = remedied[change] if change else None
    flow_after = remedied[flow_change] if flow_change else None
    return Judged(
        ranges=ranges,
        situation=situation.name,
        cause=situation.cause,
        seed=seed,
        score=run.score,
        skill=run.skill,
        said=said,
        right=said in situation.right,
        learned=learned,
        learned_right=learned in situation.learned if situation.learned else None,
        flow=flow,
        flow_right=flow in situation.flow if situation.flow else None,
        called_healthy=bool(findings) and "healthy" in findings[0].text and not run.skill >= SKILL,
        remedy=" ".join(change),
        remedied=(math.nan if after is None else after.score) if change else None,
        helped=less_error(run, after) if change else None,
        flow_remedy=" ".join(flow_change),
        flow_helped=(
            less_error(run, flow_after) or nearer_to_one(run, flow_after) if flow_change else None
        ),
    )


def less_error(before: Outcome, after: Outcome | None) -> bool:
    return after is not None and after.error < (1 - LEAST) * before.error


def nearer_to_one(before: Outcome, after: Outcome | None) -> bool:
    """Whether the gradient ratio's distance from 1 is halved, in logarithms."""
    return after is not None and after.distance < before.distance / 2


def rows(judgements: Iterable[Judged]) -> list[dict[str, Any]]:
    """A row for each situation, with counts of its runs."""
    by_situation: dict[tuple[str, str], list[Judged]] = {}
    for run in judgements:
        by_situation.setdefault((run.ranges, run.situation), []).append(run)
    return [
        {
            "ranges": ranges,
            "situation": situation,
            "cause": runs[0].cause,
            "runs": len(runs),
            "named_right": sum(run.right for run in runs),
            "said_instead": said_instead(runs),
            "learned_judged": sum(run.learned_right is not None for run in runs),
            "learned_right": sum(run.learned_right is True for run in runs),
            "flow_judged": sum(run.flow_right is not None for run in runs),
            "flow_right": sum(run.flow_right is True for run in runs),
            "called_healthy": sum(run.called_healthy for run in runs),
            "remedies": sum(run.helped is not None for run in runs)
            + sum(run.flow_helped is not None for run in runs),
            "helped": sum(run.helped is True for run in runs)
            + sum(run.flow_helped is True for run in runs),
        }
        for (ranges, situation), runs in by_situation.items()
    ]


def said_instead(runs: Iterable[Judged]) -> str:
    wrong = Counter(run.said or "no answer" for run in runs if not run.right)
    return ", ".join(f"{kind} ({count})" for kind, count in wrong.items())


def totals(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the rows of one range come to, beside the goals."""
    good = [row for row in table if row["cause"] == NOTHING]
    counts = {
        "named right": (total(table, "named_right"), total(table, "runs")),
        "false alarms in good runs": (
            total(good, "runs") - total(good, "named_right"),
            total(good, "runs"),
        ),
        "called healthy without skill": (total(table, "called_healthy"), total(table, "runs")),
        "remedies that helped": (total(table, "helped"), total(table, "remedies")),
        "learned, where the cause implies it": (
            total(table, "learned_right"),
            total(table, "learned_judged"),
        ),
        "gradient flow, where the cause implies it": (
            total(table, "flow_right"),
            total(table, "flow_judged"),
        ),
    }
    return [
        f"{name}: {count} of {of}{percent(count, of)}"
        + (f" (goal: {GOALS[name]})" if name in GOALS else "")
        for name, (count, of) in counts.items()
    ]


def lines(table: Sequence[Mapping[str, Any]]) -> list[str]:
    """Markdown: the totals of each range, and a table of its causes."""
    text: list[str] = []
    for ranges in RANGES:
        of_range = [row for row in table if row["ranges"] == ranges]
        if not of_range:
            continue
        text += [f"**Ranges `{ranges}`.**", "", *(f"* {line}" for line in totals(of_range)), ""]
        text += [
            "| cause | situations | named right | said instead | remedies that helped |",
            "|---|---|---|---|---|",
        ]
        for cause in dict.fromkeys(row["cause"] for row in of_range):
            of_cause = [row for row in of_range if row["cause"] == cause]
            instead = "; ".join(
                f"{row['situation']}: {row['said_instead']}"
                for row in of_cause
                if row["said_instead"]
            )
            text.append(
                f"| {cause} | {len(of_cause)} "
                f"| {total(of_cause, 'named_right')} of {total(of_cause, 'runs')} | {instead} "
                f"| {total(of_cause, 'helped')} of {total(of_cause, 'remedies')} |"
            )
        text.append("")
    return text


def total(table: Iterable[Mapping[str, Any]], column: str) -> int:
    return sum(int(row[column]) for row in table)


def percent(count: int, of: int) -> str:
    return f", {100 * count / of:.0f} %" if of else ""
