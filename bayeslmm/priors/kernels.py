"""Priors as the compiled library takes them: families are codes, and hyperparameters numbers in an
array. The densities stand there (`core/priors/families/`), a file for each family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import address, floats, function
from bayeslmm.priors.base import PriorCode
from bayeslmm.priors.families import Prior, VarianceSplit
from bayeslmm.priors.matrix import CovariancePrior
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.priors.table import PriorTable

__all__ = [
    "log_matrix_prior",
    "log_prior",
    "prior_arrays",
    "row_of",
    "typical_values",
]


_log_prior = function("log_prior", "idaa", None)
_log_matrix_prior = function("log_matrix_prior", "iaiaaaaa")
_log_variance_split = function("log_variance_split", "aaidaa", None)


def log_prior(code: int, value: float, hyper: Array) -> tuple[float, float]:
    """Log density of a prior of a single parameter without its constant, and its derivative.

    Parameters
    ----------
    code : int
    value : float
    hyper : (4,) array
        Up to two hyperparameters, and the interval that the parameter lies in.
    """
    hyper, out = floats(hyper), np.empty(2)
    _log_prior(code, value, address(hyper), address(out))
    return float(out[0]), float(out[1])


def log_matrix_prior(code: int, hyper: Array, sd: Array, corr: Array) -> tuple[float, Array, Array]:
    """Log density of a prior of a covariance matrix G without its constant, as one of its standard
    deviations and correlations, and its gradients in these.

    Parameters
    ----------
    code : int
    hyper : array
        The degrees of freedom; then the inverse scale (q, q) of Wishart, the scale (q, q) of
        inverse Wishart, or the q scales of Huang and Wand.
    sd : (q,) array
    corr : (q(q-1)/2,) array
    """
    hyper, sd, corr = floats(hyper), floats(sd), floats(corr)
    dsd, dcorr, value = np.zeros(len(sd)), np.zeros(len(corr)), np.empty(1)
    _log_matrix_prior(
        code,
        address(hyper),
        len(sd),
        address(sd),
        address(corr),
        address(dsd),
        address(dcorr),
        address(value),
    )
    return float(value[0]), dsd, dcorr


def log_variance_split(hyper: Array, theta: Array, ratio: float) -> tuple[float, float, Array]:
    """Log density of `VarianceSplit` without its constant, as one of the standard deviations at a
    given ratio of the whole variance to that around the fixed effects, its derivative in the
    ratio, and its gradient.

    Parameters
    ----------
    hyper : array
        The code and numbers (4) of the total's prior; the parameters of U/V; then for each element
        of theta its weight w, and its concentration (of sigma, the last, 0), zeros where it is no
        standard deviation.
    theta : (k,) array
    """
    hyper, theta = floats(hyper), floats(theta)
    dtheta, out = np.zeros(len(theta)), np.empty(2)
    _log_variance_split(
        address(hyper), address(theta), len(theta), ratio, address(dtheta), address(out)
    )
    return float(out[0]), float(out[1]), dtheta


def prior_arrays(parameters: Parameters, priors: PriorTable) -> tuple[Array, Array]:
    """The priors of theta as the compiled functions take them.

    Returns
    -------
    table : (m, 6) int array
        For each prior its code, its first and last place in theta, the size of the matrix, where
        its hyperparameters begin, and where the correlations of a covariance matrix begin in theta;
        of a residual standard deviation that is shifted, the number of exponents and their first.
    hyper : array
    """
    table: list[tuple[int, int, int, int, int, int]] = []
    hyper: list[float] = []
    k = len(parameters)
    split = next((prior for prior in priors.theta if isinstance(prior, VarianceSplit)), None)
    if split is not None:
        table.append((split.code, 0, k, k, 0, 0))
        hyper += _split_row(split, priors.variance_weights)
    for block in parameters.blocks:
        prior = priors.theta[block.start]
        if isinstance(prior, CovariancePrior):
            if block.kind == "corr":
                continue
            corr = parameters.find(block.factor, block.bar, "corr")
            corrs = block.stop if corr is None else corr.start
            assert prior.code is not None
            table.append((prior.code, block.start, block.stop, block.size, len(hyper), corrs))
            hyper += prior.numbers()
            continue
        matrix = block.kind == "corr"
        step = block.stop - block.start if matrix else 1
        for start in range(block.start, block.stop, step):
            if isinstance(priors.theta[start], VarianceSplit):
                continue
            code, *numbers = row_of(priors.theta[start], block.lower, block.upper)
            size, first = block.size if code == PriorCode.LKJ else 0, 0
            if start in priors.exponents:
                used = np.flatnonzero(priors.exponents[start])
                first, size = int(used[0]), int(used[-1] - used[0] + 1)
                numbers += priors.exponents[start][first : first + size].tolist()
            table.append((code, start, start + step, size, len(hyper), first))
            hyper += numbers
    return np.array(table, dtype=np.int64), np.array(hyper, dtype=np.float64)


def _split_row(prior: VarianceSplit, weights: Array) -> list[float]:
    """The numbers that `log_variance_split` takes."""
    effects = np.flatnonzero(weights[:-1])
    concentrations = np.zeros(len(weights))
    concentrations[effects] = prior.concentrations(len(effects))
    code, *numbers = row_of(prior.total, 0.0, np.inf)
    # without random effects there is no share, and these leave the density of the total alone
    ab = (0.0, 0.5) if prior.icc is None else (prior.icc.alpha, prior.icc.beta)
    return [code, *numbers, *ab, *weights, *concentrations]


def row_of(prior: Prior, lower: float, upper: float) -> tuple[int, float, float, float, float]:
    """The code of a prior and its numbers, for a parameter in an interval."""
    assert prior.code is not None, f"{prior!r} is no prior for theta"
    a, b = (*prior.numbers(), 0.0)[:2]
    return prior.code, a, b, lower, upper


def typical_values(parameters: Parameters, priors: PriorTable) -> Array:
    """Values of theta that the priors find typical, and those at which parameters are held."""
    values = np.empty(len(parameters))
    for block in parameters.blocks:
        for i in range(block.start, block.stop):
            prior = priors.theta[i]
            if isinstance(prior, CovariancePrior):
                values[i] = 0.0 if block.kind == "corr" else prior.typical_sd(i - block.start)
            elif not isinstance(prior, VarianceSplit):
                values[i] = prior.typical(block.lower, block.upper)
    split = next((prior for prior in priors.theta if isinstance(prior, VarianceSplit)), None)
    if split is not None:
        *effects, sigma = np.flatnonzero(priors.variance_weights)
        shares = np.ones(1)
        if split.icc is not None:
            part = np.array(split.concentrations(len(effects)))
            share = split.icc.mean
            shares = np.array([*(share * part / part.sum()), 1.0 - share])
        shares *= 1.0 if split.r2 is None else 1.0 - split.r2.mean
        variance = shares / priors.variance_weights[[*effects, sigma]]
        values[[*effects, sigma]] = split.total.typical(0.0, np.inf) * np.sqrt(variance)
    return values
