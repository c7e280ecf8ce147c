"""How many threads the BLAS uses: chosen from the shape, pinned for a run, written down with it."""

from __future__ import annotations

import os
from typing import Any

from threadpoolctl import ThreadpoolController

from ffn_train.settings import SettingError

WORTH_A_SECOND_THREAD = 2**22  # multiply-adds of a block's larger matrix product


def choose(setting: Any, *, batch: int, width: int, hidden: int) -> int:
    """The number of threads that ``threads`` stands for.

    ``auto`` is one thread while N·D·H, the multiply-adds of a product, is below 2²²: waking a
    second thread costs more than such a product takes. Above, it is every core this process has.
    """
    if setting == "auto":
        small = batch * width * hidden < WORTH_A_SECOND_THREAD
        return 1 if small else len(os.sched_getaffinity(0))
    if isinstance(setting, bool) or not isinstance(setting, int) or setting < 1:
        raise SettingError(f"threads must be auto or an integer >= 1, got {setting!r}")
    return setting


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
