"""The cells of the grid, and the same weights and batches for every contestant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

BATCHES = 32  # per epoch, about as many as in the default run; the peers cycle through them
MOMENTUM, EPS = 0.9, 1e-5
ENDLESS = 10**9  # steps: never reached, so the last row, which would be measured, never comes


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
    def shape(self) -> str:
        return f"{self.depth}, {self.width}, {self.hidden}, {self.batch}"

    @property
    def multiply_adds(self) -> int:
        """Of one of the six products in each block."""
        return self.depth * self.batch * self.width * self.hidden

    @property
    def flops(self) -> int:
        """Of a step's six products in each block."""
        return 12 * self.multiply_adds

    @property
    def rate(self) -> float:
        """A learning rate that is stable at every width."""
        return 0.1 / self.width


PLAIN = [
    Cell(4, 16, 64, 32),
    Cell(8, 32, 128, 64),
    Cell(256, 32, 128, 64),
    Cell(16, 64, 256, 128),
    Cell(64, 64, 256, 64),
    Cell(8, 256, 1024, 256),
    Cell(4, 512, 2048, 512),
]
KINDS = list(product(("relu", "gelu_tanh"), ("none", "pre_layer")))
GRID = [replace(cell, activation=a, norm=n) for cell in PLAIN for a, n in KINDS]


def build(cell: Cell, **options: Any) -> Any:
    """This project's experiment of a cell, without clipping, validation and measuring.

    The default task, residual, initialisation, loss and momentum; ``options``: further settings.
    """
    from ffn_train.config.composition import compose
    from ffn_train.running.experiment import build_experiment

    settings = {
        "engine": "numpy",
        "task.rows": 10 * BATCHES * cell.batch // 8,  # of which 4 in 5 are trained on
        "model.depth": cell.depth,
        "model.width": cell.width,
        "model.expansion": cell.hidden // cell.width,
        "activation": cell.activation,
        "norm": cell.norm,
        "optimizer.lr": cell.rate,
        "schedule": "constant",
        "trainer.steps": ENDLESS,
        "trainer.batch_size": cell.batch,
        "trainer.clip": "null",
        "evaluate.every": ENDLESS,
        "measure.every": ENDLESS,
        "measure.limit": ENDLESS,  # a constant interval
        **options,
    }
    return build_experiment(compose([f"{key}={value}" for key, value in settings.items()]))


def arrays(cell: Cell) -> dict[str, np.ndarray]:
    """The initial weights by name, and the first epoch's batches as ``x`` and ``y``."""
    experiment = build(cell)
    named = experiment.model.layout.named(experiment.params.vector)
    batches = [experiment.trainer.batches.at(step) for step in range(BATCHES)]
    x, y = (np.stack(parts) for parts in zip(*batches, strict=True))
    return {**named, "x": x, "y": y}


def layers(cell: Cell, weights: Sequence[Any]) -> tuple[Any, list[tuple[Any, ...]], Any, Any]:
    """Input, blocks ((norm,) up, down), final norm or None, and output: two arrays each.

    ``weights``: in the order of ``arrays``.
    """
    into, *inner, out = zip(weights[::2], weights[1::2], strict=True)
    final = None if cell.norm == "none" else inner.pop()
    size = len(inner) // cell.depth
    return into, [tuple(inner[i : i + size]) for i in range(0, len(inner), size)], final, out
