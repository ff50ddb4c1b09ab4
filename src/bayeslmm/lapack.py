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

_WORTH_THREADS = 1500
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


@njit(nogil=True, cache=True)
def cholesky_lower(a: np.ndarray, n: int) -> int:
    """Overwrite the lower triangle of the leading n×n block of C-contiguous ``a`` by its Cholesky
    factor.

    Returns LAPACK's ``info``: 0 when the block is positive definite, otherwise the order of the
    first minor that is not.
    """
    uplo = np.full(1, _UPPER)
    size = np.array([n, a.shape[1], 0], dtype=np.int32)
    _dpotrf(uplo.ctypes, size.ctypes, a.ctypes, size[1:].ctypes, size[2:].ctypes)
    return size[2]


@njit(nogil=True, cache=True)
def inverse_from_cholesky(a: np.ndarray, n: int) -> int:
    """Overwrite the lower triangle of the leading block, a Cholesky factor, by the inverse of what
    it factorises.
    """
    uplo = np.full(1, _UPPER)
    size = np.array([n, a.shape[1], 0], dtype=np.int32)
    _dpotri(uplo.ctypes, size.ctypes, a.ctypes, size[1:].ctypes, size[2:].ctypes)
    return size[2]


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
