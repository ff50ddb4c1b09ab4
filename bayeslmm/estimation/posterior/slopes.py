"""Slopes under a prior of R² beside theta: coordinates z, and what they add to the density.

With V the variance of a response around its fixed effects and A = `PriorTable.slope_root`, slopes
are √V A w, so that |w|² = R²/(1 - R²). Their prior given V is spherical in w and not Gaussian, so
that they are sampled with theta, and only the intercept and u are integrated out.

That prior is infinite at w = 0 where the first parameter a of the prior of R² is below m/2, with m
slopes, and zero where it is above, a gap that a single slope does not cross. In the coordinates
z with w = (1 + s²/|z|²)^κ z and κ = (1 - m/2a)/2 it is neither; s is what the data can hardly tell
from zero, and z is about w above it.

The equations take a Gaussian prior of beta. Here its mean is what is sampled, and its standard
deviation a thousandth of a standard error of least squares: beta is still drawn exactly, from a
posterior under the spherical prior smoothed by that much.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.optimize import brentq

from bayeslmm.data.frames import Array
from bayeslmm.equations.packing import unpack
from bayeslmm.priors.families import VarianceSplit

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["Slopes", "pull_slopes", "ratio_of", "vector_of"]

_NEAR_ZERO, _WIDE, _EXACT = 0.1, 100.0, 1e-8
_PRECISION = 1e6
"""How many times as precise as least squares coefficients are around those that are sampled. The
density has rounding errors of about 1e-16 of it, times the squared distance from least squares."""


@njit(nogil=True, cache=True, error_model="numpy")
def _square(z: Array) -> float:
    """|z|²."""
    square = 0.0
    for i in range(len(z)):
        square += z[i] ** 2
    return square


@njit(nogil=True, cache=True, error_model="numpy")
def _around(numbers: Array, about: Array) -> float:
    """V."""
    V = 0.0
    for i in range(len(about)):
        V += numbers[4 + i] * about[i] ** 2
    return V


@njit(nogil=True, cache=True, error_model="numpy")
def ratio_of(z: Array, numbers: Array) -> float:
    """1 + |w|², the whole variance over that around the fixed effects; 1 without slopes."""
    if len(z) == 0:
        return 1.0
    square = _square(z)
    return 1.0 + square * (1.0 + numbers[3] / square) ** (2.0 * numbers[0])


@njit(nogil=True, cache=True, error_model="numpy")
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
    return np.sqrt(_around(numbers, about)) * (1.0 + numbers[3] / _square(z)) ** numbers[0] * z


@njit(nogil=True, cache=True, error_model="numpy")
def pull_slopes(
    z: Array, numbers: Array, about: Array, slope: Array, dratio: float, dabout: Array, dz: Array
) -> float:
    """Log density of z without its constant, and the gradient in z, written, and in what the
    priors are about, added.

    With g = (1 + s²/|z|²)^κ, w = g z, and h the derivative of log g in log |z|², that of w is
    |w|^(2a - m) (1 + |w|²)^-(a + b), the Jacobian is g^m (1 + 2h), and 2aκ = a - m/2 makes powers
    of |z|² those of |z|² + s².

    Parameters
    ----------
    z : (m,) array
    numbers : array
        `Slopes.numbers`.
    about : (k,) array
    slope : (m,) array
        The gradient of the rest of the log density in √V w.
    dratio : float
        Its derivative in `ratio_of`.
    dabout : (k,) array
    dz : (m,) array
    """
    kappa, a, b, s2 = numbers[0], numbers[1], numbers[2], numbers[3]
    V, square, ratio = _around(numbers, about), _square(z), ratio_of(z, numbers)
    size, along = np.sqrt(V) * (1.0 + s2 / square) ** kappa, 0.0
    for i in range(len(z)):
        along += slope[i] * z[i]
    for i in range(len(about)):
        dabout[i] += along * size / V * numbers[4 + i] * about[i]
    wider, power = square + s2, a - 0.5 * len(z)
    h = -kappa * s2 / wider
    # the derivative in log |z|² of everything but the direction
    radial = power * square / wider + 2.0 * kappa * s2 * square / (wider * wider * (1.0 + 2.0 * h))
    radial += (dratio - (a + b) / ratio) * (ratio - 1.0) * (1.0 + 2.0 * h) + size * along * h
    for i in range(len(z)):
        dz[i] = size * slope[i] + 2.0 * radial * z[i] / square
    return power * np.log(wider) - (a + b) * np.log(ratio) + np.log(1.0 + 2.0 * h)


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
        system = unpack(*equations.packed)
        own = root.any(axis=1)
        inverse = np.linalg.inv(root[own])
        start = inverse @ np.array(system.beta_ols)[own]
        s2 = max(float(system.xy[-1]) / equations.n, _EXACT * float(start @ start))
        lift = root.copy()
        for i in np.flatnonzero(~own & (np.diag(precision) > 0)):
            lift[i] = -precision[i] @ root / precision[i, i]
        given = precision.copy()
        given[np.ix_(own, own)] += _PRECISION * equations.n / s2 * inverse.T @ inverse
        given.flags.writeable = False
        weights = priors.variance_weights
        told = 1.0 / equations.n
        if near is not None:
            at = equations.given_residuals(near)
            cov = at.var_beta(at.relative_factors(near), near[-1])[np.ix_(own, own)]
            told = float(np.trace(inverse @ cov @ inverse.T)) / (m * (weights @ near**2))
        kappa = 0.5 * (1.0 - m / (2.0 * split.r2.alpha))
        numbers = np.array([kappa, split.r2.alpha, split.r2.beta, told, *weights])
        return cls(numbers, lift, given, start)

    def means(self, beta_mean: Array, vectors: Array) -> Array:
        """Means of beta (..., p) at vectors √V w (..., m)."""
        means = np.asarray(beta_mean + vectors @ self.lift.T)
        means.flags.writeable = False  # the type that the kernels are compiled for
        return means

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
