"""The conditional AIC: how well the fitted values, random effects included, predict new responses
of the same groups.

By Stein's formula the effective degrees of freedom of ŷ are the trace of ∂ŷ/∂y, for any R. At
given θ that is the trace of the hat matrix H (Vaida and Blanchard 2005, Biometrika 92, 351-370), to
which comes that θ was estimated (Greven and Kneib 2010, Biometrika 97, 773-789):

    tr(∂ŷ/∂y) = tr H + Σ_j (∂ŷ/∂θ_j)'(∂θ_j/∂y),   ∂θ/∂y = -C_θθ⁻¹ C_θy,

C being -2 log L with σ and beta at their best. Its derivative in y is 2 df R⁻¹(y - ŷ) at σ = 1,
divided by r², so that C_θy takes no more than ŷ and r² at neighbouring θ. θ moves in directions of
the relative factor and of the parameters of R; what is on the boundary is held there. Each
parameter of R, σ among them, adds one (Overholser and Xu 2014, Journal of Multivariate Analysis
132, 160-170, for correlated residuals).

With u = Mb and D the gradient of the restricted log-likelihood in M, tr H is
p + b'b/σ² - tr(M'D), and b'K⁻¹b for levels with a known relationship K; see docs/comparing.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.effects.predictions import fitted
from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.curvature import curvature_at
from bayeslmm.estimation.likelihood.newton import Rows
from bayeslmm.estimation.likelihood.search import best_place, prepare
from bayeslmm.specification import require_nothing_held
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.support.arrays import Array

__all__ = ["ConditionalAIC", "conditional_aic"]

_STEP = 1e-4


@dataclass(frozen=True, slots=True)
class ConditionalAIC:
    """Parts of the conditional AIC.

    Attributes
    ----------
    loglik : float
        Conditional log-likelihood: that of the response given the predicted random effects.
    df_given_theta : float
        Trace of the hat matrix, and one for each parameter of R.
    df : float
        With what estimating θ adds.
    """

    loglik: float
    df_given_theta: float
    df: float

    @property
    def value(self) -> float:
        """-2 loglik + 2 df."""
        return -2 * self.loglik + 2 * self.df


def conditional_aic(solution: LikelihoodSolution) -> ConditionalAIC:
    """The conditional AIC of a fit; see `LikelihoodFit.caic`."""
    design, equations, optimum = solution.model.design, solution.model.equations, solution.optimum
    if not solution.status.ok:
        raise ArgumentError(f"there is no maximum to judge: {solution.status.value}.")
    require_nothing_held(solution.model, "the conditional AIC", "compare by `aic`")
    residual = design.y - fitted(solution).to_numpy()
    rows = Rows(design, equations)
    squares = residual @ rows.noise(optimum.theta, residual, inverse=True)
    given = equations.given_residuals(optimum.theta)
    log_det = equations.n * np.log(optimum.sigma**2) - given.packed.system.constants[0]
    for factor in design.factors:
        if factor.related is not None:  # log|K|, of the random effects, is in that constant too
            log_det -= factor.related.log_det * len(factor.effects)
    loglik = -0.5 * float(equations.n * np.log(2 * np.pi) + log_det + squares)
    of_R = 1 if equations.residuals is None else equations.residuals.n_parameters
    with blas_threads(equations.root_order):
        df = _trace_of_hat(solution) + of_R
        return ConditionalAIC(loglik, df, df + _of_theta(solution, rows))


def _trace_of_hat(solution: LikelihoodSolution) -> float:
    """The trace of ∂ŷ/∂y at given θ."""
    equations, optimum = solution.model.equations, solution.optimum
    b = equations.given_residuals(optimum.theta).profiled(optimum.M, "reml")[3]
    squares = 0.0
    for factor, own in zip(equations.factors, equations.split_u(b).values(), strict=True):
        across = own if factor.related is None else factor.related.precision @ own
        squares += float(np.sum(own * across))
    slope = -0.5 * equations.given_factors(optimum.M, optimum.theta, "reml")[1]
    return float(equations.p + squares / optimum.sigma**2 - optimum.M @ slope)


def _of_theta(solution: LikelihoodSolution, rows: Rows) -> float:
    """What estimating θ adds to the degrees of freedom."""
    design, equations = solution.model.design, solution.model.equations
    search, start = prepare(equations, solution.method)
    equations = search.equations
    if not len(start):
        return 0.0
    place = best_place(search, start)
    curvature = curvature_at(search, place)
    functions = functions_of_rows(solution.model)
    df = equations.n - (equations.p if solution.method == "reml" else 0)

    def at(steps: Array) -> tuple[Array, Array]:
        """ŷ, and the derivative of the criterion in y."""
        matrices, working = curvature.along(place, steps)
        flat = search.flat(matrices, working)
        M, relative = search.M(flat)
        beta, u = equations.given_residuals(relative).solve(M)
        fitted = functions.values(beta, tuple(equations.split_u(u).values()))
        rss = df * search.profiled(flat)[2]
        return fitted, 2 * df * rows.noise(relative, design.y - fitted, inverse=True) / rss

    m = len(curvature.slope)
    if not m:
        return 0.0
    moved, slopes = [], []
    for unit in _STEP * np.eye(m):
        (up, more), (down, less) = at(unit), at(-unit)
        moved.append((up - down) / (2 * _STEP))
        slopes.append((more - less) / (2 * _STEP))
    across = np.array(moved) @ np.array(slopes).T
    return float(-np.trace(np.linalg.solve(curvature.profiled, across.T)))
