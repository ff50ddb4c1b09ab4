"""The posterior mode of theta and the curvature there: where NUTS starts and how it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from bayeslmm.estimation.posterior.density import Density
from bayeslmm.support.differences import derivatives

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.coordinates import Coordinates
    from bayeslmm.priors.table import PriorTable

__all__ = ["hard_to_tell_from_zero", "standardise"]

_FAR = 50.0
_WIDEST = 3.0
"""Largest standard deviation believed; on a log scale 3 is a factor of 20 either way."""


def standardise(
    equations: Equations, priors: PriorTable, start: np.ndarray | None = None
) -> Density:
    """The posterior density of theta, moved and scaled so that it is about standard normal.

    Parameters
    ----------
    equations : Equations
    priors : PriorTable
    start : (k,) array, optional
        Where to look for the mode, on the natural scale, such as the REML estimate; it may lie on
        the boundary.

    Returns
    -------
    Density
        With its mode at zero and, where the curvature there is that of a maximum, the inverse of
        the Hessian (central differences of the gradient) as its scale. Of the two bases that
        `Coordinates` offers for the effects of a bar, the one in which it is closer to normal.
    """
    candidates = [_standardised(equations, priors, start, of_data=True)]
    if _bases_differ(candidates[0]):
        candidates.append(_standardised(equations, priors, start, of_data=False))
    return min(candidates, key=_departure)


def _standardised(
    equations: Equations, priors: PriorTable, start: np.ndarray | None, *, of_data: bool
) -> Density:
    rough = Density.of(equations, priors, of_data=of_data).rounded()
    theta = rough.theta(_mode(rough, rough.typical if start is None else start, 1e-1))
    scales = hard_to_tell_from_zero(equations, rough.coordinates, theta)
    density = Density.of(equations, priors, scales, of_data=of_data, near=theta)
    smooth = density.rounded()
    mode = _mode(smooth, theta, 1e-3)
    k = density.dim
    if k == 0:
        return density
    hessian = -derivatives(lambda at: smooth(at)[1], mode)
    if not np.all(np.isfinite(hessian)):
        return density.at(mode, np.eye(k))
    curvature, directions = np.linalg.eigh((hessian + hessian.T) / 2)
    sd = 1 / np.sqrt(np.maximum(curvature, _WIDEST**-2))
    # The symmetric root keeps each coordinate close to its parameter, unlike a triangular one.
    return density.at(mode, (directions * sd) @ directions.T)


def _bases_differ(density: Density) -> bool:
    """Whether the data's effects of a bar are not those that its prior is about, but for units."""
    coordinates = density.coordinates
    for sds, _, q, _, prior in coordinates.bars:
        if sds < 0:
            continue
        matrix = coordinates.T[prior : prior + q * q].reshape(q, q)
        size = np.abs(matrix).max(axis=0)
        if np.abs(matrix - np.diag(np.diag(matrix))).max() > 1e-6 * size.max():
            return True
    return False


def _departure(density: Density) -> float:
    """How far a standardised density is from normal: the mean error of its logarithm two standard
    deviations out.
    """
    k = density.dim
    if k == 0:
        return 0.0
    middle = density(np.zeros(k))[0]
    points = 2.0 * np.vstack([np.eye(k), -np.eye(k)])
    errors = [abs(density(z)[0] - middle + 2.0) for z in points]
    return float(np.mean(np.minimum(errors, _FAR)))


def _mode(density: Density, theta: np.ndarray, tolerance: float) -> np.ndarray:
    """The position of the mode, or of where the search started if that fails."""
    x = density.unconstrained(theta)
    if not len(x):
        return x

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(x)
        return -value, -gradient

    found = minimize(negative, x, jac=True, method="BFGS", options={"gtol": tolerance})
    ok = np.all(np.isfinite(found.x)) and np.isfinite(found.fun)
    return found.x if ok else x


def hard_to_tell_from_zero(
    equations: Equations, coordinates: Coordinates, theta: np.ndarray
) -> np.ndarray:
    """For each standard deviation of an effect, one that the data can hardly tell from zero.

    What the data say of one level's effect has the variance v with 1/Var(u | y) = 1/v + 1/sd². From
    J levels, sd² is estimated with the standard error v √(2/J) when it is about zero.

    Parameters
    ----------
    equations : Equations
    coordinates : Coordinates
        Whose basis of a bar's effects is used.
    theta : (k,) array
        Where to evaluate what the data say.

    Returns
    -------
    (k,) array
        Zero for other parameters.
    """
    scales = np.zeros(len(theta))
    M, sigma = equations.relative_factors(theta), theta[-1]
    variances = equations.given_residuals(theta).var_u(M, sigma, beta_known=False)
    covariances = equations.covariances(M, sigma)
    bases = {row[0]: coordinates.basis(row) for row in coordinates.bars if row[0] >= 0}
    for factor in equations.factors:
        for number, bar in enumerate(factor.bars):
            block = equations.parameters.find(factor.name, number, "sd")
            if block is None:
                continue
            own = bar.slice
            inverse = np.linalg.inv(bases.get(block.start, np.eye(bar.stop - bar.start)))
            before = np.diag(inverse @ covariances[factor.name][own, own] @ inverse.T)
            after = np.einsum(
                "ij,ljk,ik->li", inverse, variances[factor.name][:, own, own], inverse
            )
            told = np.maximum((1 / after - 1 / before).mean(axis=0), 1e-9 / before)
            scale = (2 / len(factor.levels)) ** 0.25 / np.sqrt(told)
            # effects that share one standard deviation tell of it together
            shared = block.stop - block.start < len(scale)
            scales[block.slice] = scale.min() if shared else scale
    return scales
