"""The verdict on a run: did it learn, what held it back, and is the gradient flow healthy?

Each question is answered separately, with a number, the cause, and the setting that would help.
"""

from __future__ import annotations

from ffn_train.report.verdict.evidence import Evidence
from ffn_train.report.verdict.gradient_flow import gradient_flow
from ffn_train.report.verdict.learning import learned
from ffn_train.report.verdict.obstacles import held_back
from ffn_train.runs import Run
from ffn_train.runs.finding import Finding


def verdict(run: Run) -> tuple[Finding, ...]:
    """The findings on a run that has ended; a question without data has none."""
    evidence = Evidence(run)
    answers = (learned(evidence), held_back(evidence), gradient_flow(evidence))
    return tuple(finding for finding in answers if finding is not None)
