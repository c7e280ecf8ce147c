"""Sums over samples and means over features as products with constant vectors.

The BLAS is faster than ``np.sum``, most of all for small arrays: 0.5 against 1.7 µs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from ffn_train.nn.core import Array, Shape


@cache
def _constant(shape: Shape, value: float, dtype: np.dtype[Any]) -> Array:
    array = np.full(shape, value, dtype)
    array.flags.writeable = False
    return array


def sample_sum(a: Array, out: Array) -> None:
    """Σ_n a_n of a (N, K), written to ``out`` (K,)."""
    np.dot(_constant((len(a),), 1.0, a.dtype), a, out=out)


def feature_mean(a: Array) -> Array:
    """The mean of each row of a (N, K), as a column (N, 1)."""
    width = a.shape[1]
    mean: Array = np.dot(a, _constant((width, 1), 1 / width, a.dtype))
    return mean
