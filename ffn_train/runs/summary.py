"""summary.json: a run's results in numbers, and its verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ffn_train.runs import files, records
from ffn_train.runs.finding import Finding
from ffn_train.runs.score import ScoreResult
from ffn_train.runs.theory import Ratio
from ffn_train.train.divergence import Divergence


@dataclass(frozen=True)
class Summary:
    """A run's outcome. NaN: not finite; None: not known, or it does not apply to the run.

    ``train_loss``: see ``outcome.training_loss``. ``gradient_ratio``, ``growth_per_block``: see
    ``Measures``, at the first and last measured step. ``theory``: the worst measured/predicted at
    step 0. ``clipped_share``: of the updates that were logged, how many were clipped. ``stopped``:
    the rule that ended the run, other than its loss. ``kept_step``: of the weights of the best
    validation score, where they are kept. ``test_score``: on the test rows, by these weights or
    else the last; ``scores``: others, on the test rows or else the validation rows, by symbol and
    target (see ``Score.details``). ``files``: their digests (see ``seal``).
    """

    state: str = "finished"
    divergence: Divergence | None = None
    stopped: str | None = None
    steps: int | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
    best_validation_loss: float | None = None
    best_validation_step: int | None = None
    score: ScoreResult | None = None
    kept_step: int | None = None
    test_score: ScoreResult | None = None
    scores: Mapping[str, Mapping[str, float]] | None = None
    baseline_loss: float | None = None
    gradient_ratio_start: float | None = None
    gradient_ratio_end: float | None = None
    growth_per_block_start: float | None = None
    growth_per_block_end: float | None = None
    clipped_share: float | None = None
    verdict: tuple[Finding, ...] = ()
    theory: Ratio | None = None
    files: Mapping[str, str] | None = None


def read_summary(run: Path) -> Summary | None:
    """The summary of a run's directory, None of a run that has not ended. Raises RunError."""
    return records.read(Summary, run / files.SUMMARY)
