"""Did it learn: the score compared with predicting the mean and with linear regression."""

from __future__ import annotations

import math

from ffn_train.report.verdict.evidence import Evidence
from ffn_train.runs.finding import LEARNED, Finding

AS_GOOD = 0.02  # of the trivial model's error: a difference that another split would make


def learned(evidence: Evidence) -> Finding | None:
    """The answer; None for a run without a score."""
    run, skill = evidence.run, evidence.skill
    score = run.score
    if score is None or "validation_score" not in run.scalars:
        return None
    trivial = score.trivial or "knowing nothing of the inputs"
    if evidence.ended_early:
        what = "diverged" if run.state == "diverged" else "was stopped, because its loss had grown"
        return Finding(LEARNED, "no", f"no: the run {what}")
    value = run.summary.score.value if run.summary and run.summary.score else None
    if value is None or math.isnan(value):
        return None
    achieved = f"{score.symbol} {value:.3g} on the validation rows"
    if score.no_better(value, score.no_skill):
        than = "no better" if skill > -0.05 else "worse"
        return Finding(LEARNED, "no", f"no: {achieved}, {than} than {trivial}")
    comparisons = [] if score.no_skill is None else [f"{trivial} has {score.no_skill:.3g}"]
    name, baseline = score.baseline_name, evidence.baseline_skill
    if score.baseline is not None and not math.isnan(baseline):
        if abs(skill - baseline) <= _as_good(evidence) and baseline > 0:
            text = f"as much as {name}: {achieved}, {name} has {score.baseline:.3g}"
            return Finding(LEARNED, f"as {name}", text)
        comparisons.append(f"{name} {score.baseline:.3g}")
        if skill < baseline:
            text = f"partly: {achieved}, better than {trivial} and worse than {name}"
            return Finding(LEARNED, "partly", f"{text} ({score.baseline:.3g})")
    if skill < 0.1:
        return Finding(LEARNED, "no", f"hardly: {achieved}; {', '.join(comparisons)}")
    return Finding(LEARNED, "yes", f"yes: {achieved}; {', '.join(comparisons)}")


def _as_good(evidence: Evidence) -> float:
    """The difference in skill that says nothing: of classes that of two rows at least."""
    origin, score = evidence.run.provenance, evidence.run.score
    if score is None or origin.kind != "classes" or not origin.validation_rows:
        return AS_GOOD
    share = score.unlearned(1 - 2 / origin.validation_rows)
    return AS_GOOD if share is None else max(AS_GOOD, share)
