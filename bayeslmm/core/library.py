"""The compiled library: where it is, what its functions take, and the addresses of arrays.

The library is C++ with a plain C interface, in the folders beside this file, and is built when the
package is installed. Its functions release the interpreter's lock and share no memory, so that
threads may call them at once. They take the addresses of arrays that are alive for as long as the
call lasts; the caller sees to it that these have the right type and are contiguous.
"""

from __future__ import annotations

import ctypes
import sys
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "PackedVectors",
    "Span",
    "Status",
    "address",
    "floats",
    "function",
    "integers",
    "pointer",
    "span",
    "spans",
]

_NO_MEMORY = 2
_SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
_LIBRARY = Path(__file__).with_name(f"_core{_SUFFIX}")


class Status(IntEnum):
    """What a function of the library returns."""

    OK = 0
    NOT_DEFINED = 1
    """The parameters are not those of covariance matrices, or a matrix is singular."""
    NO_MEMORY = _NO_MEMORY


class PackedVectors(ctypes.Structure):
    """The packed vectors of the equations, as the library takes them."""

    _fields_ = (("ints", ctypes.c_void_p), ("n_ints", ctypes.c_int64), ("floats", ctypes.c_void_p))


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(_LIBRARY))
    except OSError as error:
        raise ImportError(
            f"the compiled library of bayeslmm, {_LIBRARY.name}, is missing or is that of another "
            f"platform ({error}). Build it again: `uv sync --reinstall-package bayeslmm` in a "
            "clone, or `pip install --force-reinstall --no-deps bayeslmm`."
        ) from error
    (potrf, bytes_of_integers), (potri, _) = map(_lapack, ("dpotrf", "dpotri"))
    library.bayeslmm_use_lapack.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    library.bayeslmm_use_lapack(potrf, potri, bytes_of_integers)
    return library


def _lapack(routine: str) -> tuple[int, int]:
    """The address of a routine of SciPy's LAPACK, and the size of its integers."""
    from scipy.linalg import cython_lapack

    capsule = cython_lapack.__pyx_capi__[routine]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    signature: bytes = api.PyCapsule_GetName(capsule)
    narrow = b"int *" in signature
    return api.PyCapsule_GetPointer(capsule, signature), 4 if narrow else 8


_library = _load()
_TYPES = {
    "a": ctypes.c_void_p,  # an array's address
    "i": ctypes.c_int64,
    "b": ctypes.c_int,  # a truth value
    "d": ctypes.c_double,
}


def _status(code: int) -> int:
    if code == _NO_MEMORY:
        raise MemoryError("the machine has no memory left for the mixed-model equations.")
    return code


def function(
    name: str, takes: str, returns: Callable[[int], int] | None = _status
) -> Callable[..., int]:
    """A function of the library.

    Parameters
    ----------
    name : str
        Without the prefix ``bayeslmm_`` that all have.
    takes : str
        A letter for each argument: ``a`` the address of an array, ``i`` an integer, ``b`` a truth
        value, ``d`` a float.
    returns : callable, optional
        What makes a result of the integer that the function returns: a `Status` unless given, and
        an error where there is no memory. None for functions that return nothing.
    """
    own: Any = getattr(_library, f"bayeslmm_{name}")
    own.argtypes = tuple(_TYPES[letter] for letter in takes)
    own.restype = returns
    return own


def pointer(name: str) -> int:
    """The address of a function of the library, for those that call it from compiled code."""
    found = ctypes.cast(getattr(_library, f"bayeslmm_{name}"), ctypes.c_void_p).value
    assert found is not None
    return found


def address(array: np.ndarray) -> int:
    """The address of an array's first element."""
    try:
        # a third of the time of `array.ctypes.data`
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only or empty
        return array.ctypes.data


class Span(ctypes.Structure):
    """The address and the length of an array."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_int64))


def span(array: np.ndarray) -> Span:
    """The span of a contiguous array, valid as long as the array lives."""
    assert array.flags.c_contiguous
    return Span(address(array), array.size)


def spans(*names: str) -> list[tuple[str, type[Span]]]:
    """The fields of a structure of spans."""
    return [(name, Span) for name in names]


def floats(values: object) -> np.ndarray:
    """Values as a contiguous array of float, the same one where it is such."""
    return np.ascontiguousarray(values, dtype=np.float64)


def integers(values: object) -> np.ndarray:
    """Values as a contiguous array of integers, the same one where it is such."""
    return np.ascontiguousarray(values, dtype=np.int64)
