"""Refits of a model to other responses or rows: from the estimate, and without the Hessian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.errors import BayeslmmError
from bayeslmm.estimation.likelihood.quasi_newton import optimise
from bayeslmm.estimation.likelihood.search import best_place, descend, prepare

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.search import Place, Search
    from bayeslmm.support.arrays import Array

__all__ = ["Refit", "refit", "start_of"]

_TOLERANCE = 1e-4
"""Of the gradient in working coordinates, whose curvature is of order one."""
_STEEP = 1e-2
"""A gradient there that is not that of an optimum: the search is then made in full."""


@dataclass(frozen=True, eq=False)
class Refit:
    """Estimates from another response.

    Attributes
    ----------
    beta : (p,) array
    theta : (k,) array
    singular : bool
        Whether G is singular there.
    """

    beta: Array
    theta: Array
    singular: bool


def start_of(equations: Equations, method: Literal["reml", "ml"]) -> Array:
    """Working coordinates of the optimum, for refits to start from."""
    return best_place(*prepare(equations, method)).working


def refit(equations: Equations, method: Literal["reml", "ml"], start: Array) -> Refit | str:
    """Estimate a model again.

    Parameters
    ----------
    equations : Equations
        With the other response, or of other rows.
    method : {"reml", "ml"}
    start : array
        Working coordinates to start from.

    Returns
    -------
    Refit or str
        Or why there are no estimates.
    """
    search, cold = prepare(equations, method)
    place = descend(search, start, _TOLERANCE) if len(start) else best_place(search, cold)
    steep = np.abs(place.slope @ search.to_flat).max(initial=0.0) if len(start) else 0.0
    try:
        if np.isfinite(place.value) and (place.singular or place.held or steep < _STEEP):
            return _estimates(search, place)
        optimum = optimise(equations, method)
    except BayeslmmError as error:
        return str(error)
    if not optimum.status.ok:
        return optimum.status.value
    beta, _ = equations.given_residuals(optimum.theta).solve(optimum.M)
    return Refit(beta, optimum.theta, optimum.singular)


def _estimates(search: Search, place: Place) -> Refit:
    flat, sigma = search.flat(place.matrices, place.working), float(np.sqrt(place.sigma2))
    M, relative = search.M(flat)
    beta, _ = search.equations.given_residuals(relative).solve(M)
    theta = search.centred.natural(search.equations.theta(M, sigma, relative))
    return Refit(beta, theta, search.is_singular(place))
