"""The cells of the grid, and the same weights and batches for everyone who computes one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

SHAPES = (  # depth L, width D, hidden width H, batch N
    (4, 16, 64, 32),
    (8, 32, 128, 64),
    (256, 32, 128, 64),
    (16, 64, 256, 128),
    (64, 64, 256, 64),
    (8, 256, 1024, 256),
    (4, 512, 2048, 512),
)
ACTIVATIONS = ("relu", "gelu_tanh")
NORMS = ("none", "pre_layer")

INPUTS = 8
BATCHES = 32  # of which an epoch consists, as about 25 of the default run; the peers go round them
MOMENTUM, EPS = 0.9, 1e-5
ENDLESS = 10**9  # steps: nobody reaches the last row, which would be measured


@dataclass(frozen=True)
class Cell:
    """A stack, its batch, and an activation and norm; residual sum x + f(x)/sqrt(L), MSE, SGD."""

    depth: int
    width: int
    hidden: int
    batch: int
    activation: str = "relu"
    norm: str = "none"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.depth, self.width, self.hidden, self.batch

    @property
    def rate(self) -> float:
        """The learning rate: small enough for any number of steps at every width."""
        return 0.1 / self.width

    def __str__(self) -> str:
        return f"{self.shape} {self.activation} {self.norm}"


def grid() -> Iterator[Cell]:
    """All cells, shape by shape."""
    for shape in SHAPES:
        for activation in ACTIVATIONS:
            for norm in NORMS:
                yield Cell(*shape, activation, norm)


def overrides(
    cell: Cell, *, engine: str = "numpy", measure_every: int = ENDLESS, recompute: Any = "null"
) -> list[str]:
    """The cell in this project's own settings; clipping, validation and measures are off."""
    settings = {
        "engine": engine,
        "task": "sinusoid",
        "task.rows": 10 * BATCHES * cell.batch // 8,  # of which 4 in 5 are trained on
        "task.inputs": INPUTS,
        "model.depth": cell.depth,
        "model.width": cell.width,
        "model.expansion": cell.hidden // cell.width,
        "model.recompute": recompute,
        "activation": cell.activation,
        "norm": cell.norm,
        "residual": "scaled",
        "init": "lecun",
        "loss": "mse",
        "optimizer": "sgd",
        "optimizer.lr": cell.rate,
        "optimizer.momentum": MOMENTUM,
        "schedule": "constant",
        "trainer.steps": ENDLESS,
        "trainer.batch_size": cell.batch,
        "trainer.clip": "null",
        "evaluate.every": ENDLESS,
        "measure.every": measure_every,
        "measure.limit": ENDLESS,  # rows do not thin out
        "plot.when": "never",
    }
    return [f"{key}={value}" for key, value in settings.items()]


def build(cell: Cell, **options: Any) -> Any:
    """This project's experiment of a cell."""
    from ffn_train.config.composition import compose
    from ffn_train.running.experiment import build_experiment

    return build_experiment(compose(overrides(cell, **options)))


def arrays(cell: Cell) -> dict[str, np.ndarray]:
    """The initial weights by name, and the first epoch's batches as ``x`` and ``y``."""
    experiment = build(cell)
    named = experiment.model.layout.named(experiment.params.vector)
    batches = [experiment.trainer.batches.at(step) for step in range(BATCHES)]
    x, y = (np.stack(parts) for parts in zip(*batches, strict=True))
    return {**named, "x": x, "y": y}
