"""LAPACK for the Numba kernels, called by symbol.

Numba's own ``np.linalg`` offers neither ``potrf`` on a caller's buffer nor ``potri``. SciPy
publishes the addresses of the LAPACK it ships; binding them to names that compiled code refers to
keeps the kernels cacheable, which function pointers would not.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

import llvmlite.binding as llvm
import numpy as np
from numba import njit, types
from numba.extending import get_cython_function_address
from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads", "cholesky_lower", "inverse_from_cholesky"]

_SMALL = 48
"""Up to this order plain loops are as quick as LAPACK, and no threads are woken for nothing."""
_WORTH_THREADS = 800
"""Order of a matrix from which threads within one factorisation pay."""

_UPPER = np.uint8(
    ord("U")
)  # the upper triangle of a column-major matrix is the lower of a row-major one


def _external(routine: str) -> types.ExternalFunction:
    symbol = f"bayeslmm_{routine}"
    llvm.add_symbol(symbol, get_cython_function_address("scipy.linalg.cython_lapack", routine))
    pointer = types.voidptr
    return types.ExternalFunction(symbol, types.void(pointer, pointer, pointer, pointer, pointer))


_dpotrf = _external("dpotrf")
_dpotri = _external("dpotri")


@njit(nogil=True, cache=True, error_model="numpy")
def cholesky_lower(a, n):
    """Overwrite the lower triangle of the leading n×n block of C-contiguous ``a`` by its factor.

    Returns whether the block is positive definite.
    """
    if n > _SMALL:
        uplo = np.full(1, _UPPER)
        size = np.array([n, a.shape[1], 0], dtype=np.int32)
        _dpotrf(uplo.ctypes, size.ctypes, a.ctypes, size[1:].ctypes, size[2:].ctypes)
        return size[2] == 0
    for i in range(n):
        for j in range(i + 1):
            value = a[i, j]
            for k in range(j):
                value -= a[i, k] * a[j, k]
            if i == j:
                if not value > 0.0:
                    return False
                a[i, i] = np.sqrt(value)
            else:
                a[i, j] = value / a[j, j]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def inverse_from_cholesky(a, n):
    """Overwrite the lower triangle of the leading block, a factor L, by that of (LL')⁻¹."""
    if n > _SMALL:
        uplo = np.full(1, _UPPER)
        size = np.array([n, a.shape[1], 0], dtype=np.int32)
        _dpotri(uplo.ctypes, size.ctypes, a.ctypes, size[1:].ctypes, size[2:].ctypes)
        return
    for j in range(n):  # L⁻¹, column by column
        a[j, j] = 1.0 / a[j, j]
        for i in range(j + 1, n):
            value = 0.0
            for k in range(j, i):
                value -= a[i, k] * a[k, j]
            a[i, j] = value / a[i, i]
    for j in range(n):  # L⁻ᵀL⁻¹: row i of the product needs rows i and below of L⁻¹ only
        for i in range(j, n):
            value = 0.0
            for k in range(i, n):
                value += a[k, i] * a[k, j]
            a[i, j] = value


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # finding the libraries takes milliseconds


def blas_threads(order: int) -> AbstractContextManager[object]:
    """A context in which BLAS uses one thread, unless matrices of this order are worth more.

    On a busy machine, threads that wait for each other on small matrices cost a hundred times what
    they save.
    """
    if order >= _WORTH_THREADS:
        return nullcontext()
    return _controller().limit(limits=1, user_api="blas")
