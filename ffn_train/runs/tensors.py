"""Arrays by name as the content of a safetensors file, to which nothing is copied.

The library's own ``save`` holds all arrays in memory twice more while it makes the content.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ffn_train.nn.core import Array


def pieces(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """The content, in pieces: the header's length, the header as JSON, and each array's memory.

    https://huggingface.co/docs/safetensors ("Format"); the same bytes as ``safetensors.numpy.save``
    for arrays of one dtype.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    little = {name: array.dtype.newbyteorder("<") for name, array in tensors.items()}
    arrays = {name: np.asarray(tensors[name], little[name], "C") for name in sorted(tensors)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        bits = f"{array.dtype.kind.upper()}{8 * array.dtype.itemsize}"
        dtype = "BOOL" if array.dtype.kind == "b" else bits
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *(array.data for array in arrays.values())]
