"""Arrays as text for a page: bytes grouped by significance, deflated, in base64.

Bytes of equal significance lie together, since signs and exponents of neighbours are alike and the
last digits are not: grouped they pack to two thirds.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

_LEVEL = 6


class Blocks:
    """The packed arrays of one page, by number; equal arrays are one."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[tuple[int, bytes], int] = {}

    def add(self, values: ArrayLike, *, exact: bool = False) -> dict[str, Any]:
        """Pack an array, as float32 unless its range or, if ``exact``, its digits need float64.

        Returns what a page's header says of it: number, shape and bytes per value.
        """
        array = np.asarray(values, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # NaN stays NaN, also one that signals
            packed = array.astype("<f8" if exact or not _fits(array) else "<f4")
        size = packed.dtype.itemsize
        planes = np.ascontiguousarray(packed).reshape(-1).view(np.uint8).reshape(-1, size).T
        key = size, planes.tobytes()
        if key not in self._numbers:
            self._numbers[key] = len(self.texts)
            self.texts.append(base64.b64encode(zlib.compress(key[1], _LEVEL)).decode())
        return {"block": self._numbers[key], "shape": list(array.shape), "bytes": size}


def _fits(values: np.ndarray[Any, np.dtype[np.float64]]) -> bool:
    """Whether each finite value but 0 is in the range in which float32 has all its digits."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    kept = np.finfo(np.float32)
    return not sizes.size or bool(sizes.min() >= kept.tiny and sizes.max() <= kept.max)
