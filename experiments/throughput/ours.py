"""This project's trainer itself: records drawn from ``Trainer.fit``, one a step.

What a record costs is in the time: the batch gathered, the loss fetched, the gradient's norm and
the check that both are finite.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
from cells import Cell, build

from ffn_train.threads import BlasThreads


class Ours:
    """The default is ``threads=auto``; options are those of ``cells.overrides``."""

    def __init__(self, threads: int) -> None:
        del threads  # chosen by the program's own rule, cell by cell

    def load(self, cell: Cell, data: Mapping[str, np.ndarray] | None, **options: Any) -> None:
        self.experiment = build(cell, **options)
        self.threads = self.experiment.threads
        BlasThreads(self.experiment.threads).__enter__()
        trainer = self.experiment.trainer
        self._records = trainer.fit(trainer.start(self.experiment.params))

    def compile(self) -> None:
        """There is nothing to compile."""

    def gradients(self) -> dict[str, np.ndarray]:
        model, trainer = self.experiment.model, self.experiment.trainer
        x, targets = trainer.batches.at(0)
        y, pullback = model.forward(self.experiment.params.views, x)
        grads = model.layout.zeros(x.dtype)
        pullback(trainer.loss.value_and_gradient(y, targets)[1], grads.views)
        return model.layout.named(grads.vector)

    def steps(self, count: int) -> list[float]:
        return [record.loss for record in islice(self._records, count)]
