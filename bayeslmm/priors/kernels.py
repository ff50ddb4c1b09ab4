"""Log densities of priors and their gradients, compiled once: families are codes, and
hyperparameters numbers in an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bayeslmm.covariance.cholesky import correlation_factor
from bayeslmm.data.frames import Array
from bayeslmm.priors.families import (
    LKJ,
    PC,
    Beta,
    Exponential,
    Fixed,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    HuangWand,
    InverseGamma,
    InverseWishart,
    LogNormal,
    Normal,
    Prior,
    Uniform,
    VarianceSplit,
    Wishart,
)

if TYPE_CHECKING:
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.priors.table import PriorTable

__all__ = [
    "add_log_priors",
    "log_matrix_prior",
    "log_prior",
    "prior_arrays",
    "row_of",
    "typical_values",
]


(
    _HELD,
    _HALF_NORMAL,
    _HALF_T,
    _EXPONENTIAL,
    _GAMMA,
    _INVERSE_GAMMA,
    _LOG_NORMAL,
    _UNIFORM,
    _BETA,
    _NORMAL,
    _LKJ,
    _SPLIT,
    _WISHART,
    _INVERSE_WISHART,
    _HUANG_WAND,
) = range(15)
_NUMBERS = 4
"""Hyperparameters of a prior of a single parameter, with the interval that this lies in."""


@njit(nogil=True, cache=True, error_model="numpy")
def log_prior(code: int, value: float, hyper: Array) -> tuple[float, float]:
    """Log density of a prior of a single parameter without its constant, and its derivative.

    Parameters
    ----------
    code : int
    value : float
    hyper : (4,) array
        Up to two hyperparameters, and the interval that the parameter lies in.
    """
    a, b = hyper[0], hyper[1]
    if code == _HALF_NORMAL:
        return -0.5 * (value / a) ** 2, -value / a**2
    if code == _HALF_T:
        square = (value / b) ** 2
        return -0.5 * (a + 1.0) * np.log1p(square / a), -(a + 1.0) * value / (b * b * (a + square))
    if code == _EXPONENTIAL:
        return -a * value, -a
    if code == _NORMAL:
        return -0.5 * ((value - a) / b) ** 2, -(value - a) / b**2
    if code == _GAMMA:
        return (a - 1.0) * np.log(value) - b * value, (a - 1.0) / value - b
    if code == _INVERSE_GAMMA:
        return -(a + 1.0) * np.log(value) - b / value, -(a + 1.0) / value + b / value**2
    if code == _LOG_NORMAL:
        z = (np.log(value) - a) / b
        return -np.log(value) - 0.5 * z * z, -(1.0 + z / b) / value
    if code == _BETA:
        below, above = value - hyper[2], hyper[3] - value
        return (
            (a - 1.0) * np.log(below) + (b - 1.0) * np.log(above),
            (a - 1.0) / below - (b - 1.0) / above,
        )
    return 0.0, 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _lkj(eta: float, corr: Array, q: int, dcorr: Array) -> float:
    """Log density of LKJ without its constant; adds its gradient to ``dcorr``."""
    if eta == 1.0:
        return 0.0
    L = np.zeros((q, q))
    correlation_factor(q, corr, L)
    inverse = np.zeros((q, q))  # of L
    value = 0.0
    for i in range(q):
        value += 2.0 * (eta - 1.0) * np.log(L[i, i])
        inverse[i, i] = 1.0 / L[i, i]
        for j in range(i):
            for k in range(j, i):
                inverse[i, j] -= L[i, k] * inverse[k, j] / L[i, i]
    at = 0
    for i in range(1, q):
        for j in range(i):
            for k in range(i, q):
                dcorr[at] += 2.0 * (eta - 1.0) * inverse[k, i] * inverse[k, j]
            at += 1
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def log_matrix_prior(
    code: int, hyper: Array, sd: Array, corr: Array, dsd: Array, dcorr: Array
) -> float:
    """Log density of a prior of a covariance matrix G without its constant, as one of its standard
    deviations and correlations; adds its gradient.

    The Jacobian of G in (sd, corr) is 2^q ∏ sd^q. With S the gradient in the elements of G, that in
    corr_ij is 2 S_ij sd_i sd_j, and in sd_i 2 Σ_j S_ij sd_j corr_ij.

    Parameters
    ----------
    code : int
    hyper : array
        The degrees of freedom; then the inverse scale (q, q) of Wishart, the scale (q, q) of
        inverse Wishart, or the q scales of Huang and Wand.
    sd : (q,) array
    corr : (q(q-1)/2,) array
    dsd, dcorr : arrays of the same lengths
    """
    q = len(sd)
    df, L = hyper[0], np.zeros((q, q))
    if not correlation_factor(q, corr, L):
        return -np.inf
    C, root = np.eye(q), np.zeros((q, q))  # root is the inverse of L
    value, at = 0.0, 0
    for i in range(q):
        if not (L[i, i] > 0.0 and sd[i] > 0.0):
            return -np.inf
        value += np.log(L[i, i]) + np.log(sd[i])
        root[i, i] = 1.0 / L[i, i]
        for j in range(i):
            C[i, j] = C[j, i] = corr[at]
            at += 1
            for k in range(j, i):
                root[i, j] -= L[i, k] * root[k, j] / L[i, i]
    P = np.zeros((q, q))  # the inverse of G
    for i in range(q):
        for j in range(q):
            for k in range(max(i, j), q):
                P[i, j] += root[k, i] * root[k, j]
            P[i, j] /= sd[i] * sd[j]
    power = -0.5 * (df + 2.0 * q)
    if code == _WISHART:
        power = 0.5 * (df - q - 1.0)
    elif code == _INVERSE_WISHART:
        power = -0.5 * (df + q + 1.0)
    value *= 2.0 * power  # so far half the logarithm of the determinant of G
    S = power * P
    if code == _WISHART:
        for i in range(q):
            for j in range(q):
                inverse_scale = hyper[1 + i * q + j]
                value -= 0.5 * inverse_scale * C[i, j] * sd[i] * sd[j]
                S[i, j] -= 0.5 * inverse_scale
    elif code == _INVERSE_WISHART:
        for i in range(q):
            for j in range(q):
                value -= 0.5 * hyper[1 + i * q + j] * P[i, j]
                for k in range(q):
                    for m in range(q):
                        S[i, j] += 0.5 * P[i, k] * hyper[1 + k * q + m] * P[m, j]
    else:
        for k in range(q):
            term = df * P[k, k] + 1.0 / hyper[1 + k] ** 2
            value -= 0.5 * (df + q) * np.log(term)
            for i in range(q):
                for j in range(q):
                    S[i, j] += 0.5 * (df + q) * df * P[i, k] * P[j, k] / term
    at = 0
    for i in range(q):
        value += q * np.log(sd[i])
        dsd[i] += q / sd[i]
        for j in range(q):
            dsd[i] += 2.0 * S[i, j] * sd[j] * C[i, j]
        for j in range(i):
            dcorr[at] += 2.0 * S[i, j] * sd[i] * sd[j]
            at += 1
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def log_variance_split(
    hyper: Array, theta: Array, dtheta: Array, ratio: float
) -> tuple[float, float]:
    """Log density of `VarianceSplit` without its constant, as one of the standard deviations at a
    given ratio of the whole variance to that around the fixed effects, and its derivative in the
    ratio; adds its gradient.

    With v_k = w_k sd_k², U = Σ v_k, V = U + w σ² and m random effects, the Jacobian of the v in
    (V, U/V, v_k/U) is V^m (U/V)^(m-1), that of V in √V is 2 √V, and that of v_k in sd_k 2 w_k sd_k.
    The total has √ratio √V.

    Parameters
    ----------
    hyper : array
        The code and numbers (4) of the total's prior; the parameters of U/V; then for each element
        of theta its weight w, and its concentration (of sigma, the last, 0), zeros where it is no
        standard deviation.
    theta, dtheta : (k,) arrays
    """
    k = len(theta)
    a, b = hyper[1 + _NUMBERS], hyper[2 + _NUMBERS]
    weights = hyper[3 + _NUMBERS : 3 + _NUMBERS + k]
    concentrations = hyper[3 + _NUMBERS + k : 3 + _NUMBERS + 2 * k]
    U, together = 0.0, 0.0
    for i in range(k - 1):
        U += weights[i] * theta[i] ** 2
        together += concentrations[i]
    V = U + weights[k - 1] * theta[k - 1] ** 2
    total = np.sqrt(ratio * V)
    value, slope = log_prior(int(hyper[0]), total, hyper[1 : 1 + _NUMBERS])
    value += 0.5 * np.log(ratio) + (0.5 - a - b) * np.log(V)
    dratio = 0.5 * (slope * total + 1.0) / ratio
    dV = 0.5 * slope * total / V + (0.5 - a - b) / V
    dU = dV
    if U > 0.0:
        value += (a - together) * np.log(U)
        dU += (a - together) / U
    for i in range(k - 1):
        if weights[i] > 0.0:
            power = 2.0 * concentrations[i] - 1.0
            value += power * np.log(theta[i])
            dtheta[i] += 2.0 * weights[i] * theta[i] * dU + power / theta[i]
    sigma = theta[k - 1]
    dtheta[k - 1] += 2.0 * weights[k - 1] * sigma * dV + (2.0 * b - 1.0) / sigma
    return value + (2.0 * b - 1.0) * np.log(sigma), dratio


@njit(nogil=True, cache=True, error_model="numpy")
def log_shifted_prior(
    code: int, hyper: Array, sigma: float, powers: Array, dpowers: Array
) -> tuple[float, float]:
    """Log density of (sigma, powers), without that of the powers alone, where a prior is about
    sigma exp(Σ c powers), and its derivative in sigma; adds its gradient in the powers.

    Parameters
    ----------
    code : int
    hyper : array
        The numbers of the prior (4), and the c.
    sigma : float
    powers, dpowers : arrays of one length
    """
    shift = 0.0
    for j in range(len(powers)):
        shift += hyper[_NUMBERS + j] * powers[j]
    about = sigma * np.exp(shift)
    value, slope = log_prior(code, about, hyper[:_NUMBERS])
    for j in range(len(powers)):
        dpowers[j] += (slope * about + 1.0) * hyper[_NUMBERS + j]
    return value + shift, slope * np.exp(shift)


@njit(nogil=True, cache=True, error_model="numpy")
def add_log_priors(
    table: Array, hyper: Array, about: Array, dabout: Array, ratio: float
) -> tuple[float, float]:
    """Log density of all priors without their constants, and its derivative in the ratio of
    `log_variance_split`; adds its gradient to ``dabout``.

    Parameters
    ----------
    table, hyper : arrays of `prior_arrays`
    about : (k,) array
        The parameters that the priors are about.
    dabout : (k,) array
    ratio : float
    """
    total, dratio = 0.0, 0.0
    for block in range(len(table)):
        code, start, stop, q, at, corrs = table[block]
        if code >= _WISHART:
            last = corrs + q * (q - 1) // 2
            total += log_matrix_prior(
                code,
                hyper[at:],
                about[start:stop],
                about[corrs:last],
                dabout[start:stop],
                dabout[corrs:last],
            )
        elif code == _LKJ:
            total += _lkj(hyper[at], about[start:stop], q, dabout[start:stop])
        elif code == _SPLIT:
            value, dratio = log_variance_split(hyper[at:], about, dabout, ratio)
            total += value
        else:
            last = corrs + q
            value, slope = log_shifted_prior(
                code, hyper[at:], about[start], about[corrs:last], dabout[corrs:last]
            )
            total += value
            dabout[start] += slope
    return total, dratio


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
        table.append((_SPLIT, 0, k, k, 0, 0))
        hyper += _split_row(split, priors.variance_weights)
    for block in parameters.blocks:
        prior = priors.theta[block.start]
        if prior.support == "covariance":
            if block.kind == "corr":
                continue
            corr = parameters.find(block.factor, block.bar, "corr")
            corrs = block.stop if corr is None else corr.start
            code, numbers = _matrix_row(prior)
            table.append((code, block.start, block.stop, block.size, len(hyper), corrs))
            hyper += numbers
            continue
        matrix = block.kind == "corr"
        step = block.stop - block.start if matrix else 1
        for start in range(block.start, block.stop, step):
            if isinstance(priors.theta[start], VarianceSplit):
                continue
            code, *numbers = row_of(priors.theta[start], block.lower, block.upper)
            size, first = block.size if code == _LKJ else 0, 0
            if start in priors.exponents:
                used = np.flatnonzero(priors.exponents[start])
                first, size = int(used[0]), int(used[-1] - used[0] + 1)
                numbers += priors.exponents[start][first : first + size].tolist()
            table.append((code, start, start + step, size, len(hyper), first))
            hyper += numbers
    return np.array(table, dtype=np.int64), np.array(hyper, dtype=np.float64)


def _split_row(prior: VarianceSplit, weights: Array) -> list[float]:
    """The numbers that `log_variance_split` reads."""
    effects = np.flatnonzero(weights[:-1])
    concentrations = np.zeros(len(weights))
    concentrations[effects] = prior.concentrations(len(effects))
    code, *numbers = row_of(prior.total, 0.0, np.inf)
    # without random effects there is no share, and these leave the density of the total alone
    ab = (0.0, 0.5) if prior.icc is None else (prior.icc.alpha, prior.icc.beta)
    return [code, *numbers, *ab, *weights, *concentrations]


def _matrix_row(prior: Prior) -> tuple[int, list[float]]:
    match prior:
        case Wishart(df, scale):
            return _WISHART, [df, *np.linalg.inv(scale).ravel()]
        case InverseWishart(df, scale):
            return _INVERSE_WISHART, [df, *np.ravel(scale)]
        case HuangWand(df, scales):
            return _HUANG_WAND, [df, *scales]
    raise AssertionError(f"{prior!r} is no prior of a covariance matrix")


def row_of(prior: Prior, lower: float, upper: float) -> tuple[int, float, float, float, float]:
    """The code of a prior and its numbers, for a parameter in an interval."""
    code, a, b = _numbers(prior)
    return code, a, b, lower, upper


def _numbers(prior: Prior) -> tuple[int, float, float]:
    match prior:
        case HalfNormal(sigma):
            return _HALF_NORMAL, sigma, 0.0
        case HalfStudentT(nu, sigma):
            return _HALF_T, nu, sigma
        case HalfCauchy(sigma):
            return _HALF_T, 1.0, sigma
        case Exponential(rate):
            return _EXPONENTIAL, rate, 0.0
        case PC():
            return _EXPONENTIAL, prior.rate, 0.0
        case Gamma(alpha, beta):
            return _GAMMA, alpha, beta
        case InverseGamma(alpha, beta):
            return _INVERSE_GAMMA, alpha, beta
        case LogNormal(mu, sigma):
            return _LOG_NORMAL, mu, sigma
        case Normal(mu, sigma):
            return _NORMAL, mu, sigma
        case Uniform(lower, upper):
            return _UNIFORM, lower, upper
        case Beta(alpha, beta):
            return _BETA, alpha, beta
        case LKJ(eta):
            return _LKJ, eta, 0.0
        case Fixed(value):
            return _HELD, value, 0.0
    raise AssertionError(f"{prior!r} is no prior for theta")


def typical_values(parameters: Parameters, priors: PriorTable) -> Array:
    """Values of theta that the priors find typical, and those at which parameters are held."""
    values = np.empty(len(parameters))
    for block in parameters.blocks:
        for i in range(block.start, block.stop):
            prior = priors.theta[i]
            if prior.support == "covariance":
                values[i] = 0.0 if block.kind == "corr" else _typical_sd(prior, i - block.start)
            elif not isinstance(prior, VarianceSplit):
                values[i] = _typical(prior, block.lower, block.upper)
    split = next((prior for prior in priors.theta if isinstance(prior, VarianceSplit)), None)
    if split is not None:
        *effects, sigma = np.flatnonzero(priors.variance_weights)
        shares = np.ones(1)
        if split.icc is not None:
            part = np.array(split.concentrations(len(effects)))
            share = _mean(split.icc)
            shares = np.array([*(share * part / part.sum()), 1.0 - share])
        shares *= 1.0 if split.r2 is None else 1.0 - _mean(split.r2)
        variance = shares / priors.variance_weights[[*effects, sigma]]
        values[[*effects, sigma]] = _typical(split.total, 0.0, np.inf) * np.sqrt(variance)
    return values


def _mean(prior: Beta) -> float:
    return prior.alpha / (prior.alpha + prior.beta)


def _typical_sd(prior: Prior, effect: int) -> float:
    """A standard deviation that a prior of a covariance matrix finds typical."""
    match prior:
        case Wishart(df, scale):
            return float(np.sqrt(df * scale[effect][effect]))
        case InverseWishart(df, scale):
            return float(np.sqrt(scale[effect][effect] / (df + 1.0)))
        case HuangWand(_, scales):
            return scales[effect]
    raise AssertionError(f"{prior!r} is no prior of a covariance matrix")


def _typical(prior: Prior, lower: float, upper: float) -> float:
    """The value at which the prior density of the logarithm is highest, or the middle; where a
    parameter is held, its value.
    """
    match prior:
        case HalfNormal(sigma) | HalfStudentT(_, sigma) | HalfCauchy(sigma):
            return sigma
        case Exponential(rate):
            return 1.0 / rate
        case PC():
            return 1.0 / prior.rate
        case Gamma(alpha, beta):
            return alpha / beta
        case InverseGamma(alpha, beta):
            return beta / alpha
        case LogNormal(mu, _):
            return float(np.exp(mu))
        case Normal(mu, _):
            return mu
        case Fixed(value):
            return value
        case Uniform():
            return (prior.lower + prior.upper) / 2.0
        case Beta(alpha, beta):
            return lower + (upper - lower) * alpha / (alpha + beta)
    return 0.0
