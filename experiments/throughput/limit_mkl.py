"""The step's six matrix products per block and nothing else: what MKL takes, from compiled code."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from cells import Cell
from numba import njit

from ffn_train.nn.compiled import blas
from ffn_train.train.shards import Shards


@njit(nogil=True)
def products(up, down, d_up, d_down, x, hidden, wide, narrow, dy):
    """The same as ``limit.Products``; the first six arrays have a row for each block."""
    for i in range(len(up)):
        blas.product_with_transpose(x[i], up[i], wide)
        blas.product_with_transpose(hidden[i], down[i], narrow)
    for i in range(len(up) - 1, -1, -1):
        blas.product_of_transpose(dy, hidden[i], d_down[i])
        blas.product(dy, down[i], wide)
        blas.product_of_transpose(wide, x[i], d_up[i])
        blas.product(wide, up[i], narrow)


class Products:
    """With two threads each has half the rows, as the engine shares them out."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._shards = Shards(threads)

    def load(self, cell: Cell, data: Mapping[str, np.ndarray] | None) -> None:
        rng = np.random.default_rng(0)

        def fresh(*shape: int) -> np.ndarray:
            return rng.standard_normal(shape, dtype=np.float32)

        depth, n, d, h = cell.depth, cell.batch // self.threads, cell.width, cell.hidden
        up, down = fresh(depth, h, d), fresh(depth, d, h)

        def of_one_thread() -> tuple[np.ndarray, ...]:
            gradients, inputs = (np.empty_like(up), np.empty_like(down)), (fresh(depth, n, d),)
            scratch = (fresh(n, h), fresh(n, d), fresh(n, d))
            return (up, down, *gradients, *inputs, fresh(depth, n, h), *scratch)

        self._arrays = [of_one_thread() for _ in range(self.threads)]

    def compile(self) -> None:
        """Compiled on the first call, once for all cells."""

    def gradients(self, batch: int) -> None:
        """The products are of random numbers: their time is all that is asked for."""

    def steps(self, count: int) -> list[float]:
        for _ in range(count):
            self._shards.each(lambda shard: products(*self._arrays[shard]))
        return []
