"""Semivariograms of residuals: half the mean square of differences between rows that far apart.

Of standardized residuals about the fixed part it should be one less the correlation of V, of
normalized ones, which are independent where V is right, one (Pinheiro and Bates 2000, section
5.3.2; Diggle, Heagerty, Liang and Zeger 2002, section 3.4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.criticism.lag_correlation import Pairs
from bayeslmm.drawing.correlation import Variogram
from bayeslmm.effects.residuals import residuals

if TYPE_CHECKING:
    from bayeslmm.criticism.lag_correlation import Subjects
    from bayeslmm.solutions.base import Solution
    from bayeslmm.support.arrays import Array

__all__ = ["Variogram", "variogram"]


def variogram(solution: Solution, subjects: Subjects) -> Variogram:
    """The semivariograms of a fit.

    Parameters
    ----------
    solution : Solution
    subjects : Subjects
        With a time.

    Raises
    ------
    ArgumentError
        If there is no time, or no subject has two rows at different times.
    """
    pairs = Pairs.of(solution, subjects)

    def semivariance(kind: str) -> Array:
        values = residuals(solution, kind, marginal=True)
        return pairs.mean((values[pairs.first] - values[pairs.second]) ** 2 / 2)

    return Variogram(
        subjects.time,
        pairs.mean(pairs.lag),
        pairs.mean(1 - pairs.correlation),
        semivariance("standardized"),
        semivariance("normalized"),
        pairs.count,
    )
