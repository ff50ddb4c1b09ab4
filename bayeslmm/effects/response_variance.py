"""The variance of a response and its parts, from which R² and intraclass correlations follow.

One function for all sources of parameters: an estimate and its neighbours, draws from a posterior,
refits of a bootstrap, draws from priors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.equations.noise import Noise
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.specification import Specification

__all__ = [
    "SHARE",
    "ResponseVariance",
    "derived_names",
    "derived_quantities",
    "icc_quantities",
    "level_quantities",
    "r2_quantities",
    "relative_factors",
    "response_variance",
]

SHARE = (0.0, 1.0)
"""The bounds of a share of variance."""


@dataclass(frozen=True, slots=True, eq=False)
class ResponseVariance:
    """The parts of the variance of a response, in units of σ², at each of s sets of parameters.

    Attributes
    ----------
    fixed : (s,) array
        The variance over the rows of Xb, with the divisor n - 1.
    random : dict of (s,) arrays
        That of the random effects of each grouping factor, a mean over the rows.
    residual : (s,) array
        That of a residual, a mean over the rows.
    """

    fixed: Array
    random: dict[str, Array]
    residual: Array

    @property
    def all_random(self) -> Array:
        """The variance of the random effects of all grouping factors; (s,)."""
        return np.sum(list(self.random.values()), axis=0) + np.zeros_like(self.residual)

    @property
    def total(self) -> Array:
        """The variance of a response; (s,)."""
        return self.fixed + self.all_random + self.residual


def response_variance(model: Specification, theta: Array, beta: Array) -> ResponseVariance:
    """Split the variance of a response into fixed effects, random effects and residual.

    The variance of random effects is z'Gz, of which the mean is taken over the rows z of the data
    (Johnson 2014), each times K_ll of the row's level l where a relationship K is known. An offset
    is not counted.

    Parameters
    ----------
    model : Specification
    theta : (s, k) array
    beta : (s, p) array

    Returns
    -------
    ResponseVariance
    """
    design = model.design
    fixed = _quadratic(beta / theta[:, -1:], _covariance(design.X))
    M = relative_factors(model, theta)
    random = {
        factor.name: _trace(own, _mean_square(factor, factor.Z))
        for factor, own in zip(design.factors, M, strict=True)
    }
    weights = np.ones(len(design.y)) if design.weights is None else design.weights
    noise = Noise.of_rows(1 / weights, model.equations.residuals)
    return ResponseVariance(fixed, random, _mean_over_rows(noise, theta))


def icc_quantities(parts: ResponseVariance) -> dict[str, Array]:
    """Intraclass correlations: ``adjusted``, ``unadjusted``, and with several grouping factors the
    share of each in the variance around the fixed effects, by its name.
    """
    around = parts.all_random + parts.residual
    found = {"adjusted": parts.all_random / around, "unadjusted": parts.all_random / parts.total}
    if len(parts.random) > 1:
        found |= {name: own / around for name, own in parts.random.items()}
    return found if parts.random else {}


def r2_quantities(parts: ResponseVariance) -> dict[str, Array]:
    """R² of Nakagawa and Schielzeth: ``marginal`` and ``conditional``."""
    explained = parts.fixed + parts.all_random
    return {"marginal": parts.fixed / parts.total, "conditional": explained / parts.total}


def level_quantities(
    model: Specification, theta: Array, beta: Array, factor: GroupingFactor
) -> dict[str, Array]:
    """R² of the fixed effects ``within`` the levels of a factor and ``between`` them.

    What varies within levels are deviations of rows from their level's mean, and what varies
    between them are these means (Rights and Sterba 2019). Residuals, and random effects of factors
    that vary within the levels, are within.

    Parameters
    ----------
    model : Specification
    theta : (s, k) array
    beta : (s, p) array
    factor : GroupingFactor

    Returns
    -------
    dict of (s,) arrays
    """
    X = model.design.X
    means = _level_means(X, factor)
    coefficients = beta / theta[:, -1:]
    fixed = _quadratic(coefficients, _covariance(X))
    between = _quadratic(coefficients, _covariance(means))
    parts = response_variance(model, theta, beta)
    random = np.zeros(len(theta))
    for other, M in zip(model.design.factors, relative_factors(model, theta), strict=True):
        if _constant_within(other, factor):
            random += _trace(M, _mean_square(other, _level_means(other.Z, factor)))
    inside = fixed - between
    # of a column that does not vary within levels rounding may leave less than nothing
    inside = np.where(inside > np.finfo(float).eps * len(X) * fixed, inside, 0.0)
    within = inside + parts.all_random - random + parts.residual
    return {"within": inside / within, "between": between / (between + random)}


def derived_quantities(model: Specification, theta: Array, beta: Array) -> dict[str, Array]:
    """All intraclass correlations and R² of a model by name, such as ``icc[adjusted]`` and
    ``r2[marginal]``.

    Parameters
    ----------
    model : Specification
    theta : (s, k) array
    beta : (s, p) array

    Returns
    -------
    dict of (s,) arrays
    """
    parts = response_variance(model, theta, beta)
    found = {f"r2[{name}]": values for name, values in r2_quantities(parts).items()}
    return found | {f"icc[{name}]": values for name, values in icc_quantities(parts).items()}


def derived_names(model: Specification) -> list[str]:
    """The names of `derived_quantities`."""
    names = ["r2[marginal]", "r2[conditional]"]
    factors = [factor.name for factor in model.design.factors]
    if factors:
        names += ["icc[adjusted]", "icc[unadjusted]"]
    return names + ([f"icc[{name}]" for name in factors] if len(factors) > 1 else [])


def relative_factors(model: Specification, theta: Array) -> list[Array]:
    """M of each grouping factor, G = σ²MM', at each of s theta; (s, q, q)."""
    equations = model.equations
    if not equations.factors:
        return []
    return equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))


