"""Covariates of variances about their means, for the search of REML and ML and for derivatives at
its end.

Sigma of `VarExp` is the standard deviation where the covariate is zero. With calendar years that
is far from all data: a change of the exponent that the data can hardly tell then changes sigma, and
the random effects relative to it, by orders of magnitude. The equations here have the standard
deviations at the means of the covariates as parameters (`growth`), which change little with the
exponents; everything else in theta is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.design.growth import Growth, exponent_places
from bayeslmm.equations.packing import replace_bars
from bayeslmm.equations.residual_kernels import replace_covariates
from bayeslmm.equations.system import Packed
from bayeslmm.errors import DataError

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.optimum import Optimum
    from bayeslmm.support.arrays import Array

__all__ = ["Centred", "about_means", "centred"]

_LEAST = 1e-150
"""A standard deviation whose square is a number, as is one over it."""


@dataclass(frozen=True, eq=False)
class Centred:
    """Equations about the means, and the way from their theta to that of the model.

    Attributes
    ----------
    equations : Equations
    weights : (k, k) array
        Those of `Growth`; zero without exponents, where the equations are the model's own.
    """

    equations: Equations
    weights: Array

    @property
    def moves(self) -> bool:
        """Whether anything differs from the model's own equations."""
        return bool(self.weights.any())

    def natural(self, theta: Array) -> Array:
        """The model's theta.

        Raises
        ------
        DataError
            If a standard deviation at zero of its covariates is too small or large for a number.
        """
        if not self.moves:
            return theta
        with np.errstate(over="ignore"):
            found = theta * np.exp(-(self.weights @ theta))
        lost = (theta > 0) & ~((found > _LEAST) & (found < 1 / _LEAST)) & self.weights.any(axis=1)
        if lost.any():
            name = self.equations.parameters.names[int(np.argmax(lost))]
            raise DataError(
                f"{name} is a standard deviation where the covariate of the variance is zero, so "
                "far from the data that it is no number of the computer's there; centre the "
                "covariate, such as year - 2010"
            )
        return found

    def of_theta(self, theta: Array) -> Array:
        """The theta of these equations."""
        return theta * np.exp(self.weights @ theta) if self.moves else theta

    def to_model(self, optimum: Optimum) -> Optimum:
        """An optimum of these equations as one of the model's own."""
        shear = np.eye(len(self.weights)) + self.weights
        return _moved(optimum, self.natural(optimum.theta), shear) if self.moves else optimum

    def of_model(self, optimum: Optimum) -> Optimum:
        """An optimum of the model's own equations as one of these."""
        shear = np.eye(len(self.weights)) - self.weights
        return _moved(optimum, self.of_theta(optimum.theta), shear) if self.moves else optimum


def centred(equations: Equations, held: Array | int | None = None) -> Centred:
    """The equations of a model with the covariates of its variances about their means.

    Parameters
    ----------
    equations : Equations
    held : int or (k,) array of bool, optional
        Parameters that have to be the model's own: where one would not be, the equations are.
    """
    k = len(equations.parameters)
    if "power" not in equations.parameters.kinds:
        return Centred(equations, np.zeros((k, k)))
    weights = Growth.of(equations.parameters, equations.factors, equations.residuals).weights
    if held is not None and weights[held].any():
        return Centred(equations, np.zeros((k, k)))
    packed, rows = Packed(*(array.copy() for array in equations.packed)), equations.residuals
    factors = tuple(
        _of_factor(factor, equations.parameters, weights) for factor in equations.factors
    )
    replace_bars(packed, factors, equations.parameters)
    if rows is not None and rows.covariates.shape[1]:
        first = k - rows.n_sigmas
        means = weights[first:, first - rows.covariates.shape[1] : first]
        rows = replace(rows, covariates=rows.covariates - means[rows.sigma])
        replace_covariates(packed, rows.covariates)
    own = replace(equations, factors=factors, packed=packed, residuals=rows)
    return Centred(own, weights)


def about_means(
    equations: Equations, optimum: Optimum, held: Array | int | None = None
) -> tuple[Equations, Optimum]:
    """What `centred` makes of a model's equations, and of an optimum of these."""
    own = centred(equations, held)
    return own.equations, own.of_model(optimum)


def _of_factor(factor: GroupingFactor, parameters: Parameters, weights: Array) -> GroupingFactor:
    bars = list(factor.bars)
    for number, bar in enumerate(bars):
        if bar.shape is not None and bar.shape.exponents:
            sd = parameters.find(factor.name, number, "sd")
            assert sd is not None
            means = weights[sd.start : sd.stop, exponent_places(parameters, factor, number)]
            shape = replace(bar.shape, covariates=bar.shape.covariates - means)
            bars[number] = replace(bar, shape=shape)
    return replace(factor, bars=tuple(bars))


def _moved(optimum: Optimum, theta: Array, shear: Array) -> Optimum:
    """An optimum at the theta of other equations; ``shear`` takes the working scale of that to the
    one of these.
    """
    sigma = float(theta[-1])
    return replace(
        optimum,
        theta=theta,
        M=optimum.M * (optimum.sigma / sigma) if sigma > 0 else optimum.M,
        sigma=sigma,
        find_hessian=partial(_sheared, optimum, shear),
    )


def _sheared(optimum: Optimum, shear: Array) -> Array:
    hessian = optimum.hessian.copy()
    free = np.isfinite(np.diag(hessian))
    inside = np.ix_(free, free)
    hessian[inside] = shear[inside].T @ hessian[inside] @ shear[inside]
    return hessian
