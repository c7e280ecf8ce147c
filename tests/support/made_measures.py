"""Measures with made-up values, for tests of what is read from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ffn_train.nn.core import Floats
from ffn_train.runs import Measures


def with_values(measures: Measures, **values: Floats) -> Measures:
    """The same measures with other values of some quantities, at the steps 0, 1, ..."""
    series = {
        name: replace(measures[name], values=array, step=np.arange(len(array)))
        for name, array in values.items()
    }
    return replace(measures, series={**measures.series, **series})
