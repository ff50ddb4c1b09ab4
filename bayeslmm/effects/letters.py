"""Compact letter displays: which estimates are not told apart."""

from __future__ import annotations

from string import ascii_letters

import numpy as np

from bayeslmm.support.arrays import Array

__all__ = ["letter_display"]


def letter_display(n: int, apart: Array, order: Array) -> list[str]:
    """Letters for n estimates, by insertion and absorption (Piepho 2004).

    Parameters
    ----------
    n : int
    apart : (n(n - 1)/2,) array of bool
        Which pairs differ, in the order of ``numpy.triu_indices(n, 1)``.
    order : (n,) array of int
        The order in which estimates get letters.

    Returns
    -------
    list of str, length n

    Examples
    --------
    >>> import numpy as np
    >>> from bayeslmm.effects.letters import letter_display
    >>> letter_display(3, np.array([False, True, False]), np.arange(3))
    ['a', 'ab', 'b']
    """
    columns = [frozenset(range(n))]
    for i, j in zip(*(own[apart] for own in np.triu_indices(n, 1)), strict=True):
        split: list[frozenset[int]] = []
        for column in columns:
            both = i in column and j in column
            split += [column - {i}, column - {j}] if both else [column]
        distinct = list(dict.fromkeys(split))
        columns = [c for c in distinct if not any(c < other for other in distinct)]
    place = {int(row): at for at, row in enumerate(order)}
    columns.sort(key=lambda column: sorted(place[row] for row in column))
    names = [_letter(at) for at in range(len(columns))]
    return [
        "".join(name for name, column in zip(names, columns, strict=True) if row in column)
        for row in range(n)
    ]


def _letter(at: int) -> str:
    if at < len(ascii_letters):
        return ascii_letters[at]
    return f"({at + 1})"
