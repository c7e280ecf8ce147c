"""How this folder's functions are compiled, and how their machine code is cached on disk."""

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

# a product and a sum may be fused into one instruction; all else is computed as written
inlined: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract"})
# sums over many entries may also be reordered, which vectorises them
summing: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract", "reassoc"})


def digest(folder: Path = HERE) -> str:
    """A digest of the sources that this folder's machine code is compiled from."""
    sources = [*sorted(folder.glob("*.py")), folder.parent / "special.py"]
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


SOURCES = digest()


def entry(function: Callable[..., Any]) -> Any:
    """Compile a function that Python calls; it releases the GIL, and its machine code is cached.

    Its name gets the digest of all sources: Numba's cache checks the function's own file only, but
    the function calls into others.
    """
    function.__qualname__ += f"_{SOURCES}"
    compiled: Any = njit(error_model="numpy", fastmath={"contract"}, nogil=True)(function)
    with suppress(RuntimeError):  # no cache directory can be written to
        compiled._cache = _Cache(function)
    return compiled


class _Cache(FunctionCache):
    """Numba's cache on disk; with damaged files or a full disk it compiles again."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """Without the contents of closures, whose pickles differ between processes."""
        return sig, codegen.magic_tuple()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            overload = super().load_overload(sig, target_context)
        except Exception:
            with suppress(OSError):
                self.flush()
            return None
        # two processes that write at once can leave the code of one under the other's signature
        return overload if overload is None or overload.signature.args == tuple(sig) else None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def forget_outdated(folder: Path = HERE) -> None:
    """Remove the cached machine code of other versions of the sources."""
    for file in folder.glob("__pycache__/*.nb[ic]"):
        if SOURCES not in file.name:
            with suppress(OSError):
                file.unlink()


forget_outdated()
