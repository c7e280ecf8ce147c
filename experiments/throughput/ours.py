"""This project's trainer itself, with either engine: ``Trainer.fit``, a record a step.

What a record costs is in the time: the batch gathered, the loss fetched, the gradient's norm and
the check that both are finite.
"""

from __future__ import annotations

import importlib.metadata
import math
import time
from collections.abc import Mapping
from itertools import islice
from typing import Any

import numpy as np
from cells import ENDLESS, Cell, build

from ffn_train.train.threads import BlasThreads


class NumPy:
    """The default is ``threads=auto``; options are those of ``cells.overrides``."""

    engine = "numpy"

    def __init__(self, threads: int) -> None:
        del threads  # chosen by the program's own rule, cell by cell

    def load(self, cell: Cell, data: Mapping[str, np.ndarray] | None, **options: Any) -> None:
        self.experiment = build(cell, engine=self.engine, **options)
        trainer = self.experiment.trainer
        self.threads = max(self.experiment.threads, trainer.shards)
        BlasThreads(self.experiment.threads).__enter__()
        self._records = trainer.fit(trainer.start(self.experiment.params))

    def compile(self) -> None:
        """There is nothing to compile for a cell: the engine's code is the same for all."""

    def gradients(self, batch: int) -> dict[str, np.ndarray]:
        """The velocity after one step on a copy of the weights: before it, the velocity is zero."""
        layout, trainer = self.experiment.model.layout, self.experiment.trainer
        copy = layout.zeros(np.float32)
        copy.vector[...] = self.experiment.params.vector
        state = trainer.start(copy)
        state.step = batch
        next(trainer.fit(state))
        return layout.named(state.memory["velocity"])

    def steps(self, count: int) -> list[float]:
        losses = [record.loss for record in islice(self._records, count)]
        if len(losses) < count:
            raise RuntimeError("the training diverged")
        return losses

    def clock(self, count: int) -> tuple[list[float], list[bool]]:
        """The seconds of each of ``count`` steps, and whether it was measured."""
        seconds, measured = [], []
        before = time.perf_counter()
        for record in islice(self._records, count):
            now = time.perf_counter()
            seconds.append(now - before)
            measured.append(record.measures is not None)
            before = time.perf_counter()
        return seconds, measured

    def with_and_without(self, cell: Cell, rounds: int, turn: float) -> list[tuple[float, float]]:
        """Milliseconds a step without measures and with them at every step, turn by turn.

        Both in this process: two differ by more, by where their arrays lie.
        """
        trainings = [build(cell, engine=self.engine, measure_every=n) for n in (ENDLESS, 1)]
        BlasThreads(trainings[0].threads).__enter__()
        records = [one.trainer.fit(one.trainer.start(one.params)) for one in trainings]

        def clock(which: int, count: int) -> float:
            started = time.perf_counter()
            for _ in islice(records[which], count):
                pass
            return 1e3 * (time.perf_counter() - started) / count

        clock(1, 10)
        counts = [max(1, math.ceil(1e3 * turn / clock(which, 10))) for which in (0, 1)]
        found = []
        for round_ in range(rounds):
            order = (0, 1) if round_ % 2 else (1, 0)
            times = {which: clock(which, counts[which]) for which in order}
            found.append((times[0], times[1]))
        return found


class Compiled(NumPy):
    """With MKL's products where the package ``mkl`` is installed, else with SciPy's OpenBLAS."""

    engine = "compiled"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        importlib.import_module("ffn_train.nn.compiled.segment")  # libraries, before memory is read


class CompiledWithoutMKL(Compiled):
    """As where the package ``mkl`` is not installed: its place is hidden before it is looked up."""

    def __init__(self, threads: int) -> None:
        found = importlib.metadata.distribution

        def distribution(name: str) -> importlib.metadata.Distribution:
            if name == "mkl":
                raise importlib.metadata.PackageNotFoundError(name)
            return found(name)

        importlib.metadata.distribution = distribution
        super().__init__(threads)
