"""The order of the mini-batches: a function of the seed and the step, with no state to save."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ffn_train.config.settings import SettingError
from ffn_train.nn.core import Array


class Batches:
    """Batches of ``size`` rows, in a new order each epoch; an incomplete last batch is left out.

    Raises SettingError if the size is above the number of rows.
    """

    def __init__(self, x: Array, y: Array, *, size: int, seed: np.random.SeedSequence) -> None:
        if size > len(x):
            raise SettingError(
                f"trainer.batch_size must be at most the {len(x)} training rows, got {size}"
            )
        self.size = size
        self.per_epoch = len(x) // size
        self.x, self.y, self._seed = x, y, seed
        self._epoch, self._order = -1, np.empty((0, size), np.int64)

    def at(self, step: int) -> tuple[Array, Array]:
        """The inputs (size, D) and targets (size, M) of the batch at ``step``."""
        (rows,) = self.rows(step, step + 1)
        return self.x.take(rows, axis=0), self.y.take(rows, axis=0)

    def rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """The training rows (K, size) of the batches at the K steps from ``start`` to ``stop``."""
        parts = []
        while start < stop:
            epoch, index = divmod(start, self.per_epoch)
            if epoch != self._epoch:
                self._epoch, self._order = epoch, self._permutation(epoch)
            parts.append(self._order[index : index + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        key = (*self._seed.spawn_key, epoch)
        seed = np.random.SeedSequence(self._seed.entropy, spawn_key=key)
        order = np.random.default_rng(seed).permutation(len(self.x))
        return order[: self.per_epoch * self.size].reshape(self.per_epoch, self.size)
