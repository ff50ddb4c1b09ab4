"""Slopes under a prior of R² beside theta: coordinates z, and what they add to the density.

With V the variance of a response around its fixed effects and A = `PriorTable.slope_root`, slopes
are √V A w, so that |w|² = R²/(1 - R²). Their prior given V is spherical in w and not Gaussian, so
that they are sampled with theta, and only the intercept and u are integrated out.

That prior is infinite at w = 0 where the first parameter a of the prior of R² is below m/2, with m
slopes, and zero where it is above, a gap that a single slope does not cross. In the coordinates
z with w = (1 + s²/|z|²)^κ z and κ = (1 - m/2a)/2 it is neither; s is what the data can hardly tell
from zero, and z is about w above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import brentq

from bayeslmm.core.library import address, floats, function
from bayeslmm.priors.families import VarianceSplit
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["PRECISION", "Slopes", "vector_of"]

_NEAR_ZERO, _WIDE, _EXACT = 0.1, 100.0, 1e-8
PRECISION = 1e6
"""How many times as precise as least squares coefficients are around those that are sampled. The
density has rounding errors of about 1e-16 of it, times the squared distance from least squares."""


_vector = function("slopes_vector", "aaiaia", None)


def vector_of(z: Array, numbers: Array, about: Array) -> Array:
    """√V w, of which the slopes are a linear function.

    Parameters
    ----------
    z : (m,) array
    numbers : array
        `Slopes.numbers`.
    about : (k,) array
        The parameters that the priors are about.
    """
    z, numbers, about = floats(z), floats(numbers), floats(about)
    out = np.empty(len(z))
    _vector(address(numbers), address(z), len(z), address(about), len(about), address(out))
    return out


@dataclass(frozen=True, eq=False)
class Slopes:
    """What the density of theta needs to know of slopes that are sampled beside it; there are m,
    none without a prior of R².

    Attributes
    ----------
    numbers : (4 + k,) array
        κ, the parameters of the prior of R², s², and the weights of theta in V; zeros without it.
    lift : (p, m) array
        The change in the prior mean of beta for one in √V w. An intercept whose prior is about the
        predictors' means moves too.
    precision : (p, p) array
        The precision of beta given z.
    start : (m,) array
        √V w of least squares.
    """

    numbers: Array
    lift: Array
    precision: Array
    start: Array

    @classmethod
    def of(cls, equations: Equations, priors: PriorTable, near: Array | None = None) -> Slopes:
        """Those of a model.

        Parameters
        ----------
        equations : Equations
        priors : PriorTable
        near : (k,) array, optional
            Where theta may be; s is for independent rows without it.
        """
        root, precision = priors.slope_root, priors.beta_precision
        split = priors.theta[-1]
        m = root.shape[1]
        if not isinstance(split, VarianceSplit) or split.r2 is None:
            nothing = np.zeros(4 + len(priors.theta))
            return cls(nothing, np.empty((equations.p, 0)), precision, np.empty(0))
        system = equations.packed.system
        own = root.any(axis=1)
        inverse = np.linalg.inv(root[own])
        start = inverse @ np.array(system.beta_ols)[own]
        s2 = max(float(system.xy[-1]) / equations.n, _EXACT * float(start @ start))
        lift = priors.beta_basis @ root
        given = precision.copy()
        given[np.ix_(own, own)] += PRECISION * equations.n / s2 * inverse.T @ inverse
        weights = priors.variance_weights
        told = 1.0 / equations.n
        if near is not None:
            at = equations.given_residuals(near)
            cov = at.var_beta(at.relative_factors(near), near[-1])[np.ix_(own, own)]
            told = float(np.trace(inverse @ cov @ inverse.T)) / (m * (weights @ near**2))
        kappa = 0.5 * (1.0 - m / (2.0 * split.r2.alpha))
        numbers = np.array([kappa, split.r2.alpha, split.r2.beta, told, *weights])
        return cls(numbers, lift, given, start)

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates z of `start`; those of something else where it is about zero."""
        kappa, s2 = self.numbers[0], self.numbers[3]
        w = self.start / np.sqrt(self.numbers[4:] @ theta**2)
        length = float(np.linalg.norm(w))
        if length < _NEAR_ZERO * np.sqrt(s2):
            return np.full(len(w), np.sqrt(s2))

        def longer(log_square: float) -> float:
            power = kappa * np.log1p(s2 * np.exp(-log_square))
            return 0.5 * log_square + power - np.log(length)

        middle = 2.0 * np.log(length)
        found = brentq(longer, middle - _WIDE, middle + _WIDE)
        return np.exp(0.5 * found) / length * w
