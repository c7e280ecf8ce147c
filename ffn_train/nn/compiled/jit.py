"""How this folder's functions are compiled, and how their machine code is kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core.caching import FunctionCache

if vars(config)["DISABLE_JIT"]:
    raise ImportError("NUMBA_DISABLE_JIT is set")

HERE = Path(__file__).parent

# a product and a sum may become one instruction, all else is computed as it is written
inlined: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract"})
# sums over many entries may also be taken in the order that the processor likes
summing: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract", "reassoc"})


def digest(folder: Path = HERE) -> str:
    """What tells the sources of this folder's machine code from any others."""
    sources = [*sorted(folder.glob("*.py")), folder.parent / "special.py"]
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


SOURCES = digest()


def entry(function: Callable[..., Any]) -> Any:
    """What Python calls: other threads go on meanwhile, and the machine code is kept on disk.

    Under a name that has the digest of all sources: Numba looks at the entry's own file alone, but
    that calls into other files.
    """
    function.__qualname__ += f"_{SOURCES}"
    compiled: Any = njit(error_model="numpy", fastmath={"contract"}, nogil=True)(function)
    with suppress(RuntimeError):  # neither here nor in the user's cache may files be written
        compiled._cache = _Kept(function)
    return compiled


class _Kept(FunctionCache):
    """Numba's files, without which a run goes on where they are damaged or the disk is full."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """The file's name tells the rest; what a closure holds is pickled anew in each process."""
        return sig, codegen.magic_tuple()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except Exception:
            with suppress(OSError):
                self.flush()
            return None
        # processes that write at the same moment can leave one's code under the other's signature
        return found if found is None or found.signature.args == tuple(sig) else None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def forget_outdated(folder: Path = HERE) -> None:
    """Remove the machine code of other sources than today's."""
    for kept in folder.glob("__pycache__/*.nb[ic]"):
        if SOURCES not in kept.name:
            with suppress(OSError):
                kept.unlink()


forget_outdated()
