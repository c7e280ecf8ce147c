"""The matrix products of a step alone, from compiled code: by SciPy's BLAS or by MKL."""

from __future__ import annotations

from ctypes import CDLL, c_float, c_int, c_void_p
from importlib.metadata import distribution
from typing import Any

import numpy as np
from numba import njit
from ours import Products
from threadpoolctl import threadpool_limits

from ffn_train.nn.compiled import blas
from ffn_train.train.memory import map_packing_buffers
from ffn_train.train.shards import Shards


class CompiledProducts(Products):
    """The same from compiled code by SciPy's BLAS; each of two threads has half the rows."""

    def __init__(self, threads: int) -> None:
        self.threads = self.shards = threads
        threadpool_limits(1, user_api="blas")
        shards = Shards(threads)
        map_packing_buffers(blas.product_from_python, np.float32, shards)
        step = self.compiled()
        self._step = lambda: shards.each(lambda shard: step(*self.arrays[shard]))

    @staticmethod
    def compiled() -> Any:
        return compiled_products(
            blas.product, blas.product_with_transpose, blas.product_of_transpose
        )

    def steps(self, count: int) -> range:
        for _ in range(count):
            self._step()
        return range(count)


class MKLProducts(CompiledProducts):
    """By MKL, which PyTorch uses."""

    @staticmethod
    def compiled() -> Any:
        (file,) = (f for f in distribution("mkl").files or () if "libmkl_rt.so" in f.name)
        library = CDLL(str(file.locate()))
        library.MKL_Set_Threading_Layer(1)  # sequential: the shards have the threads
        gemm, gemm.restype = library.cblas_sgemm, None
        gemm.argtypes = [c_int] * 6 + [c_float, *[c_void_p, c_int] * 2, c_float, c_void_p, c_int]
        rows, plain, other = 101, 111, 112  # row-major; a factor as it is, or transposed

        @njit(nogil=True)
        def product(a, b, out):
            (n, m), k = a.shape, b.shape[1]
            sizes = (n, k, m)
            gemm(rows, plain, plain, *sizes, 1, a.ctypes, m, b.ctypes, k, 0, out.ctypes, k)

        @njit(nogil=True)
        def with_transpose(a, b, out):
            (n, m), k = a.shape, b.shape[0]
            sizes = (n, k, m)
            gemm(rows, plain, other, *sizes, 1, a.ctypes, m, b.ctypes, m, 0, out.ctypes, k)

        @njit(nogil=True)
        def of_transpose(a, b, out):
            (n, m), k = a.shape, b.shape[1]
            sizes = (m, k, n)
            gemm(rows, other, plain, *sizes, 1, a.ctypes, m, b.ctypes, k, 0, out.ctypes, k)

        return compiled_products(product, with_transpose, of_transpose)


def compiled_products(product: Any, with_transpose: Any, of_transpose: Any) -> Any:
    """All products of a step in one call, by a library's product a b, a bᵀ and aᵀ b."""

    @njit(nogil=True)
    def products(up, down, d_up, d_down, x, hidden, wide, narrow, dy):
        for i in range(len(up)):
            with_transpose(x[i], up[i], wide)
            with_transpose(hidden[i], down[i], narrow)
        for i in range(len(up) - 1, -1, -1):
            of_transpose(dy, hidden[i], d_down[i])
            product(dy, down[i], wide)
            of_transpose(wide, x[i], d_up[i])
            product(wide, up[i], narrow)

    return products
