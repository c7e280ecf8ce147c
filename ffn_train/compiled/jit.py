"""How this folder's functions are compiled, and when what Numba kept on disk is thrown away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit

HERE = Path(__file__).parent

# a product and a sum may become one instruction, all else is computed as it is written
inlined: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract"})
# sums over many entries may also be taken in the order that the processor likes
summing: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract", "reassoc"})


def entry(function: Callable[..., Any]) -> Any:
    """What Python calls: other threads go on meanwhile, and the machine code is kept on disk."""
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True}
    try:
        return njit(**options, cache=True)(function)
    except RuntimeError:  # neither here nor in the user's cache may files be written
        return njit(**options)(function)


def forget_outdated(folder: Path = HERE) -> None:
    """Remove kept machine code that is older than any source of what it was made from.

    Numba looks at the file of the entry point alone, but that calls into other files.
    """
    sources = [*folder.glob("*.py"), folder.parent / "special.py"]
    newest = max(path.stat().st_mtime for path in sources)
    for kept in folder.glob("__pycache__/*.nbi"):
        with suppress(OSError):
            if kept.stat().st_mtime < newest:
                kept.unlink()


forget_outdated()
