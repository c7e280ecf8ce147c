"""The score that a run is judged by, and the rows that it is of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ffn_train.config.settings import counted
from ffn_train.runs import Run
from ffn_train.runs.score import ScoreResult


def headline(run: Run) -> tuple[ScoreResult, float, str] | None:
    """The score on the test rows or else on the validation rows, of the best weights if they are
    kept, with its value and the rows in words; None for a run that has not ended or has no score.
    """
    summary = run.summary
    if summary is None or summary.score is None:
        return None
    score, where, kept = summary.score, "on the validation rows", summary.kept_step
    if summary.test_score is not None:
        score, where = summary.test_score, "on the test rows"
        where += "" if kept is None else f" (weights of step {kept})"
    elif kept is not None:
        count = np.count_nonzero(~np.isnan(run.scalars["validation_score"]))
        where += f" (best of {counted(int(count), 'evaluation')}, optimistic)"
        score = replace(score, value=score.best)
    return None if score.value is None else (score, score.value, where)
