"""Work in equal shards, each on a thread of its own.

NumPy and the BLAS release the GIL while they compute, so threads run in parallel as long as each
operation takes longer than passing the GIL on: some tens of microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from numpy.typing import NDArray

Result = TypeVar("Result")

LARGE = 2**18  # entries: a pass over a smaller vector is faster on one thread


def worth_threads(vector: NDArray[Any]) -> bool:
    """Whether a pass over a vector is faster on several threads."""
    return vector.size >= LARGE


class Shards:
    """A context with ``count`` threads, of which the caller's is the first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count - 1, "shard") if count > 1 else None

    def span(self, shard: int, size: int) -> slice:
        """The shard's part of ``size`` rows or entries; parts differ by one at most."""
        return slice(size * shard // self.count, size * (shard + 1) // self.count)

    def each(self, work: Callable[[int], Result], *, side_by_side: bool = True) -> list[Result]:
        """``work(shard)`` of every shard, in parallel or in turn; the results in shard order."""
        if self._pool is None or not side_by_side:
            return [work(shard) for shard in range(self.count)]
        # the context carries NumPy's error handling (np.errstate) to the thread
        others = [
            self._pool.submit(copy_context().run, work, shard) for shard in range(1, self.count)
        ]
        try:
            first = work(0)
        finally:
            results = [other.result() for other in others]  # no shard outlives this call
        return [first, *results]

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()
