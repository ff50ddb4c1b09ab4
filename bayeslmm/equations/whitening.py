"""How rows that are correlated with each other are made independent.

`NONE` needs nothing. A `MARKOV` or an `EXCHANGEABLE` structure is whitened in order, each row by
the one before it or by the sum of all before it, with two weights a row, in a time that grows with
the rows. A `DENSE` one is multiplied by the inverse of the Cholesky factor of its correlation
matrix; where that is known, the factor stays the same. The compiled library whitens.
"""

from __future__ import annotations

import numpy as np

from bayeslmm.covariance.correlations.kernels import CS, Correlation
from bayeslmm.covariance.correlations.kernels import NONE as NO_CORRELATION

__all__ = ["DENSE", "EXCHANGEABLE", "MARKOV", "NONE", "factor_size", "how_to_whiten"]

NONE, MARKOV, EXCHANGEABLE, DENSE = range(4)


def how_to_whiten(structure: Correlation, dimensions: int) -> int:
    """The cheapest way for a correlation over places of some dimensions."""
    if structure.code == NO_CORRELATION.code:
        return NONE
    if structure.code == CS.code:
        return EXCHANGEABLE
    return MARKOV if structure.markov and dimensions < 2 else DENSE


def factor_size(how: int, t: np.ndarray) -> np.ndarray:
    """The length of what whitens t rows: two weights a row, or a matrix by rows."""
    return np.square(t) if how == DENSE else 2 * t
