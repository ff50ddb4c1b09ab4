"""How rows that are correlated with each other are made independent: the size of what whitens them.

A `Whitening.MARKOV` or `EXCHANGEABLE` structure is whitened in order, each row by the one before it
or by the sum of all before it, with two weights a row, in a time that grows with the rows. A
`DENSE` one is multiplied by the inverse of the Cholesky factor of its correlation matrix; where
that is known, the factor stays the same. The compiled library whitens.
"""

from __future__ import annotations

import numpy as np

from bayeslmm.covariance.correlations.base import Whitening

__all__ = ["factor_size"]


def factor_size(how: Whitening, t: np.ndarray) -> np.ndarray:
    """The length of what whitens t rows: two weights a row, or a matrix by rows."""
    return np.square(t) if how is Whitening.DENSE else 2 * t
