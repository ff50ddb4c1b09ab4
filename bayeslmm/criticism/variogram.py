"""Semivariograms of residuals: half the mean square of differences between rows that far apart.

Of standardized residuals about the fixed part it should be one less the correlation of V, of
normalized ones, which are independent where V is right, one (Pinheiro and Bates 2000, section
5.3.2; Diggle, Heagerty, Liang and Zeger 2002, section 3.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayeslmm.criticism.lag_correlation import Pairs

if TYPE_CHECKING:
    from bayeslmm.api.fit import Fit
    from bayeslmm.criticism.lag_correlation import Subjects
    from bayeslmm.data.frames import Array

__all__ = ["Variogram", "variogram"]


@dataclass(frozen=True, eq=False)
class Variogram:
    """Semivariances by lag.

    Attributes
    ----------
    unit : str
        What lags are in.
    lag : (m,) array
        Of a bin, the mean of its pairs.
    fitted, standardized, normalized : (m,) arrays
        That of V, and those of residuals.
    pairs : (m,) array
        The number of pairs that far apart.
    """

    unit: str
    lag: Array
    fitted: Array
    standardized: Array
    normalized: Array
    pairs: Array


def variogram(fit: Fit, subjects: Subjects) -> Variogram:
    """The semivariograms of a fit.

    Parameters
    ----------
    fit : Fit
    subjects : Subjects
        With a time.

    Raises
    ------
    ArgumentError
        If there is no time, or no subject has two rows at different times.
    """
    pairs = Pairs.of(fit, subjects)

    def semivariance(kind: str) -> Array:
        values = fit.residuals(kind, marginal=True).to_numpy()  # type: ignore[arg-type]
        return pairs.mean((values[pairs.first] - values[pairs.second]) ** 2 / 2)

    return Variogram(
        subjects.time,
        pairs.mean(pairs.lag),
        pairs.mean(1 - pairs.correlation),
        semivariance("standardized"),
        semivariance("normalized"),
        pairs.count,
    )
