"""Functions of the compiled library as PyTensor's Numba backend calls them: by symbol."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from numba import types

from bayeslmm.core.library import pointer

__all__ = ["external"]

_TYPES = {"a": types.voidptr, "i": types.int64, "b": types.int32, "d": types.float64}


def external(name: str, takes: str, returns: Any = types.int32) -> types.ExternalFunction:
    """A function of the library, for code that Numba compiles.

    Parameters
    ----------
    name, takes
        As for `native.function`.
    returns : type of Numba, optional
        A status unless given.
    """
    symbol = f"bayeslmm_{name}"
    llvm.add_symbol(symbol, pointer(name))
    return types.ExternalFunction(symbol, returns(*(_TYPES[letter] for letter in takes)))
