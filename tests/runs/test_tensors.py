"""The content of safetensors files: what the library writes, without a copy of the arrays."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from ffn_train.runs.files import write_whole
from ffn_train.runs.tensors import pieces

RNG = np.random.default_rng(0)
ARRAYS = {
    "weight": RNG.normal(size=(3, 5)),
    "größe": RNG.normal(size=7),
    "empty": np.zeros((0, 4)),
    "turned": RNG.normal(size=(4, 6)).T,
    "single": np.array(2.5),
}


@pytest.mark.parametrize("metadata", [{}, {"entry": '{"a": "\\u00e4", "b": [1, 2]}'}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bytes_are_the_librarys(dtype: str, metadata: dict[str, str]) -> None:
    arrays = {name: np.asarray(a, dtype, order="C") for name, a in ARRAYS.items()}
    content = b"".join(map(bytes, pieces(arrays, metadata)))
    assert content == save(arrays, metadata or None)
    for name, array in load(b"".join(map(bytes, pieces(ARRAYS, {})))).items():
        np.testing.assert_array_equal(array, ARRAYS[name], strict=True)


@pytest.mark.parametrize("dtype", ["float16", "int64", "uint8", "bool", ">f4", ">i2"])
def test_other_numbers_are_kept(dtype: str) -> None:
    array = np.arange(6).astype(dtype)
    read = load(b"".join(pieces({"a": array}, {})))["a"]
    np.testing.assert_array_equal(read, array.astype(array.dtype.newbyteorder("=")), strict=True)


def test_nothing_is_copied(tmp_path: Path) -> None:
    array = np.ones(2**20)
    tracemalloc.start()
    write_whole(tmp_path / "file", pieces({"a": array, "b": array}, {}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 10
    np.testing.assert_array_equal(load((tmp_path / "file").read_bytes())["b"], array)
