"""How this folder's functions are compiled, and when what Numba kept on disk is thrown away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit

# a product and a sum may become one instruction, all else is computed as it is written
inlined: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract"})
# sums over many entries may also be taken in the order that the processor likes
summing: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract", "reassoc"})
# what Python calls: other threads go on meanwhile, and the machine code is kept on disk
entry: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract"}, nogil=True, cache=True)


def forget_outdated() -> None:
    """Remove kept machine code that is older than any source of the package it was made from.

    Numba looks at the file of the entry point alone; here it also calls into other files.
    """
    here = Path(__file__).parent
    sources = [*here.glob("*.py"), here.parent / "special.py"]
    newest = max(path.stat().st_mtime for path in sources)
    for kept in here.glob("__pycache__/*.nbi"):
        with suppress(OSError):
            if kept.stat().st_mtime < newest:
                kept.unlink()


forget_outdated()
