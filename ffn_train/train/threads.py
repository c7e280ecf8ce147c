"""What a run uses threads for: chosen by the sizes, fixed for the run and recorded with it."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass
from typing import Any, ClassVar

from threadpoolctl import ThreadpoolController

from ffn_train.config.settings import counted

WORTH_A_THREAD = 2**22  # multiply-adds of a product, if each product is split over threads
WORTH_A_SHARD = 2**24  # multiply-adds of one product in every block, if whole passes are
KEPT = 2**26  # numbers of a shard's activations at a time: 256 MiB in float32
ROWS = 64  # of a shard: with fewer the BLAS does not reach its full speed


@dataclass(frozen=True)
class Threads:
    """Each batch in ``shards``, one thread each, and ``blas`` BLAS threads in each of these."""

    blas: int
    shards: int


def allowed_cores() -> int:
    """The number of cores that this process may run on; its affinity can exclude some."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def warnings(setting: Any) -> list[str]:
    """A warning if there are more threads than cores: those that wait hold up the others.

    Measured on one core of a Xeon, the default run: 2 steps/s with threads=2, 207 with threads=1.
    """
    cores = allowed_cores()
    if setting == "auto" or setting <= cores:
        return []
    allowed = counted(cores, "core")
    return [
        f"threads={setting} with {allowed} allowed to this process: threads that wait for one "
        f"another can make it many times slower; use threads={cores} or auto"
    ]


def choose(
    setting: Any, *, batch: int, width: int, hidden: int, depth: int = 1, engine: str = "numpy"
) -> Threads:
    """The threads for the setting ``threads``, given N, D, H and L.

    A number is taken as it is; ``auto`` is one thread as long as a second would cost more than it
    gains, and above that one for every core of this process.

    With NumPy the multiply-adds N·D·H of a product decide, since every operation needs the GIL: one
    thread below 2²². Above, the batch is split into shards, one thread and one BLAS thread each, so
    that the whole step runs in parallel, if a shard has 64 rows and 2²² multiply-adds per product;
    otherwise the threads are the BLAS's, for its products.
    Measured on two cores of a Xeon, ms per pass on one thread / two BLAS threads / two shards:
    N=128 D=64 H=256 4.8/4.8/5.8; N=128 D=128 H=512 7.9/6.5/5.2; N=256 D=256 H=1024 56/41/35; but
    N=64 D=256 H=1024 18/13/13.

    Compiled passes need the GIL twice per step, however deep the stack: L·N·D·H decides, and shards
    are from 2²⁴ on. Time of a step on two shards over that on one, measured on the same machine,
    N=64 D=32 H=128: 1.51 at 2²¹, 1.37, 1.10 and .91 at 2²⁴; N=128 D=64 H=256: 1.24 at 2²²,
    1.07 and .93 at 2²⁴; N=1024 D=64 H=256: .56 at 2²⁷.
    """
    count = allowed_cores() if setting == "auto" else setting
    product, compiled = batch * width * hidden, engine == "compiled"
    little = depth * product < WORTH_A_SHARD if compiled else product < WORTH_A_THREAD
    if setting == "auto" and little:
        count = 1
    if compiled:
        return Threads(blas=1, shards=min(count, batch))
    if batch // count >= ROWS and product // count >= WORTH_A_THREAD:
        return Threads(blas=1, shards=count)
    return Threads(blas=count, shards=1)


def turns(rows: int, width: int, hidden: int, depth: int) -> int:
    """In how many turns a shard's rows are passed, given D, H and L, to bound memory.

    A block keeps its input, its hidden units and their derivatives: L (D + 2 H) numbers a row.
    """
    return min(rows, math.ceil(rows * depth * (width + 2 * hidden) / KEPT))


class BlasThreads:
    """A context in which the BLAS runs on a fixed number of threads; ``library`` describes it.

    Of contexts that overlap, in several threads, the last to end restores what was before them.
    """

    _open: ClassVar[list[BlasThreads]] = []  # in this process, which has one BLAS
    _changing = threading.Lock()

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._controller = ThreadpoolController().select(user_api="blas")
        self._before: Any = None

    @property
    def library(self) -> str:
        """The BLAS libraries in use, by name, version and instruction set."""
        return "; ".join(
            sorted(  # threadpoolctl finds them in the order of a set
                f"{info['internal_api']} {info['version']} {info.get('architecture', '')}".strip()
                for info in self._controller.info()
            )
        )

    def __enter__(self) -> BlasThreads:
        with self._changing:
            self._before = self._controller.limit(limits=self.threads)
            self._open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        with self._changing:
            place = self._open.index(self)
            self._open.remove(self)
            if place == len(self._open):
                self._before.restore_original_limits()
            else:  # those after it go on, and restore what was before it
                self._open[place]._before = self._before
