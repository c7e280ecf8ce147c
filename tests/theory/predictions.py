"""Stacks and batches to predict for, and what seeds of the project's own stack measure there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ffn_train.config.composition import compose
from ffn_train.config.keys import MODEL_GROUPS
from ffn_train.config.registry import build
from ffn_train.nn.core import Views
from ffn_train.nn.initialisers.initialiser import Initialiser
from ffn_train.nn.losses.mse import MSE
from ffn_train.nn.reductions import Reductions, rms
from ffn_train.nn.stack import Stack
from ffn_train.reproduce.ensemble import passes
from ffn_train.running.experiment import Experiment
from ffn_train.theory import Anchor, Prediction, predict, predict_anchored
from tests.support.choices import settings

DEFAULTS = {
    "activation": "relu",
    "block": "feedforward",
    "residual": "none",
    "norm": "none",
    "init": "he",
}


def stack(
    *, depth: int, width: int = 32, expansion: int = 4, outputs: int = 3, **choices: Any
) -> tuple[Stack, Initialiser]:
    """A stack of 5 inputs; a choice is a name or a dict of a name and settings."""
    parts = {}
    for group in MODEL_GROUPS:
        given = choices.pop(group, DEFAULTS[group])
        given = given if isinstance(given, dict) else {"name": given}
        parts[group] = build(group, {**settings(group, given["name"]), **given})
    assert not choices
    init = parts.pop("init")
    sizes: dict[str, Any] = {"inputs": 5, "outputs": outputs, "depth": depth, "width": width}
    model = Stack(**sizes, expansion=expansion, **parts)
    return model, init


def a_priori(model: Stack, init: Initialiser, batch: int = 4) -> Prediction:
    """The a-priori prediction for a random batch."""
    rng = np.random.default_rng(1)
    x, targets = rng.normal(size=(batch, 5)), rng.normal(size=(batch, model.output.fan_out))
    prediction = predict(model, init, MSE(), x, targets)
    assert isinstance(prediction, Prediction)
    return prediction


@dataclass(frozen=True)
class Compared:
    """Logs of measured/predicted over seeds: x_l and dLoss/dx_l (S, L+1), tensors (S, T)."""

    signal: np.ndarray
    signal_gradient: np.ndarray
    gradient: np.ndarray
    tensors: tuple[str, ...]
    prediction: Prediction  # of the last seed, for its standard deviations

    def blocks(self, kind: str) -> np.ndarray:
        """The ratios' root mean square over seeds for one tensor of every block (L,)."""
        mask = [name.startswith("blocks.") and name.endswith(f".{kind}") for name in self.tensors]
        return root_mean_square(self.gradient[:, mask])


def root_mean_square(logs: np.ndarray) -> np.ndarray:
    """Over seeds, of ratios given by their logs."""
    return np.asarray(np.sqrt(np.mean(np.exp(2 * logs), axis=0)))


@cache
def _config(overrides: tuple[str, ...]) -> dict[str, Any]:
    return compose([*overrides, "threads=1"])


class Replayed:
    """Stands in for a Generator that gives normal numbers alone: those of an array, in turn."""

    def __init__(self, numbers: NDArray[np.float32]) -> None:
        self._left = numbers

    def standard_normal(self, shape: int | tuple[int, ...]) -> NDArray[np.float32]:
        size = math.prod(shape) if isinstance(shape, tuple) else shape
        assert size <= len(self._left)
        taken, self._left = self._left[:size], self._left[size:]
        return taken.reshape(shape)


# by seed: the numbers that it begins with, and where to get more of them
DRAWN: dict[tuple[Any, ...], tuple[np.random.Generator, NDArray[np.float32]]] = {}


def shared_parameters(experiment: Experiment) -> Views:
    """Its initial parameters, to float32's rounding, from numbers that a seed's stacks share.

    All weights are a seed's normal numbers times standard deviations; to draw eight million of them
    for each variant takes longer than its passes do.
    """
    model, seed = experiment.model, experiment.initial_seed
    key = (seed.entropy, *seed.spawn_key)
    generator, numbers = DRAWN.get(key, (np.random.default_rng(seed), np.empty(0, np.float32)))
    missing = model.layout.size - len(numbers)
    if missing > 0:
        more = generator.standard_normal(missing).astype(np.float32)
        numbers = np.concatenate([numbers, more])
        DRAWN[key] = generator, numbers
    replayed = cast(np.random.Generator, Replayed(numbers))
    return model.initial(experiment.initialiser, replayed, experiment.settings.dtype)


@cache
def measured(overrides: tuple[str, ...], seeds: int) -> list[tuple[Any, ...]]:
    """Passes at initialisation, each with its norms; shared by the tests of one variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Experiment, "params", property(shared_parameters))
        return _measured(overrides, seeds)


def _measured(overrides: tuple[str, ...], seeds: int) -> list[tuple[Any, ...]]:
    collected = []
    for run_pass in passes(_config(overrides), range(seeds)):
        model = run_pass.experiment.model
        anchor = Anchor(run_pass.signals[0], run_pass.signals[-1], run_pass.signal_gradients[-1])
        norms = np.empty(len(model.layout.tensors))
        Reductions().tensor_norms(model.layout, run_pass.gradient.vector, norms)
        sizes = (
            np.array([rms(x) for x in run_pass.signals]),
            np.array([rms(dx) for dx in run_pass.signal_gradients]),
            norms,
        )
        collected.append((model, run_pass.inputs, run_pass.targets, anchor, sizes))
    return collected


def compare(overrides: Sequence[str], *, seeds: int, anchored: bool) -> Compared:
    """The project's own stack against its prediction, seed by seed."""
    config = _config(tuple(overrides))
    init, loss = build("init", config["init"]), build("loss", config["loss"])
    ratios = []
    for model, inputs, targets, anchor, sizes in measured(tuple(overrides), seeds):
        if anchored:
            prediction = predict_anchored(model, init, inputs, anchor)
        else:
            prediction = predict(model, init, loss, inputs, targets)
        assert isinstance(prediction, Prediction), prediction
        logs = (
            prediction.log_signal_rms,
            prediction.log_signal_gradient_rms,
            prediction.log_gradient_norm,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios.append([np.log(size) - log for size, log in zip(sizes, logs, strict=True)])
    assert isinstance(prediction, Prediction)
    tensors = tuple(tensor.name for tensor in model.layout.tensors)
    signal, signal_gradient, gradient = (np.array(part) for part in zip(*ratios, strict=True))
    return Compared(signal, signal_gradient, gradient, tensors, prediction)
