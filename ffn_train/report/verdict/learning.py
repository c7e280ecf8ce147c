"""Did it learn: the score compared with predicting the mean and with linear regression."""

from __future__ import annotations

import math

from ffn_train.config.settings import counted
from ffn_train.report.headline import headline
from ffn_train.report.verdict.evidence import Evidence
from ffn_train.runs.finding import LEARNED, Finding
from ffn_train.runs.score import ScoreDeclared

UNKNOWN = "cannot tell"
AS_GOOD = 0.02  # of the trivial model's error: a difference that another split would make


def learned(evidence: Evidence) -> Finding | None:
    """The answer; None for a run without a score."""
    run = evidence.run
    if run.score is None or "validation_score" not in run.scalars:
        return None
    then = ""
    if evidence.ended_early:
        end = "diverged" if run.state == "diverged" else "was stopped for its large loss"
        if not evidence.kept:
            return Finding(LEARNED, "no", f"no: the run {end}")
        then = f", after which the run {end}"
    judged = headline(run)
    if judged is None:
        return None
    score, value, where = judged
    origin = run.provenance
    rows = origin.test_rows or origin.validation_rows
    if math.isnan(value):
        of = f" ({counted(rows, 'row')})" if rows else ""
        return Finding(LEARNED, UNKNOWN, f"cannot tell: {score.symbol} is undefined {where}{of}")
    trivial = score.trivial or "knowing nothing of the inputs"
    skill, baseline = (score.skill(known) for known in (value, score.baseline))
    achieved = f"{score.symbol} {value:.3g} {where}{then}"
    best_of_many = evidence.kept and not origin.test_rows
    guessed = evidence.by_chance(score, rows, 3 if best_of_many else 2)
    worse = score.no_better(value, score.no_skill) and value != score.no_skill
    if guessed >= 1 and not (skill <= 0 or worse):
        text = f"guesses may be that good by chance with only {counted(rows or 0, 'row')}"
        if score.no_skill == score.perfect:
            text = f"all {counted(rows or 0, 'row')} are of one class"
        return Finding(LEARNED, UNKNOWN, f"cannot tell: {achieved}, but {text}")
    if score.no_better(value, score.no_skill):
        than = "no better" if skill > -0.05 or not worse else "worse"
        return Finding(LEARNED, "no", f"no: {achieved}, {than} than {trivial}")
    no_skill = math.nan if score.no_skill is None else score.no_skill
    if math.isnan(skill):
        text = f"how much better than {trivial} that is needs a perfect score (perfect)"
        if math.isnan(no_skill):
            text = f"what {trivial} has is not known (no_skill)"
        return Finding(LEARNED, UNKNOWN, f"cannot tell: {achieved}, but {text}")
    if skill <= max(AS_GOOD, guessed):
        return Finding(LEARNED, "no", f"no: {achieved}, hardly better than {trivial}")
    comparisons = [f"{trivial} has {no_skill:.3g}"]
    name = score.baseline_name
    if score.baseline is not None and not math.isnan(baseline):
        if abs(skill - baseline) <= _as_good(evidence, score, rows) and baseline > 0:
            text = f"as much as {name}: {achieved}, {name} has {score.baseline:.3g}"
            return Finding(LEARNED, f"as {name}", text)
        comparisons.append(f"{name} {score.baseline:.3g}")
        if skill < baseline:
            text = f"partly: {achieved}, better than {trivial} and worse than {name}"
            return Finding(LEARNED, "partly", f"{text} ({score.baseline:.3g})")
    if skill < 0.1:
        return Finding(LEARNED, "no", f"hardly: {achieved}; {', '.join(comparisons)}")
    return Finding(LEARNED, "yes", f"yes: {achieved}; {', '.join(comparisons)}")


def _as_good(evidence: Evidence, score: ScoreDeclared, rows: int | None) -> float:
    """The difference in skill that says nothing: of classes that of two rows at least."""
    if not rows or evidence.right_by_guessing(score) is None:
        return AS_GOOD
    return max(AS_GOOD, 1 - score.skill(1 - 2 / rows))  # the first if the second is NaN
