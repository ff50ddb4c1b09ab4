"""Estimates of functions of the parameters: by the delta method, or of draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from bayeslmm.equations.linear import Estimates
from bayeslmm.solutions.point import PointSolution
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.support import scales
from bayeslmm.support.arrays import Array
from bayeslmm.support.differences import fourth_order

if TYPE_CHECKING:
    from bayeslmm.solutions.base import Solution

__all__ = ["Derived", "Function", "Refits", "derived", "intervals_in_words", "joint_covariance"]

Function = Callable[[Array, Array], Mapping[str, Array]]
"""From theta (s, k) and beta (s, p) to values (s,) by name."""
Refits = tuple[Array, Array]
"""Estimates of theta (refits, k) and of beta (refits, p) from a bootstrap."""
_STEP = 1e-3
"""Of differences: on the working scale of theta, and in standard errors of beta. Their error is of
the order of its fourth power."""


@dataclass(frozen=True, slots=True, eq=False)
class Derived:
    """Estimates of m functions of the parameters.

    Attributes
    ----------
    names : tuple of str, length m
    estimates : Estimates
    draws : (chain, draw, m) array or None
        The values at each draw, of a posterior.
    """

    names: tuple[str, ...]
    estimates: Estimates
    draws: Array | None


def derived(
    solution: Solution,
    function: Function,
    bounds: Array,
    level: float,
    refits: Refits | None = None,
) -> Derived:
    """Estimate functions of theta and beta.

    Of a posterior they are evaluated at each draw. Of a point estimate the standard errors are by
    the delta method, with `joint_covariance`; intervals are symmetric on the scale on which a
    number within these bounds is about normal (`scales`), and mapped back.

    Parameters
    ----------
    solution : Solution
    function : callable
    bounds : (m, 2) or (1, 2) array
        The interval that each value lies in, which may be infinite.
    level : float
        Probability of the intervals.
    refits : (refits, k) and (refits, p) arrays, optional
        Estimates of theta and beta from a bootstrap, whose standard deviations and quantiles take
        the place of the delta method.

    Returns
    -------
    Derived
        Without standard errors where theta has no covariance matrix. Parameters on the boundary are
        held there, and what depends on no others has no standard error.
    """
    if isinstance(solution, PosteriorSolution):
        return _of_draws(solution, function, level)
    assert isinstance(solution, PointSolution)
    values = function(solution.optimum.theta[None], solution.beta[None])
    names, estimate = tuple(values), _stacked(values)[0]
    if refits is not None:
        spread = Estimates.of_draws(_stacked(function(*refits)), level)
        estimates = Estimates(estimate, spread.std_error, spread.lower, spread.upper)
        return Derived(names, estimates, None)
    std_error = _delta(solution, function, estimate)
    return Derived(names, _interval(estimate, std_error, bounds, level), None)


def _delta(solution: PointSolution, function: Function, estimate: Array) -> Array:
    """Standard errors (m,) by the delta method."""
    theta, beta = solution.optimum.theta, solution.beta
    vcov, steps = joint_covariance(solution)
    free = np.flatnonzero(steps > 0).tolist()

    def moved(by: float) -> Array:
        """The functions with each free parameter moved by so many of its steps."""
        thetas, betas = np.tile(theta, (len(free), 1)), np.tile(beta, (len(free), 1))
        for row, position in enumerate(free):
            step = by * steps[position]
            if position < len(theta):
                thetas[row] = solution.model.parameters.stepped(theta, position, step)
            else:
                betas[row, position - len(theta)] += step
        return _stacked(function(thetas, betas))

    slopes = fourth_order(moved, 1.0) / steps[free, None]
    std_error = np.sqrt(np.einsum("fm,fg,gm->m", slopes, vcov[np.ix_(free, free)], slopes))
    unknown = ~np.isfinite(np.diag(solution.optimum.vcov)) & ~solution.model.held
    if not unknown.any():
        return std_error
    rounding = np.sqrt(np.finfo(float).eps) * np.abs(estimate)
    failed = (unknown & ~solution.optimum.boundary).any()
    return np.where(failed | (std_error <= rounding), np.nan, std_error)


def intervals_in_words(solution: Solution, refits: Refits | None, scale: str) -> str:
    """How standard errors and intervals were made, for the reader of a table.

    Parameters
    ----------
    solution : Solution
    refits : (refits, k) and (refits, p) arrays, optional
    scale : str
        On which intervals by the delta method are symmetric, such as "logit".
    """
    if solution.method == "nuts":
        return "Posterior means and standard deviations, equal-tailed intervals."
    if refits is not None:
        return f"Standard errors and intervals: {len(refits[0])} refits of a parametric bootstrap."
    on = f", symmetric on the {scale} scale" if scale else ""
    return f"Standard errors: delta method with the observed information; intervals: normal{on}."


def joint_covariance(solution: PointSolution) -> tuple[Array, Array]:
    """The covariance matrix of theta and beta together, from the observed information.

    The inverse of the Hessian is put together from its parts: theta has that of the criterion
    with beta at its best, and beta given theta varies around its best, which moves with theta. Of
    a posterior mode it is that of the posterior's normal approximation.

    Parameters
    ----------
    solution : PointSolution

    Returns
    -------
    vcov : (k + p, k + p) array
        Of theta on its working scale (`scales`), then beta. Zero for parameters of theta that are
        held, on the boundary or without a covariance.
    steps : (k + p,) array
        Steps for differences; zero for those parameters.
    """
    optimum, model = solution.optimum, solution.model
    k, p = len(optimum.theta), len(solution.beta)
    free = np.flatnonzero(np.isfinite(np.diag(optimum.vcov)) & ~model.held)
    of_theta = optimum.vcov[np.ix_(free, free)]
    moves = np.zeros((p, len(free)))
    for column, position in enumerate(free.tolist()):
        up, down = (_best_beta(solution, position, sign * _STEP) for sign in (1, -1))
        moves[:, column] = (up - down) / (2 * _STEP)
    vcov = np.zeros((k + p, k + p))
    across = moves @ of_theta
    given = solution.equations.var_beta(optimum.M, optimum.sigma)
    vcov[np.ix_(free, free)] = of_theta
    vcov[k:, free], vcov[free, k:] = across, across.T
    vcov[k:, k:] = given + across @ moves.T
    steps = np.zeros(k + p)
    steps[free] = _STEP
    steps[k:] = _STEP * np.sqrt(np.diag(given))
    return vcov, steps


def _best_beta(solution: PointSolution, position: int, step: float) -> Array:
    """Beta at its best with a step of one parameter of theta."""
    equations = solution.model.equations
    theta = solution.model.parameters.stepped(solution.optimum.theta, position, step)
    return solution.at(equations, theta).solve(equations.relative_factors(theta))[0]


def _of_draws(solution: PosteriorSolution, function: Function, level: float) -> Derived:
    theta, beta, _ = solution.flat
    found = function(theta, beta)
    values = _stacked(found)
    draws = values.reshape(*solution.draws.theta.shape[:2], values.shape[-1])
    return Derived(tuple(found), Estimates.of_draws(values, level), draws)


def _stacked(values: Mapping[str, Array]) -> Array:
    return np.stack(list(values.values()), axis=-1)


def _interval(estimate: Array, std_error: Array, bounds: Array, level: float) -> Estimates:
    """Intervals that are symmetric on the working scale."""
    half = float(ndtri((1 + level) / 2)) * std_error
    with np.errstate(divide="ignore", invalid="ignore"):
        working = scales.working(estimate, bounds)
        half = half / scales.slopes(estimate, bounds)
        lower, upper = (scales.natural(working + end, bounds) for end in (-half, half))
    return Estimates(estimate, std_error, lower, upper)
