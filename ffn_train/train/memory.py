"""Keeps freed memory in the process, so that a step's arrays cause no page faults."""

from __future__ import annotations

import numpy as np

_LARGEST = 2**25 - 2**16  # bytes; glibc lets the threshold grow to 32 MiB


def keep_freed_memory() -> None:
    """Make the C library reuse freed blocks instead of returning them to the system.

    A step allocates its activations anew. glibc returns blocks above a threshold when they are
    freed, and every page then costs a fault at the next step: a third of the time of the default
    run. Freeing one large block raises the threshold to its size (mallopt(3), M_MMAP_THRESHOLD);
    other allocators are not affected.
    """
    np.empty(_LARGEST, np.uint8)
