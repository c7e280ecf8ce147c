"""How this folder's functions are compiled, and how their machine code is cached on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.core.caching import FunctionCache
from numba.core.errors import TypingError
from numba.extending import intrinsic

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


@cache
def address(function: Any, *arguments: Any) -> int:
    """The address of a compiled function's machine code for arguments of these Numba types.

    The function is kept for as long as the process lives, since the address is valid no longer.
    """
    function.compile(arguments)
    overload = function.overloads[arguments]
    name = overload.fndesc.llvm_cfunc_wrapper_name
    return int(overload.library.get_pointer_to_function(name))


def _call(context, at, arguments):
    if any(isinstance(kind, types.Array) and kind.layout != "C" for kind in arguments):
        raise TypingError("functions that are called by address need C-ordered arrays")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        passed = cgutils.unpack_tuple(builder, values[1])
        returned = context.get_value_type(types.none)
        kind = ir.FunctionType(returned, [value.type for value in passed])
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), passed)
        return context.get_dummy_value()

    return types.void(at, arguments), generate


# call(address, arguments), from compiled code: the same machine code from wherever it is called, in
# a caller that is not compiled anew for another function; it returns nothing and checks no types
call: Any = intrinsic(_call)


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
