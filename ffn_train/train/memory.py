"""What is done about memory before arrays come and go, so that steps need not wait for pages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from ffn_train.nn.core import Array
from ffn_train.train.shards import Shards

_LARGEST = 2**25 - 2**16  # bytes; glibc lets the threshold grow to 32 MiB
_FACTORS = (256, 256), (256, 1024)  # more columns than OpenBLAS packs at a time, rows for threads

_mapped: set[tuple[object, ...]] = set()  # what this process has done before


def keep_freed_memory() -> None:
    """Make the C library reuse freed blocks instead of returning them to the system.

    A step allocates its activations anew. glibc returns blocks above a threshold when they are
    freed, and every page then costs a fault at the next step: a third of the time of the default
    run. Freeing one large block raises the threshold to its size (mallopt(3), M_MMAP_THRESHOLD);
    other allocators are not affected.
    """
    np.empty(_LARGEST, np.uint8)


def map_packing_buffers(
    product: Callable[[Array, Array], Array], dtype: DTypeLike, shards: Shards
) -> None:
    """Have the BLAS write its packing buffers, once in a process, as far as small products reach.

    OpenBLAS copies panels of both factors into a buffer of its own, whose pages the system maps
    when they are first written, and its kernels prefetch beyond the end of a panel. Behind the
    panel of a small product lies a page that nothing has written: a prefetch there walks the page
    tables in vain, each time. On an EPYC the products of (128, 256) and (256, 64) reach 10 of 35
    GFLOP/s until a larger product has written that page. Shards multiply at the same time, each
    with a buffer of its own.
    """
    key = (product, np.dtype(dtype), shards.count)
    if key not in _mapped:
        left, right = (np.ones(shape, dtype) for shape in _FACTORS)
        shards.each(lambda _: product(left, right))
        _mapped.add(key)
