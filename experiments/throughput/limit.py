"""The step's six matrix products per block and nothing else: what the BLAS takes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cells import Cell
from threadpoolctl import threadpool_limits


class Products:
    """Products into existing arrays; each block has weights, gradients and inputs of its own.

    Forward z = x Wᵤᵀ and y = h W_dᵀ; backward dW_d = dyᵀ h, dh = dy W_d, dWᵤ = dzᵀ x, dx = dz Wᵤ.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        threadpool_limits(threads, user_api="blas")

    def load(self, cell: Cell, data: Mapping[str, np.ndarray] | None) -> None:
        rng = np.random.default_rng(0)

        def fresh(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        n, d, h = cell.batch, cell.width, cell.hidden
        self._blocks = [
            (fresh(h, d), fresh(d, h), fresh(h, d), fresh(d, h), fresh(n, d), fresh(n, h))
            for _ in range(cell.depth)
        ]
        self._wide, self._narrow, self._dy = fresh(n, h), fresh(n, d), fresh(n, d)

    def compile(self) -> None:
        """There is nothing to compile."""

    def gradients(self, batch: int) -> None:
        """The products are of random numbers: their time is all that is asked for."""

    def steps(self, count: int) -> list[float]:
        wide, narrow, dy = self._wide, self._narrow, self._dy
        for _ in range(count):
            for up, down, _, _, x, hidden in self._blocks:
                np.matmul(x, up.T, out=wide)
                np.matmul(hidden, down.T, out=narrow)
            for up, down, d_up, d_down, x, hidden in reversed(self._blocks):
                np.matmul(dy.T, hidden, out=d_down)
                np.matmul(dy, down, out=wide)
                np.matmul(wide.T, x, out=d_up)
                np.matmul(wide, up, out=narrow)
        return []
