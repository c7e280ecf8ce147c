"""The theory's predictions for a run's first batch, as theory.json has them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ffn_train.config.kept import kept
from ffn_train.config.settings import described
from ffn_train.nn.segments import Segment
from ffn_train.running import Notify
from ffn_train.running.experiment import Experiment
from ffn_train.running.interruption import Interrupted
from ffn_train.runs import files
from ffn_train.theory import Anchor, Prediction, Unpredicted, predict, predict_anchored
from ffn_train.train.memory import keep_freed_memory

SLOW, BLOCKS_A_SECOND = 10_000, 2_200  # from so many blocks on theory takes long; measured
DECIMALS = 9  # of the logarithms; further digits differ between machines
# settings that come into play after the first batch, or not at all
AFTER = (
    *("optimizer", "schedule", "trainer", "evaluate", "measure", "log", "checkpoint", "logger"),
    *("plot", "run", "sweep"),
)


def expectation(experiment: Experiment, notify: Notify) -> dict[str, Any]:
    """Both modes' predictions for the initial parameters and the first batch; see runs.theory.

    A mode without a prediction, also because of an exception, gives the reason. ``notify`` is told
    if it takes long.
    """
    modes = {"anchored": anchored, "a priori": a_priori}
    if not experiment.settings.theory.predict:
        modes = dict.fromkeys(modes, lambda experiment: Unpredicted("theory.predict=false"))

    def predictions() -> dict[str, Any]:
        depth = experiment.model.depth
        if experiment.settings.theory.predict and depth >= SLOW:
            about = f"theory takes about {depth / BLOCKS_A_SECOND:.0f} s for {depth:,} blocks"
            notify(f"{about} before the first step; theory.predict=false leaves it out")
        keep_freed_memory()
        return {mode: _mode(predicted, experiment) for mode, predicted in modes.items()}

    same = _first_batch(experiment)
    return {"schema": files.SCHEMA, **kept(("predictions", same), None, predictions)}


def _first_batch(experiment: Experiment) -> str:
    """What the first batch and the initial parameters depend on; see ``AFTER``."""
    config = {key: value for key, value in experiment.config.items() if key not in AFTER}
    size = experiment.trainer.batches.size
    return json.dumps([config, size, experiment.data.digest, experiment.parts], sort_keys=True)


def a_priori(experiment: Experiment) -> Prediction | Unpredicted:
    """The prediction from the first batch alone; parameters are not drawn."""
    model, init = experiment.model, experiment.initialiser
    return predict(model, init, experiment.trainer.loss, *experiment.trainer.batches.at(0))


def anchored(experiment: Experiment) -> Prediction | Unpredicted:
    """The prediction from x_0 and dLoss/dx_L, computed with the initial parameters."""
    inputs, _ = experiment.trainer.batches.at(0)
    return predict_anchored(experiment.model, experiment.initialiser, inputs, anchor(experiment))


@np.errstate(all="ignore")  # a stack may explode
def anchor(experiment: Experiment) -> Anchor:
    """x_0, x_L and dLoss/dx_L of the first batch, from the initial parameters."""
    model, params = experiment.model, experiment.params
    inputs, targets = experiment.trainer.batches.at(0)
    first = last = model.input.predict(params.part("input"), inputs)
    for block in model.block_of:
        last = model.block.predict(params.part(block), last)
    end = Segment(model, params, range(model.depth, model.depth), last)  # without a block
    y = end.forward(keep=True)
    _, gradient = experiment.trainer.loss.value_and_gradient(y, targets)
    return Anchor(first, last, end.backward(gradient, model.layout.zeros(y.dtype)))


def _mode(
    predict_mode: Callable[[Experiment], Prediction | Unpredicted], experiment: Experiment
) -> dict[str, Any]:
    try:
        prediction = predict_mode(experiment)
    except (Interrupted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a prediction must not fail the run
        prediction = Unpredicted(described(error))
    if isinstance(prediction, Unpredicted):
        return {"reason": prediction.reason}
    return {
        name: list(map(_value, value.tolist())) if isinstance(value, np.ndarray) else value
        for name, value in vars(prediction).items()
    }


def _value(value: float) -> float | str | None:
    """A logarithm for JSON: None if none is derived, "-inf" for a norm of zero."""
    if value == -math.inf:
        return "-inf"
    return round(value, DECIMALS) if math.isfinite(value) else None
