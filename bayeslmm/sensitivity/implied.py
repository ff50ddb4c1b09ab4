"""What draws of parameters imply for other quantities: shares of variance, R², sds of means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.effects.response_variance import (
    derived_quantities,
    relative_factors,
    response_variance,
)
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.specification import Specification

__all__ = ["implied_quantities"]


def implied_quantities(model: Specification, theta: Array, beta: Array) -> dict[str, Array]:
    """R², intraclass correlations, and the standard deviation of a group's mean.

    - ``r2[marginal]`` and so on are those of `derived_quantities`, without what is zero or the same
      as another for a model without slopes or without random effects;
    - ``sd of a mean of Subject`` is √(v + s²/m), how far the mean of a level's rows lies from that
      of all levels: v is the variance of the factor's random effects where the columns of their
      bars are at the means of the data, a mean over strata of levels with a covariance each, and
      over levels with a known relationship K of their K_ll; s² is the mean variance of a residual,
      and m the average number of rows of a level. Residuals that are correlated within levels have
      none.

    Parameters
    ----------
    model : Specification
    theta : (draws, k) array
    beta : (draws, p) array

    Returns
    -------
    dict of (draws,) arrays
    """
    equations, design = model.equations, model.design
    found = derived_quantities(model, theta, beta)
    if not design.factors:
        del found["r2[conditional]"]
    if set(design.coef) <= {"Intercept"}:
        found = {name: values for name, values in found.items() if not name.startswith("r2")}
    rows = equations.residuals
    if rows is None or rows.correlation.independent:
        variance = theta[:, -1] ** 2
        residual = response_variance(model, theta, beta).residual
        M = relative_factors(model, theta)
        for factor, own in zip(design.factors, M, strict=True):
            between = _relative_variance(factor, own)
            sd = np.sqrt(variance * (between + residual * len(factor.levels) / equations.n))
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
