"""The score that a run is judged by, and on which rows it is."""

from dataclasses import replace

import numpy as np

from ffn_train.config.settings import counted
from ffn_train.runs import Run
from ffn_train.runs.score import ScoreResult


def headline(run: Run) -> tuple[ScoreResult, str] | None:
    """The score on the test rows or else on the validation rows, of the best weights if they are
    kept, with the rows in words; None for a run that has not ended or has no score.
    """
    summary = run.summary
    if summary is None or summary.score is None:
        return None
    kept = summary.kept_step
    if summary.test_score is not None:
        by = "" if kept is None else f" (weights of step {kept})"
        return summary.test_score, f"on the test rows{by}"
    if kept is None:
        return summary.score, "on the validation rows"
    count = np.count_nonzero(~np.isnan(run.scalars["validation_score"]))
    where = f"on the validation rows (best of {counted(int(count), 'evaluation')}, optimistic)"
    return replace(summary.score, value=summary.score.best), where
