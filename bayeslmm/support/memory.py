"""How much memory something would take, and refusing what there is no room for.

Where memory runs out, the operating system ends the process, and no exception says why.
"""

from __future__ import annotations

from pathlib import Path

from bayeslmm.errors import ArgumentError, BayeslmmError

__all__ = ["free_memory", "require_memory"]

_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says how much a container may use."""


def free_memory() -> int:
    """Bytes that can be had without other programs being moved out of memory."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        return min(free, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # none, or "max"
        return free


def require_memory(
    numbers: int, what: str, remedy: str, error: type[BayeslmmError] = ArgumentError
) -> None:
    """Refuse what needs more memory than is free.

    Parameters
    ----------
    numbers : int
        Double-precision numbers that it holds at once, roughly.
    what : str
        Subject of the sentence, such as "n=1000000 simulations of 180 rows".
    remedy : str
        What to ask for instead.
    error : type
        What is raised.

    Raises
    ------
    ArgumentError
        Or another `error`.
    """
    needed, free = 8 * numbers, free_memory()
    if needed > free:
        raise error(
            f"{what} would need about {needed / 1e9:,.3g} GB of memory, and {free / 1e9:,.3g} GB "
            f"are free; {remedy}."
        )
