"""Which occasions subjects have rows at."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from bayeslmm.support.arrays import Array

__all__ = ["together"]


def together(block: Array, point: Array, T: int) -> Array:
    """Which pairs (T, T) of occasions some subject has both of.

    Parameters
    ----------
    block, point : (n,) int arrays
        The subject and the occasion of each row.
    T : int
    """
    incidence = csr_array((np.ones(len(block)), (block, point)), shape=(block.max() + 1, T))
    both: Array = (incidence.T @ incidence).toarray() > 0
    return both
