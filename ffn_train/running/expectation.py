"""What theory expects of a run's first batch, as the run's directory holds it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ffn_train.config.settings import described
from ffn_train.nn.core import Array
from ffn_train.running.experiment import Experiment
from ffn_train.running.interruption import Interrupted
from ffn_train.runs import files
from ffn_train.theory import Anchor, Prediction, Unpredicted, predict, predict_anchored

DECIMALS = 9  # of the logarithms; the rest is rounding that differs between machines


def expectation(experiment: Experiment) -> dict[str, Any]:
    """Both modes' predictions for the initial parameters and the first batch; see runs.predictions.

    Where a mode gives none it says why; no failure leaves this function.
    """
    modes = {"anchored": anchored, "a priori": a_priori}
    return {
        "schema": files.SCHEMA,
        **{mode: _mode(predicted, experiment) for mode, predicted in modes.items()},
    }


def a_priori(experiment: Experiment) -> Prediction | Unpredicted:
    """The prediction from the first batch alone; no parameters are drawn."""
    model, init = experiment.model, experiment.initialiser
    return predict(model, init, experiment.trainer.loss, *experiment.trainer.batches.at(0))


def anchored(experiment: Experiment) -> Prediction | Unpredicted:
    """The prediction anchored at what the first batch and the initial parameters give."""
    inputs, _ = experiment.trainer.batches.at(0)
    return predict_anchored(experiment.model, experiment.initialiser, inputs, anchor(experiment))


@np.errstate(all="ignore")  # a stack may explode
def anchor(experiment: Experiment) -> Anchor:
    """x_0, x_L and dLoss/dx_L of the first batch, from the initial parameters."""
    model, params = experiment.model, experiment.params
    inputs, targets = experiment.trainer.batches.at(0)
    signals: list[Array] = []
    outputs, pullback = model.forward(
        params.views, inputs, observe=lambda x, hidden: signals.extend(x)
    )
    _, gradient = experiment.trainer.loss.value_and_gradient(outputs, targets)
    flow: list[Array] = []  # of each segment, the last one's first, the gradient at its end
    pullback(
        gradient,
        model.layout.zeros(params.vector.dtype).views,
        observe=lambda at: flow.append(at.dx[-1].copy()),
    )
    return Anchor(signals[0], signals[-1], flow[0])


def _mode(
    predict_mode: Callable[[Experiment], Prediction | Unpredicted], experiment: Experiment
) -> dict[str, Any]:
    try:
        prediction = predict_mode(experiment)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a prediction is never worth a run
        prediction = Unpredicted(described(error))
    if isinstance(prediction, Unpredicted):
        return {"reason": prediction.reason}
    return {
        name: list(map(_value, value.tolist())) if isinstance(value, np.ndarray) else value
        for name, value in vars(prediction).items()
    }


def _value(value: float) -> float | str | None:
    """A logarithm as JSON: null where none is derived, "-inf" for a norm of zero."""
    if value == -math.inf:
        return "-inf"
    return round(value, DECIMALS) if math.isfinite(value) else None
