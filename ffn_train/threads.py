"""What a run uses threads for: chosen from the shape, pinned for the run, written down with it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from threadpoolctl import ThreadpoolController

from ffn_train.settings import SettingError

WORTH_A_THREAD = 2**22  # multiply-adds of a matrix product
ROWS = 64  # of a shard: with fewer the BLAS does not reach its speed


@dataclass(frozen=True)
class Threads:
    """``shards`` of each batch on as many threads, in each of which the BLAS uses ``blas``."""

    blas: int
    shards: int


def choose(
    setting: Any, *, batch: int, width: int, hidden: int, depth: int = 1, engine: str = "numpy"
) -> Threads:
    """What ``threads`` stands for, decided by N·D·H, the multiply-adds of a matrix product.

    How many: as many as the setting says; ``auto`` is one below 2²², where waking a second thread
    costs more than the product takes, and every core that this process has above.
    For what: the batch is cut into shards, one thread and one BLAS thread each, so that all of the
    step runs side by side, if a shard has 64 rows and 2²² multiply-adds a product; below that the
    threads would wait for the interpreter, and the BLAS has them for its products.
    Measured on two cores of a Xeon, ms a pass on one thread / two BLAS threads / two shards:
    N=128 D=64 H=256 4.8/4.8/5.8; N=128 D=128 H=512 7.9/6.5/5.2; N=256 D=256 H=1024 56/41/35; but
    N=64 D=256 H=1024 18/13/13.
    """
    if setting == "auto":
        small = batch * width * hidden < WORTH_A_THREAD
        count = 1 if small else len(os.sched_getaffinity(0))
    elif isinstance(setting, bool) or not isinstance(setting, int) or setting < 1:
        raise SettingError(f"threads must be auto or an integer >= 1, got {setting!r}")
    else:
        count = setting
    if engine == "compiled":
        return Threads(blas=1, shards=min(count, batch))
    rows = batch // count
    if rows >= ROWS and rows * width * hidden >= WORTH_A_THREAD:
        return Threads(blas=1, shards=count)
    return Threads(blas=count, shards=1)


class BlasThreads:
    """A context in which the BLAS runs on a fixed number of threads; ``library`` describes it."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._controller = ThreadpoolController().select(user_api="blas")
        self._limits: Any = None

    @property
    def library(self) -> str:
        """The BLAS libraries in use, by name, version and instruction set."""
        return "; ".join(
            f"{info['internal_api']} {info['version']} {info.get('architecture', '')}".strip()
            for info in self._controller.info()
        )

    def __enter__(self) -> BlasThreads:
        self._limits = self._controller.limit(limits=self.threads)
        return self

    def __exit__(self, *_: object) -> None:
        self._limits.restore_original_limits()
