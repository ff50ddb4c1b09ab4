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
        False also when the cache was made by another version of Numba or of this library, or for
        another processor.
    """
    from bayeslmm import kernels

    dispatcher = kernels.profiled
    if dispatcher.signatures:
        return True
    # Numba has no public way to ask. The index is empty when its version or the source has changed;
    # its keys name the processor that the code is for.
    index = getattr(dispatcher._cache, "_cache_file", None)
    if index is None:
        return False
    processor = dispatcher.targetctx.codegen().magic_tuple()
    return any(key[1] == processor for key in index._load_index())


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
