"""How good a run's outputs are, beside those of simple models."""

from __future__ import annotations

from typing import Any

import numpy as np

from ffn_train.nn.core import Array, Views
from ffn_train.nn.trial import array, protected
from ffn_train.running.experiment import Experiment
from ffn_train.runs.score import ScoreDeclared, ScoreResult
from ffn_train.tasks.scores import Score
from ffn_train.tasks.table import Data
from ffn_train.train.shards import Shards


def final_scores(experiment: Experiment, params: Views) -> tuple[Array, dict[str, Any]]:
    """The outputs for the validation rows; the scores of the test rows or else of these."""
    trainer, exact = experiment.trainer, experiment.exact.tested
    data, score = trainer.data.tested, trainer.score
    with Shards(trainer.validation_shards) as shards, np.errstate(all="ignore"):
        outputs = trainer.predict(params, shards, trainer.data)
        if data is None or exact is None:
            return outputs, {"scores": score.plain_details(trainer.data, outputs)}
        tested = trainer.predict(params, shards, data)
        value = float(score.value(data.y_validation, tested))
        details = score.plain_details(data, tested)
    result = ScoreResult(**vars(declared(score, exact)[0]), value=value)
    return outputs, {"scores": details, "test_score": result}


def declared(score: Score, data: Data) -> tuple[ScoreDeclared, Array | None]:
    """The score with the baseline's and the trivial model's on the validation rows of this data,
    and the baseline's outputs for them. Raises SettingError if these are none.
    """
    data = protected(data)
    outputs, no_skill = score.baseline(data), score.no_skill(data)
    baseline = None
    if outputs is not None:
        array(f"score {score.name}: baseline", outputs, "the outputs", data.y_validation.shape)
        baseline = float(score.value(data.y_validation, outputs))
    result = ScoreDeclared(
        name=score.name,
        symbol=score.symbol,
        better=score.better,
        says=score.says,
        perfect=score.perfect,
        trivial=score.trivial,
        no_skill=None if no_skill is None else float(no_skill),
        baseline_name=None if outputs is None else score.baseline_name,
        baseline=baseline,
    )
    return result, outputs
