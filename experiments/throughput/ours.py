"""This project's trainer itself, with either engine, and the matrix products of a step alone.

A step is one of ``Trainer.fit``. Its time includes what a record needs: the batch, the loss, the
gradient's norm and the check that both are finite.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from cells import Cell, build
from threadpoolctl import threadpool_limits

from ffn_train.nn.engine import NUMPY
from ffn_train.train.memory import map_packing_buffers
from ffn_train.train.shards import Shards
from ffn_train.train.threads import BlasThreads


class NumPy:
    """Threads are chosen by ``threads=auto`` for each cell; ``options`` are settings."""

    engine = "numpy"

    def __init__(self, threads: int) -> None:
        del threads

    def load(self, cell: Cell, data: Any = None, **options: Any) -> dict[str, Any]:
        self.experiment = build(cell, engine=self.engine, **options)
        trainer = self.experiment.trainer
        BlasThreads(self.experiment.threads).__enter__()
        self._state = trainer.start(self.experiment.params)
        self._records = trainer.fit(self._state, state_every=None)
        return {"threads": max(self.experiment.threads, trainer.shards)}

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
        """The losses of ``count`` steps, and of those that were made with the last one at once."""
        losses = []
        for record in self._records:
            losses.append(record.loss)
            if len(losses) >= count and self._state.step == record.step + 1:
                return losses
        raise RuntimeError("the training diverged")


class Compiled(NumPy):
    engine = "compiled"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        importlib.import_module("ffn_train.nn.compiled.segment")  # libraries, before memory is read


class CompiledAlone(Compiled):
    """On one thread in every cell."""

    def load(self, cell: Cell, data: Any = None, **options: Any) -> dict[str, Any]:
        return super().load(cell, data, threads=1, **options)


class Products:
    """The six products of each block by ``np.matmul``, on several BLAS threads.

    Forward z = x Wᵤᵀ and y = h W_dᵀ; backward dW_d = dyᵀ h, dh = dy W_d, dWᵤ = dzᵀ x, dx = dz Wᵤ:
    into existing arrays of random numbers; each block has weights, gradients and inputs of its own.
    """

    shards = 1

    def __init__(self, threads: int) -> None:
        self.threads = threads
        threadpool_limits(threads, user_api="blas")
        map_packing_buffers(NUMPY.product, np.float32, Shards(1))  # as a fit does

    def load(self, cell: Cell, data: Any = None) -> dict[str, Any]:
        depth, n, d, h = cell.depth, cell.batch // self.shards, cell.width, cell.hidden
        shapes = [(depth, h, d), (depth, d, h), (depth, h, d), (depth, d, h)]
        shapes += [(depth, n, d), (depth, n, h), (n, h), (n, d), (n, d)]
        fresh, float32 = np.random.default_rng(0).standard_normal, np.float32
        self.arrays = [[fresh(s, dtype=float32) for s in shapes] for _ in range(self.shards)]
        for arrays in self.arrays:
            arrays[:2] = self.arrays[0][:2]  # all shards have the same weights
        *stacked, wide, narrow, dy = self.arrays[0]
        forward, backward = [], []
        for up, down, d_up, d_down, x, hidden in zip(*stacked, strict=True):
            forward += [(x, up.T, wide), (hidden, down.T, narrow)]
            backward += [
                (wide, up, narrow),
                (wide.T, x, d_up),
                (dy, down, wide),
                (dy.T, hidden, d_down),
            ]
        self.products = forward + backward[::-1]
        return {"threads": self.threads}

    def steps(self, count: int) -> range:
        for _ in range(count):
            for left, right, out in self.products:
                np.matmul(left, right, out=out)
        return range(count)
