"""Coefficients that are sampled beside theta, because their priors are not Gaussian.

Slopes under a prior of R² are those of `slopes`. What else is sampled is what a Student's t, Cauchy
or Laplace prior is about: a coefficient, or w'beta for an intercept whose prior is about the
predictors' means, where w is their means and 1 for the intercept. Its value, in units of its
standard error by least squares, is the coordinate. The other coefficients and u are integrated out.

The equations take a Gaussian prior of beta. Here the mean of w'beta is what is sampled, and its
standard deviation a thousandth of a standard error of least squares: beta is still drawn exactly,
from a posterior under the prior smoothed by that much. `PriorTable.beta_basis` B takes what priors
are about to beta: its columns are how the prior mean of beta moves with what is sampled, and the
rows of its inverse are the w.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import floats
from bayeslmm.estimation.posterior.slopes import PRECISION, Slopes
from bayeslmm.priors.base import PriorCode
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["SampledCoefficients"]

_CODE, _LOCATION, _SCALE, _SHAPE, _UNIT = range(5)


@dataclass(frozen=True, eq=False)
class SampledCoefficients:
    """What the density of theta needs to know of m coefficients that are sampled beside it.

    Attributes
    ----------
    slopes : Slopes
        Those under a prior of R²; none without it.
    table : (m', 5) array
        For each coefficient whose own prior is not Gaussian the code of the family,
        location, scale and shape, and the unit of its coordinate.
    start : (m',) array
        The coordinates of these by least squares.
    lift : (p, m) array
        The change in the prior mean of beta for one in what is sampled: √V w of slopes, then
        coefficients or their value at the predictors' means. An intercept whose prior is about
        these means moves with its slopes.
    precision : (p, p) array
        The precision of beta given what is sampled.
    """

    slopes: Slopes
    table: Array
    start: Array
    lift: Array
    precision: Array

    @classmethod
    def of(
        cls, equations: Equations, priors: PriorTable, near: Array | None = None
    ) -> SampledCoefficients:
        """Those of a model; ``near`` as in `Slopes.of`."""
        slopes = Slopes.of(equations, priors, near)
        own = [equations.coef.index(name[len("beta[") : -1]) for name in priors.not_gaussian]
        if not own:
            empty = np.empty((0, 5)), np.empty(0)
            return cls(slopes, *empty, slopes.lift, slopes.precision)
        system, p = equations.packed.system, equations.p
        half = system.rotation_inverse.reshape(p, p)
        covariance = max(equations.least_squares**2, np.finfo(float).tiny) * half @ half.T
        about = np.linalg.inv(priors.beta_basis)[own]
        of_own = about @ covariance @ about.T
        units = np.sqrt(np.diag(of_own))
        given = [priors[name] for name in priors.not_gaussian]
        rows = [(prior.code, *prior.numbers()) for prior in given]
        table = np.column_stack([np.array(rows, dtype=np.float64), units])
        lift = priors.beta_basis[:, own]
        precision = slopes.precision + PRECISION * about.T @ np.linalg.inv(of_own) @ about
        start = about @ np.array(system.beta_ols) / units
        return cls(slopes, table, start, floats(np.hstack([slopes.lift, lift])), precision)

    @property
    def count(self) -> int:
        """The number of coordinates beside those of theta."""
        return self.lift.shape[1]

    def rounded(self) -> SampledCoefficients:
        """The same with the corners of Laplace distributions rounded over a standard error, so that
        there are second derivatives.
        """
        table = self.table.copy()
        laplace = table[:, _CODE] == PriorCode.LAPLACE
        table[laplace, _SHAPE] = table[laplace, _UNIT] / table[laplace, _SCALE]
        return replace(self, table=table)

    def means(self, beta_mean: Array, vectors: Array) -> Array:
        """Means of beta (..., p) at what is sampled (..., m)."""
        return np.asarray(beta_mean + vectors @ self.lift.T)

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates of least squares."""
        slopes = self.slopes.unconstrained(theta) if len(self.slopes.start) else np.empty(0)
        return np.append(slopes, self.start)
