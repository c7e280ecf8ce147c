"""What a fit does about memory before its first step."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from ffn_train.nn.core import Array
from ffn_train.nn.engine import NUMPY, engine
from ffn_train.running.experiment import build_experiment
from ffn_train.train.memory import map_packing_buffers
from tests.support.small_runs import config

OPENBLAS = sys.platform == "linux" and any(
    info["internal_api"] == "openblas" for info in ThreadpoolController().info()
)

RESIDENT = """
import re
from pathlib import Path
import numpy as np
from threadpoolctl import threadpool_limits
from ffn_train.nn.engine import engine
from ffn_train.train.memory import map_packing_buffers
from ffn_train.train.shards import Shards

def resident():  # KiB of memory that is reserved in pieces of 32 MiB, as OpenBLAS does
    found, size = 0, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if mapping := re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0\\s*$", line):
            size = int(mapping[2], 16) - int(mapping[1], 16)
        elif line.startswith("Rss:") and size and size % 2**25 == 0:
            found += int(line.split()[1])
            size = 0
    return found

product = engine("ENGINE").product
with threadpool_limits(1):
    small = [np.ones(shape, np.float32) for shape in ((128, 256), (256, 64))]
    product(*small)
    before = resident()
    with Shards(1) as shards:
        map_packing_buffers(product, np.float32, shards)
    print(before, resident())
"""


@pytest.mark.skipif(not OPENBLAS, reason="needs Linux and an OpenBLAS")
@pytest.mark.parametrize("name", ["numpy", "compiled"])
def test_pages_behind_the_panels_of_small_products_are_mapped(name: str) -> None:
    if name == "compiled":
        pytest.importorskip("numba")
    code = RESIDENT.replace("ENGINE", name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert 0 < before < 160  # both packed factors of the small product, not all of the second
    assert after >= before + 48  # at least all of the larger product's second factor


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_fit_maps_the_buffers_of_each_shard_in_its_type(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same time: one shard after the other would use one buffer."""
    together, seen = threading.Barrier(2), []

    def product(a: Array, b: Array) -> Array:
        together.wait(timeout=60)
        seen.append((threading.get_ident(), a.dtype, b.dtype))
        return np.dot(a, b)

    monkeypatch.setattr(
        "ffn_train.train.trainer.map_packing_buffers",
        lambda _, dtype, shards: map_packing_buffers(product, dtype, shards),
    )
    experiment = build_experiment(config(dtype=dtype, trainer={"steps": 1}))
    trainer = replace(experiment.trainer, shards=2)
    list(trainer.fit(trainer.start(experiment.params)))
    assert len({ident for ident, *_ in seen}) == 2
    assert [types for _, *types in seen] == [[dtype, dtype]] * 2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_small_product_of_compiled_code_is_numpys(dtype: str) -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    a: Array = rng.uniform(1, 2, (3, 5)).astype(dtype)
    b: Array = rng.uniform(1, 2, (5, 4)).astype(dtype)
    got, expected = engine("compiled").product(a, b), NUMPY.product(a, b)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, expected, rtol=float(8 * np.finfo(dtype).eps))
