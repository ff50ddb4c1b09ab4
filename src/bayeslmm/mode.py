"""The posterior mode of theta and the curvature there: where NUTS starts and how it moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from bayeslmm.density import Density

__all__ = ["standardise"]

_STEP = 1e-4
_WIDEST = 3.0
"""Largest standard deviation believed; on a log scale 3 is a factor of 20 either way."""


def standardise(density: Density, start: np.ndarray | None = None) -> Density:
    """Move and scale a density so that it is about standard normal.

    Parameters
    ----------
    density : Density
        At unit scale.
    start : (k,) array, optional
        Where to look for the mode, on the natural scale, such as the REML estimate; it may lie on
        the boundary.

    Returns
    -------
    Density
        The same density with its mode at zero and, where the curvature there is that of a maximum,
        the inverse of the Hessian (central differences of the gradient) as its scale.
    """
    x = density.unconstrained(density.inside(density.typical if start is None else start))

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(x)
        return -value, -gradient

    found = minimize(negative, x, jac=True, method="BFGS", options={"gtol": 1e-3})
    mode = found.x if np.all(np.isfinite(found.x)) and np.isfinite(found.fun) else x
    steps = _STEP * np.eye(len(x))
    hessian = np.array(
        [(negative(mode + e)[1] - negative(mode - e)[1]) / (2 * _STEP) for e in steps]
    )
    if not np.all(np.isfinite(hessian)):
        return density.at(mode, np.eye(len(x)))
    curvature, directions = np.linalg.eigh((hessian + hessian.T) / 2)
    sd = 1 / np.sqrt(np.maximum(curvature, _WIDEST**-2))
    # The symmetric root keeps each coordinate close to its parameter, unlike a triangular one.
    return density.at(mode, (directions * sd) @ directions.T)
