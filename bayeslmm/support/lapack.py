"""How many threads BLAS uses: those of SciPy's LAPACK, which the compiled library calls too."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache

from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads"]

_WORTH_THREADS = 800
"""Order of a matrix from which threads within one factorisation pay."""


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