def _covariance(columns: Array) -> Array:
    """The covariance matrix of columns over the rows."""
    centred = columns - columns.mean(axis=0)
    return np.asarray(centred.T @ centred / (len(columns) - 1))


def _quadratic(values: Array, S: Array) -> Array:
    return np.einsum("si,ij,sj->s", values, S, values)


def _trace(M: Array, S: Array) -> Array:
    return np.einsum("ski,kl,sli->s", M, S, M)


def _mean_square(factor: GroupingFactor, Z: Array) -> Array:
    """The mean of zz' over the rows, each times K_ll of its level."""
    return np.asarray((Z * factor.own_variances[factor.codes, None]).T @ Z / len(Z))


def _level_means(columns: Array, factor: GroupingFactor) -> Array:
    """The mean of its level in place of each row."""
    levels = len(factor.levels)
    counts = np.bincount(factor.codes, minlength=levels)
    sums = [np.bincount(factor.codes, column, levels) for column in columns.T]
    means = np.reshape(sums, (len(sums), levels)).T / counts[:, None]
    return np.asarray(means[factor.codes])


def _constant_within(other: GroupingFactor, factor: GroupingFactor) -> bool:
    """Whether all rows of a level of a factor have the same level of another."""
    pairs = len(np.unique(np.column_stack([factor.codes, other.codes]), axis=0))
    return pairs == len(factor.levels)


def _mean_over_rows(noise: Noise, theta: Array) -> Array:
    """The mean variance of residuals in units of σ², of alike rows at once."""
    if noise.n_sigmas == 1 and not noise.covariates.size:
        return np.full(len(theta), noise.base.mean())
    alike = np.column_stack([noise.sigma, noise.covariates])
    _, first, which = np.unique(alike, axis=0, return_index=True, return_inverse=True)
    base = np.bincount(which.ravel(), noise.base) / len(noise.base)
    few = Noise(base, noise.sigma[first], noise.covariates[first], noise.n_sigmas)
    return np.asarray(few.relative(theta).sum(axis=-1))
