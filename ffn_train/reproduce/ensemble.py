"""A configuration's step 0 over many seeds, in one process.

Member s of an ensemble is what ``python -m ffn_train seed=s`` measures at step 0: its data, its
parameters and its batch. Hundreds of seeds cost their arithmetic and no start of a program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from ffn_train.nn.core import Array, Floats, Views
from ffn_train.nn.reductions import rms
from ffn_train.running.experiment import Experiment, build_experiment
from ffn_train.runs.layout import TensorColumn, layout_of
from ffn_train.sweep.space import Job, jobs

T = TypeVar("T")


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass at initialisation.

    ``inputs``, ``targets``: the first batch; ``outputs`` (N, M); ``output_gradient``: dLoss/dy.
    ``signals`` and ``signal_gradients``: x_l and dLoss/dx_l, each (N, D), for l = 0 ... L.
    ``gradient``: of all parameters, in the model's layout.
    """

    experiment: Experiment
    inputs: Array
    targets: Array
    outputs: Array
    output_gradient: Array
    signals: list[Array]
    signal_gradients: list[Array]
    gradient: Views


@dataclass(frozen=True)
class Ensemble:
    """The norms of many passes; S seeds, L blocks, T tensors.

    signal, signal_gradient   (S, L+1)   RMS over the batch and features of x_l and dLoss/dx_l
    gradient_norm             (S, T)     |dLoss/dθ| of each tensor
    """

    tensors: tuple[TensorColumn, ...]
    signal: Floats
    signal_gradient: Floats
    gradient_norm: Floats

    def of_blocks(self, tensor: str) -> Floats:
        """The gradient norms (S, L) of one tensor of every block, say ``down.weight``."""
        mask = [t.block is not None and t.role == tensor for t in self.tensors]
        return self.gradient_norm[:, mask]


def progress(items: Iterable[T]) -> Iterable[T]:
    """The items, with a bar where a person looks on."""
    bar: Iterable[T] = tqdm(items, leave=False, disable=None)
    return bar


def points(name: str) -> Iterable[Job]:
    """The points of the sweep that the preset holds, in its order and without its seeds.

    ``python -m ffn_train -m experiment=NAME`` runs them as jobs; a study measures the same points
    with more seeds.
    """
    collected: dict[tuple[tuple[str, str], ...], Job] = {}
    for job in jobs([f"experiment={name}"]):
        settings = {key: value for key, value in job.settings.items() if key != "seed"}
        collected.setdefault(tuple(settings.items()), Job(settings, job.config))
    return progress(collected.values())


def passes(config: Mapping[str, Any], seeds: Iterable[int]) -> Iterator[Pass]:
    """One forward and backward pass for each seed. Raises SettingError for a wrong setting."""
    for seed in seeds:
        yield _pass(build_experiment({**config, "seed": seed}))


def _pass(experiment: Experiment) -> Pass:
    trainer, params = experiment.trainer, experiment.params
    model = experiment.model
    inputs, targets = trainer.batches.at(0)
    gradient = model.layout.zeros(params.vector.dtype)
    signals: list[Array] = []
    outputs, pullback = model.forward(params, inputs, observe=lambda x, hidden: signals.extend(x))
    _, output_gradient = trainer.loss.value_and_gradient(outputs, targets)
    signal_gradients: list[Array] = []
    pullback(
        output_gradient,
        gradient,
        observe=lambda at: signal_gradients.extend(at.dx[::-1]),
    )
    return Pass(
        experiment,
        inputs,
        targets,
        outputs,
        output_gradient,
        signals,
        signal_gradients[::-1],
        gradient,
    )


def ensemble(config: Mapping[str, Any], seeds: Sequence[int]) -> Ensemble:
    """The norms of one pass for each seed. Raises SettingError for a wrong setting."""
    signal, signal_gradient, gradient_norm = [], [], []
    tensors: tuple[TensorColumn, ...] = ()
    for run_pass in passes(config, seeds):
        model = run_pass.experiment.model
        tensors = layout_of(model).tensors
        signal.append([rms(x) for x in run_pass.signals])
        signal_gradient.append([rms(dx) for dx in run_pass.signal_gradients])
        norms = np.empty(len(tensors))
        with np.errstate(over="ignore", invalid="ignore"):
            model.engine.reductions.tensor_norms(model.layout, run_pass.gradient.vector, norms)
        gradient_norm.append(norms)
    return Ensemble(tensors, np.array(signal), np.array(signal_gradient), np.array(gradient_norm))


def exponent(x: ArrayLike, y: ArrayLike) -> float:
    """The power p of y ~ x^p: the slope of the least-squares line through log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def mean_cosine(rows: Array) -> float:
    """The mean cosine of the angle between two different rows."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    count = len(unit)
    return float((unit @ unit.T).sum() - count) / (count * (count - 1))
