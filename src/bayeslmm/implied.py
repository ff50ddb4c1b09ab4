"""What draws of theta imply for other quantities: shares of variance, sds of groups' means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.correlations import NONE
from bayeslmm.frames import Array
from bayeslmm.noise import Noise

if TYPE_CHECKING:
    from bayeslmm.design import GroupingFactor
    from bayeslmm.model import Model

__all__ = ["implied_quantities"]


def implied_quantities(model: Model, theta: Array) -> dict[str, Array]:
    """Intraclass correlations, and the standard deviation of a group's mean.

    With v the variance that a factor's random effects have where the columns of their bars are at
    the means of the data, and s² the mean variance of a residual:

    - ``icc[Subject]`` is v over the sum of all factors' v and s²; v is a mean over strata of levels
      with a covariance each, and over levels with a known relationship K of their K_ll;
    - ``sd of a mean of Subject`` is √(v + s²/m), with m the average number of rows of a level: how
      far the mean of a level's rows lies from that of all levels. Residuals that are correlated
      within levels have none.

    Parameters
    ----------
    model : Model
    theta : (draws, k) array

    Returns
    -------
    dict of (draws,) arrays
    """
    equations, design = model.equations, model.design
    sigma = theta[:, -1]
    if not design.factors:
        return {}
    weights = np.ones(equations.n) if design.weights is None else design.weights
    relative = Noise.of_rows(1 / weights, equations.residuals).relative(theta)
    residual = sigma**2 * relative.mean(axis=-1)
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    between = {}
    for factor, own in zip(design.factors, M, strict=True):
        between[factor.name] = sigma**2 * _relative_variance(factor, own)
    total = np.sum(list(between.values()), axis=0) + residual
    found = {f"icc[{name}]": value / total for name, value in between.items()}
    rows = equations.residuals
    if rows is None or rows.code == NONE.code:
        for factor in design.factors:
            size = equations.n / len(factor.levels)
            sd = np.sqrt(between[factor.name] + residual / size)
            found[f"sd of a mean of {factor.name}"] = sd
    return found


def _relative_variance(factor: GroupingFactor, M: Array) -> Array:
    """The variance of a factor's random effects at the means of the columns, relative to σ².

    Parameters
    ----------
    factor : GroupingFactor
    M : (draws, q, q) array
    """
    n = len(factor.codes)
    strata = np.zeros(n, dtype=np.int64)
    if factor.own is not None:
        strata = np.unique(factor.own, axis=0, return_inverse=True)[1].ravel()[factor.codes]
    sizes = np.ones(n) if factor.related is None else np.diag(factor.related.matrix)[factor.codes]
    total = np.zeros(len(M))
    for stratum in range(strata.max() + 1):
        rows = strata == stratum
        at = factor.Z[rows].mean(axis=0) @ M
        total += sizes[rows].sum() / n * (at**2).sum(axis=-1)
    return total
