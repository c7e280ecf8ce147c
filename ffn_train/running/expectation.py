"""What theory expects of a run's first batch, as the run's directory holds it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn_train.config.registry import build
from ffn_train.nn.core import Array
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.losses.loss import Loss
from ffn_train.nn.segments import SignalGradients
from ffn_train.nn.stack import Stack
from ffn_train.running.experiment import Experiment, build_model, checked, load_data
from ffn_train.runs import files
from ffn_train.theory import Anchor, Prediction, Unpredicted, predict, predict_anchored
from ffn_train.train.batches import Batches

DECIMALS = 9  # of the logarithms; the rest is rounding that differs between machines


@dataclass(frozen=True)
class Description:
    """What a run's first step is made of, before any parameter is drawn."""

    model: Stack
    init: Initialiser
    loss: Loss
    inputs: Array
    targets: Array


def describe(config: Mapping[str, Any]) -> Description:
    """The stack and the first batch that a configuration describes. Raises SettingError."""
    seed, dtype, parts = checked(config)
    data_seed, _, batch_seed = np.random.SeedSequence(seed).spawn(3)
    data = load_data(parts["task"], data_seed).astype(dtype)
    size = config["trainer"]["batch_size"]
    batches = Batches(data.x_train, data.y_train, size=size, seed=batch_seed)
    return Description(build_model(config, data), parts["init"], parts["loss"], *batches.at(0))


def expectation(experiment: Experiment) -> dict[str, Any]:
    """Both modes' predictions for the initial parameters and the first batch; see runs.theory.

    Where a mode gives none it says why; no failure leaves this function.
    """
    init = build("init", experiment.config["init"])
    model, loss = experiment.model, experiment.trainer.loss
    inputs, targets = experiment.trainer.batches.at(0)
    return {
        "schema": files.SCHEMA,
        "anchored": _mode(lambda: predict_anchored(model, init, inputs, anchor(experiment))),
        "a priori": _mode(lambda: predict(model, init, loss, inputs, targets)),
    }


def anchor(experiment: Experiment) -> Anchor:
    """x_0, x_L and dLoss/dx_L of the first batch, from the initial parameters."""
    model, params = experiment.model, experiment.params
    inputs, targets = experiment.trainer.batches.at(0)
    signals: list[Array] = []
    outputs, pullback = model.forward(
        params.views, inputs, observe=lambda x, hidden: signals.extend(x)
    )
    _, gradient = experiment.trainer.loss.value_and_gradient(outputs, targets)
    top: list[Array] = []

    def take_first(at: SignalGradients) -> None:
        if not top:
            top.append(at.dx[-1].copy())

    pullback(gradient, model.layout.zeros(params.vector.dtype).views, observe=take_first)
    return Anchor(signals[0], signals[-1], top[0])


def _mode(prediction: Callable[[], Prediction | Unpredicted]) -> dict[str, Any]:
    try:
        with np.errstate(all="ignore"):
            found = prediction()
    except Exception as error:  # a prediction is never worth a run
        found = Unpredicted(f"{type(error).__name__}: {error}".splitlines()[0])
    if isinstance(found, Unpredicted):
        return {"reason": found.reason}
    return {
        name: list(map(_value, value.tolist())) if isinstance(value, np.ndarray) else value
        for name, value in vars(found).items()
    }


def _value(value: float) -> float | str | None:
    """A logarithm as JSON: null where none is derived, "-inf" for a norm of zero."""
    if value == -math.inf:
        return "-inf"
    return round(value, DECIMALS) if math.isfinite(value) else None
