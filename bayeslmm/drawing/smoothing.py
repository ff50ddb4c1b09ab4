"""A smooth line through points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayeslmm.data.frames import Array

__all__ = ["local_line"]


def local_line(x: Array, y: Array, grid: Array, share: float = 2 / 3) -> Array:
    """Local regression: at each place a line through the nearest points, the nearer the heavier.

    Tricube weights reach to the farthest of the points that count (Cleveland 1979, Journal of the
    American Statistical Association 74, 829-836, without its further steps against outliers).

    Parameters
    ----------
    x, y : (n,) arrays
    grid : (m,) array
    share : float
        Of the points that count at each place.

    Returns
    -------
    (m,) array
    """
    nearest = min(len(x) - 1, int(np.ceil(share * len(x))))
    spread = max(float(np.ptp(x)), np.finfo(float).tiny)
    out = np.empty(len(grid))
    for i, at in enumerate(grid):
        away = np.abs(x - at)
        reach = max(np.partition(away, nearest)[nearest], 1e-9 * spread) * (1 + 1e-9)
        w = np.clip(1 - (away / reach) ** 3, 0.0, None) ** 3
        w /= w.sum()
        middle, level = w @ x, w @ y
        square = w @ (x - middle) ** 2
        slope = w @ ((x - middle) * y) / square if square > (1e-6 * spread) ** 2 else 0.0
        out[i] = level + slope * (at - middle)
    return out
