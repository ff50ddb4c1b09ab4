"""Satterthwaite's degrees of freedom: of a variance that is itself estimated.

The variance l'Cl of a linear function l'beta, with C = (X'V⁻¹X)⁻¹ at the estimated theta, has a
variance itself, g'Ag by the delta method, where g is its gradient in theta and A the covariance
matrix of theta. A chi-squared variable on nu degrees of freedom with the mean l'Cl has the variance
2(l'Cl)²/nu; equating the two gives nu. Several functions are tested along the eigenvectors of their
covariance matrix, which are uncorrelated, as Fai and Cornelius (1996) propose and lmerTest does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.estimation.likelihood.centred import about_means
from bayeslmm.solutions.degrees_of_freedom.wald import FTest, principal_functions
from bayeslmm.support.arrays import Array
from bayeslmm.support.differences import fourth_order

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.optimum import Optimum

__all__ = ["Satterthwaite", "satterthwaite", "var_beta_slopes"]

_STEP = 2e-3
"""On the working scale of theta. The error of the differences is of the order of its fourth power,
1e-11 relative to the derivatives."""
_ALIKE = 1e-8
"""Degrees of freedom that differ by less are the same."""


@dataclass(frozen=True, eq=False)
class Satterthwaite:
    """Tests of functions of beta with Satterthwaite's degrees of freedom.

    Attributes
    ----------
    vcov : (p, p) array
        Covariance matrix C of the estimates.
    slopes : (k, p, p) array
        Derivatives of C in the parameters of `vcov_theta`.
    vcov_theta : (k, k) array
    """

    vcov: Array
    slopes: Array
    vcov_theta: Array

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each of the functions L beta; L is (m, p)."""
        variance = np.einsum("mp,pr,mr->m", L, self.vcov, L)
        gradient = np.einsum("mp,kpr,mr->mk", L, self.slopes, L)
        with np.errstate(divide="ignore", invalid="ignore"):
            # first relative to the variance, whose square need not be a number in the unit of y
            gradient = gradient / variance[:, None]
            return 2 / np.einsum("mk,kl,ml->m", gradient, self.vcov_theta, gradient)

    def f_test(self, L: Array, difference: Array) -> FTest:
        """Test that L beta is what it differs from by `difference`; L is (m, p)."""
        functions, values, variances = principal_functions(L, difference, self.vcov)
        F = float(np.mean(values**2 / variances))
        return FTest(F, len(values), _combined(self.df(functions)))


def satterthwaite(equations: Equations, optimum: Optimum) -> Satterthwaite:
    """Satterthwaite's degrees of freedom at an optimum.

    Parameters on the boundary of G are held there. Where theta has no covariance matrix, because
    the optimiser did not reach a maximum, the degrees of freedom are NaN.
    """
    equations, optimum = about_means(equations, optimum)
    free = np.isfinite(np.diag(optimum.vcov))
    at = equations.given_residuals(optimum.theta)
    vcov = at.var_beta(optimum.M, optimum.sigma)
    if not free.any():
        return Satterthwaite(vcov, np.full((1, *vcov.shape), np.nan), np.full((1, 1), np.nan))
    slopes = var_beta_slopes(equations, optimum, np.flatnonzero(free))
    return Satterthwaite(vcov, slopes, optimum.vcov[np.ix_(free, free)])


def var_beta_slopes(equations: Equations, optimum: Optimum, parameters: Array) -> Array:
    """Derivatives of (X'V⁻¹X)⁻¹ in parameters, given by position, on their working scale.

    By central differences of fourth order.
    """
    slopes = np.empty((len(parameters), equations.p, equations.p))
    for row, position in enumerate(parameters):
        slopes[row] = fourth_order(partial(_var_beta, equations, optimum, position), _STEP)
    return slopes


def _var_beta(equations: Equations, optimum: Optimum, position: int, step: float) -> Array:
    """(X'V⁻¹X)⁻¹ with a step of one parameter on its working scale."""
    theta = equations.parameters.stepped(optimum.theta, position, step)
    M = _relative_factors(equations, optimum, theta)
    return equations.given_residuals(theta).var_beta(M, theta[-1])


def _relative_factors(equations: Equations, optimum: Optimum, theta: Array) -> Array:
    """M at theta near the optimum.

    A singular unrestricted G has no factor in terms of its parameters; standard deviations that
    can change scale the rows of the one that the optimiser found.
    """
    if not optimum.boundary.any():
        return equations.relative_factors(theta)
    shaped = {
        (f.name, i) for f in equations.factors for i, b in enumerate(f.bars) if b.shape is not None
    }
    blocks = [
        block
        for block in equations.parameters.blocks
        if block.factor is not None and (block.factor, block.bar) not in shaped
    ]
    own = {(b.factor, b.bar) for b in blocks if optimum.boundary[b.slice].any()}
    regular = theta.copy()
    for block in blocks:
        if (block.factor, block.bar) in own and block.kind != "sd":
            regular[block.slice] = 0.0
    M = equations.relative_factors(regular)
    views, found = equations.split_M(M), equations.split_M(optimum.M)
    for block in blocks:
        if (block.factor, block.bar) not in own or block.kind != "sd":
            continue
        f = [factor.name for factor in equations.factors].index(str(block.factor))
        bar = equations.factors[f].bars[block.bar]
        inside = bar.slice
        old, new = optimum.theta[block.slice], theta[block.slice]
        ratio = np.divide(new, old, out=np.ones_like(old), where=old > 0)
        relative = ratio[:, None] * (optimum.sigma / theta[-1])
        views[f][inside, inside] = relative * found[f][inside, inside]
    return M


def _combined(df: Array) -> float:
    """Denominator degrees of freedom of an F whose q squares of t have these, so that its mean is
    theirs: E(t²) = nu/(nu - 2).
    """
    if np.ptp(df) < _ALIKE:
        return float(df.mean())
    if np.isnan(df).any():
        return float("nan")
    if (df <= 2).any():
        return 2.0
    mean = np.sum(df / (df - 2))
    return float(2 * mean / (mean - len(df)))
