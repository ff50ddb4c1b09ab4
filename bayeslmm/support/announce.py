"""Saying that something compiles, when it takes time."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["announced"]

_PATIENCE = 2.0


@contextmanager
def announced(message: str, patience: float = _PATIENCE) -> Iterator[None]:
    """Write a message to standard error if what follows takes longer than ``patience`` seconds.

    What comes from a cache on disk takes a fraction of that, so that only a first run speaks.
    """
    timer = Timer(patience, lambda: print(message, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
