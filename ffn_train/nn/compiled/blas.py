"""Matrix products for compiled code, by the ``gemm`` of SciPy's OpenBLAS.

Compiled code calls ``ffn_sgemm`` and ``ffn_dgemm``, names that are registered with the linker here,
so Numba's cache does not depend on where the library lies.
"""

from __future__ import annotations

import ctypes
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import get_cython_function_address, intrinsic

from ffn_train.nn.compiled.jit import inlined
from ffn_train.nn.core import Array


def _address(name: str) -> int:
    """The address of SciPy's ``sgemm`` or ``dgemm``."""
    return int(get_cython_function_address("scipy.linalg.cython_blas", name))


for _name in ("sgemm", "dgemm"):
    llvmlite.binding.add_symbol(f"ffn_{_name}", _address(_name))


def product_from_python(a: Array, b: Array) -> Array:
    """a (N, M) b (M, K), C-ordered and of one type: compiled code need not wait for this call."""
    name, real = ("sgemm", ctypes.c_float) if a.itemsize == 4 else ("dgemm", ctypes.c_double)
    gemm = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(_address(name))
    out = np.empty((len(a), b.shape[1]), a.dtype)
    letter, one, zero = (ctypes.byref(x) for x in (ctypes.c_char(b"N"), real(1), real(0)))
    n, m, k = (ctypes.byref(ctypes.c_int64(size)) for size in (*a.shape, b.shape[1]))
    left, right, y = (x.ctypes.data for x in (b, a, out))  # swapped, as below
    gemm(letter, letter, k, n, m, one, left, k, right, m, zero, y, k)
    return out


def _gemm(context, ta, tb, m, n, k, a, lda, b, ldb, c):
    """C (m, n) = A B in the BLAS's column order; ``ta``, ``tb``: with A, B transposed.

    The BLAS has a Fortran interface: it takes the address of every argument, and checks none.
    """
    name = {types.float32: "sgemm", types.float64: "dgemm"}.get(c.dtype)
    if name is None or any(x.dtype != c.dtype or x.layout != "C" for x in (a, b, c)):
        raise TypingError("matrix products need C-ordered arrays, all float32 or all float64")

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        byte = ir.IntType(8)
        real = context.get_value_type(signature.args[9].dtype)
        pointer = byte.as_pointer()

        def address(value: Any) -> Any:
            return builder.bitcast(cgutils.alloca_once_value(builder, value), pointer)

        def letter(transposed: Any) -> Any:
            return address(builder.select(transposed, byte(ord("T")), byte(ord("N"))))

        def size(index: int) -> Any:
            return address(values[index])  # 64 bits; a BLAS with 32-bit integers reads the low half

        def data(index: int) -> Any:
            array = context.make_array(signature.args[index])(context, builder, values[index])
            return builder.bitcast(array.data, pointer)

        kind = ir.FunctionType(ir.VoidType(), [pointer] * 13)
        function = cgutils.get_or_insert_function(builder.module, kind, f"ffn_{name}")
        shape = [letter(values[0]), letter(values[1]), size(2), size(3), size(4)]
        factors = [address(real(1.0)), data(5), size(6), data(7), size(8)]
        builder.call(function, [*shape, *factors, address(real(0.0)), data(9), size(2)])
        return context.get_dummy_value()

    return types.void(ta, tb, m, n, k, a, lda, b, ldb, c), generate


_product: Any = intrinsic(_gemm)

# A C-ordered matrix is its transpose in the BLAS's order, so the factors are swapped.


@inlined
def product(a, b, out):
    """out (N, K) = a (N, M) b (M, K)."""
    _product(False, False, b.shape[1], a.shape[0], a.shape[1], b, b.shape[1], a, a.shape[1], out)


@inlined
def product_with_transpose(a, b, out):
    """out (N, K) = a (N, M) bᵀ, with b (K, M)."""
    _product(True, False, b.shape[0], a.shape[0], a.shape[1], b, b.shape[1], a, a.shape[1], out)


@inlined
def product_of_transpose(a, b, out):
    """out (M, K) = aᵀ b, with a (N, M) and b (N, K)."""
    _product(False, True, b.shape[1], a.shape[1], a.shape[0], b, b.shape[1], a, a.shape[1], out)
