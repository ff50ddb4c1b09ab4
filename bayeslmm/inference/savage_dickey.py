"""Bayes factors of point hypotheses: the posterior density at the point over the prior density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from arviz_stats.base import array_stats
from scipy.stats import norm

from bayeslmm.equations.equations import EquationsWithPrior
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.priors.families import Normal
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.inference.grammar import Linear
    from bayeslmm.solutions.posterior import PosteriorSolution

__all__ = ["NONE", "BayesFactor", "of_draws", "of_linear_function", "prior_draws"]

_PRIOR_DRAWS = 4000
_MIXTURE = 1000
"""Draws of theta, evenly spaced, over which the density of a function of coefficients is a mean."""
_ROUGHNESS = 1 / (2 * np.sqrt(np.pi))
"""The integral of the squared Gaussian kernel."""
_RANK = 1e-9
"""Size of what a prior leaves free of a function, relative to the function, that is rounding."""


@dataclass(frozen=True, slots=True)
class BayesFactor:
    """A Bayes factor in favour of a point, with its Monte Carlo standard error.

    Attributes
    ----------
    value, error : float
        NaN where the prior is improper.
    """

    value: float
    error: float


NONE = BayesFactor(np.nan, np.nan)
"""Where there is none."""


def of_linear_function(solution: PosteriorSolution, function: Linear) -> BayesFactor | None:
    """The Bayes factor of a linear function of the coefficients being zero.

    Given theta such a function is normal, so that its posterior density is a mean of normal ones
    over the draws of theta; its prior is normal. Neither needs a kernel.

    Parameters
    ----------
    solution : PosteriorSolution
    function : (dict of str to float, float)
        Weights of coefficients by their names in the summary, and a constant.

    Returns
    -------
    BayesFactor or None
        None where priors of coefficients are not Gaussian.
    """
    model, priors = solution.model, solution.model.priors
    if priors.not_gaussian or priors.slopes:
        return None
    weights, constant = function
    row = np.array([weights.get(f"beta[{name}]", 0.0) for name in model.design.coef])
    prior = _prior_density(priors.beta_mean, priors.beta_precision, row, constant)
    if np.isnan(prior):
        return NONE
    theta = solution.draws.theta
    chosen = theta[:, :: max(1, theta.shape[0] * theta.shape[1] // _MIXTURE)]
    equations = EquationsWithPrior.of_prior(
        model.equations, priors.beta_mean, priors.beta_precision
    )
    densities = np.empty(chosen.shape[:2])
    for place in np.ndindex(*densities.shape):
        here = chosen[place]
        given, M = equations.given_residuals(here), equations.relative_factors(here)
        sd = np.sqrt(row @ given.var_beta(M, here[-1]) @ row)
        densities[place] = norm.pdf(0.0, row @ given.solve(M)[0] + constant, sd)
    value, error = float(densities.mean()), float(array_stats.mcse(densities))
    return BayesFactor(value / prior, error / prior)


def _prior_density(mean: Array, precision: Array, row: Array, constant: float) -> float:
    """The density at zero of a linear function of normal coefficients; NaN if it is improper."""
    size = np.sqrt(np.diag(precision))
    size = np.where(size > 0, size, 1.0)
    scaled, own = precision / np.outer(size, size), row / size
    inverse = np.linalg.pinv(scaled, hermitian=True)
    if np.abs(own - scaled @ (inverse @ own)).max() > _RANK * np.abs(own).max():
        return np.nan
    return float(norm.pdf(0.0, row @ mean + constant, np.sqrt(own @ inverse @ own)))


def prior_draws(solution: PosteriorSolution) -> tuple[Array, Array, frozenset[str]]:
    """Draws of theta and beta from the priors, with the coefficients whose priors are improper, of
    which they say nothing.
    """
    model = solution.model
    flat = [row.parameter for row in model.priors.rows if not row.prior.proper]
    if flat:
        model = model.update_priors(dict.fromkeys(flat, Normal(0, 1)))
    theta, beta, _ = draw_priors(model, _PRIOR_DRAWS, solution.draws.settings.seed)
    return theta, beta, frozenset(flat)


def of_draws(prior: Array, posterior: Array, bounds: tuple[float, float]) -> BayesFactor:
    """The Bayes factor of a quantity being zero, from kernel densities of its draws.

    Parameters
    ----------
    prior : (draws,) array
    posterior : (chain, draw) array
    bounds : (float, float)
        Where the support of the quantity ends.

    Returns
    -------
    BayesFactor
        NaN where no draws from the prior are near zero.
    """
    below, below_error = _density_at_zero(prior[None], bounds)
    above, above_error = _density_at_zero(posterior, bounds)
    if not below > 0:
        return NONE
    value = above / below
    return BayesFactor(value, value * float(np.hypot(above_error / above, below_error / below)))


def _density_at_zero(draws: Array, bounds: tuple[float, float]) -> tuple[float, float]:
    """The density at zero of draws (chain, draw), and its standard error."""
    flat = draws.ravel()
    quartiles = np.quantile(flat, [0.25, 0.75])
    spread = min(flat.std(ddof=1), float(np.ptp(quartiles)) / 1.34)
    if not spread > 0:
        return 0.0, 0.0
    width = 0.9 * spread * len(flat) ** -0.2
    kernels = norm.pdf(0.0, flat, width)
    for end in bounds:
        if np.isfinite(end):  # what the kernel puts beyond the end is reflected
            kernels += norm.pdf(0.0, 2 * end - flat, width)
    value = float(kernels.mean())
    size = len(flat) if len(draws) == 1 else min(len(flat), float(array_stats.ess(draws)))
    return value, float(np.sqrt(value * _ROUGHNESS / (width * size)))
