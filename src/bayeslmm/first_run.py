"""Saying beforehand that a first run compiles."""

from __future__ import annotations

import sys

__all__ = ["compiled_before", "say_if_compiling"]

_said = False


def compiled_before() -> bool:
    """Whether the compiled equations are in memory or in Numba's cache on disk.

    Returns
    -------
    bool
        False also when the cache was made by another version of Numba or of this library.
    """
    from bayeslmm import kernels

    dispatcher = kernels.profiled
    if dispatcher.signatures:
        return True
    # Numba has no public way to ask; the index is empty unless version and source are the same.
    index = getattr(dispatcher._cache, "_cache_file", None)
    return index is not None and bool(index._load_index())


def say_if_compiling() -> None:
    """Write a line to standard error, once in a process, if the equations must be compiled."""
    global _said
    if not _said and not compiled_before():
        _said = True
        print(
            "bayeslmm: compiling, once on this machine: about a minute",
            file=sys.stderr,
            flush=True,
        )
