"""What draws of parameters imply for other quantities: shares of variance, R², sds of means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.equations.noise import Noise
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.specification import Specification

__all__ = ["implied_quantities", "implied_r2"]


def implied_quantities(model: Specification, theta: Array) -> dict[str, Array]:
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
    model : Specification
    theta : (draws, k) array

    Returns
    -------
    dict of (draws,) arrays
    """
    equations, design = model.equations, model.design
    sigma = theta[:, -1]
    if not design.factors:
        return {}
    residual = _residual_variance(model, theta)
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    between = {}
    for factor, own in zip(design.factors, M, strict=True):
        between[factor.name] = sigma**2 * _relative_variance(factor, own)
    total = np.sum(list(between.values()), axis=0) + residual
    found = {f"icc[{name}]": value / total for name, value in between.items()}
    rows = equations.residuals
    if rows is None or rows.correlation.independent:
        for factor in design.factors:
            size = equations.n / len(factor.levels)
            sd = np.sqrt(between[factor.name] + residual / size)
            found[f"sd of a mean of {factor.name}"] = sd
    return found


def implied_r2(model: Specification, theta: Array, beta: Array) -> dict[str, Array]:
    """R², of a model that has slopes.

    With f the variance over the rows of Xb, of coefficients but the intercept, and v and s² the
    variances of random effects and residuals, means over the rows, ``r2[marginal]`` is f over their
    sum and ``r2[conditional]`` is f + v over it (Nakagawa and Schielzeth 2013, Methods in Ecology
    and Evolution 4, 133-142; Johnson 2014, ibid. 5, 944-946). Both are ``r2`` without random
    effects.

    Parameters
    ----------
    model : Specification
    theta : (draws, k) array
    beta : (draws, p) array

    Returns
    -------
    dict of (draws,) arrays
    """
    design, equations = model.design, model.equations
    slopes = [j for j, name in enumerate(design.coef) if name != "Intercept"]
    if not slopes:
        return {}
    X = design.X[:, slopes] - design.X[:, slopes].mean(axis=0)
    fixed = np.einsum("si,ij,sj->s", beta[:, slopes], X.T @ X / len(X), beta[:, slopes])
    residual, random = _residual_variance(model, theta), np.zeros(len(theta))
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    for factor, own in zip(design.factors, M, strict=True):
        Z = factor.Z
        if factor.related is not None:
            Z = Z * np.sqrt(np.diag(factor.related.matrix))[factor.codes, None]
        random += theta[:, -1] ** 2 * np.einsum("ski,kl,sli->s", own, Z.T @ Z / len(Z), own)
    total = fixed + random + residual
    if not design.factors:
        return {"r2": fixed / total}
    return {"r2[marginal]": fixed / total, "r2[conditional]": (fixed + random) / total}


def _residual_variance(model: Specification, theta: Array) -> Array:
    """The variance of residuals, a mean over the rows."""
    weights = np.ones(model.equations.n) if model.design.weights is None else model.design.weights
    relative = Noise.of_rows(1 / weights, model.equations.residuals).relative(theta)
    return np.asarray(theta[:, -1] ** 2 * relative.mean(axis=-1))


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
