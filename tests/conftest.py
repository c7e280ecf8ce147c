"""What all tests share."""

from __future__ import annotations

import os

# The tests' matrices are small, and two BLAS threads that wait for each other take several times
# the processor time of one. It is read when NumPy is imported, by the tests' children too.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
