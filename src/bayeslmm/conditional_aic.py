"""The conditional AIC: how well the fitted values, random effects included, predict new responses
of the same groups.

With Stein's formula the effective degrees of freedom are the trace of ∂ŷ/∂y. At given θ that is
the trace of the hat matrix H (Vaida and Blanchard 2005, Biometrika 92, 351-370), to which comes
that θ was estimated (Greven and Kneib 2010, Biometrika 97, 773-789):

    tr(∂ŷ/∂y) = tr H + Σ_j (∂ŷ/∂θ_j)'(∂θ_j/∂y),   ∂θ/∂y = -C_θθ⁻¹ C_θy,

C being -2 log L with σ and beta at their best. Its derivative in y is 2 df W(y - ŷ)/r², so that
C_θy takes no more than ŷ and r² at neighbouring θ. θ moves in directions of the relative factor;
what is on the boundary is held there. One is added for σ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.curvature import curvature_at
from bayeslmm.errors import ArgumentError
from bayeslmm.lapack import blas_threads
from bayeslmm.prediction import functions_of_rows
from bayeslmm.search import best_place, prepare

if TYPE_CHECKING:
    from bayeslmm.frames import Array
    from bayeslmm.likelihood_fit import LikelihoodFit

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
        Trace of the hat matrix, and one for σ.
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


def conditional_aic(fit: LikelihoodFit) -> ConditionalAIC:
    """The conditional AIC of a fit; see `LikelihoodFit.caic`."""
    design, equations, optimum = fit.model.design, fit.model.equations, fit.optimum
    if equations.structured:
        raise ArgumentError(
            "the conditional AIC is for independent residuals, and R has a structure here, which "
            "shares with the random effects what a group has in common; compare by `aic`."
        )
    if not fit.status.ok:
        raise ArgumentError(f"there is no maximum to judge: {fit.status.value}.")
    w = np.ones(equations.n) if design.weights is None else design.weights
    rows = functions_of_rows(fit.model)
    sigma2 = optimum.sigma**2
    variance = equations.var_linear(optimum.M, optimum.sigma, rows.X, rows.codes, rows.Z)
    trace = float(w @ variance) / sigma2
    residual = design.y - fit.fitted().to_numpy()
    loglik = -0.5 * float(
        equations.n * np.log(2 * np.pi * sigma2) - np.log(w).sum() + w @ residual**2 / sigma2
    )
    with blas_threads(equations.root_order):
        return ConditionalAIC(loglik, trace + 1, trace + 1 + _of_theta(fit, w))


def _of_theta(fit: LikelihoodFit, w: Array) -> float:
    """What estimating θ adds to the degrees of freedom."""
    design, equations = fit.model.design, fit.model.equations
    search, start = prepare(equations, fit.method)
    if not len(start):
        return 0.0
    place = best_place(search, start)
    curvature = curvature_at(search, place)
    rows = functions_of_rows(fit.model)
    df = equations.n - (equations.p if fit.method == "reml" else 0)

    def at(steps: Array) -> tuple[Array, Array]:
        """ŷ, and the derivative of the criterion in y."""
        matrices, working = curvature.along(place, steps)
        flat = search.flat(matrices, working)
        beta, u = equations.solve(flat)
        fitted = rows.values(beta, tuple(equations.split_u(u).values()))
        rss = df * search.profiled(flat)[2]
        return fitted, 2 * df * w * (design.y - fitted) / rss

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
