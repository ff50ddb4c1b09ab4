"""The profiled deviance of lme4 (Bates, Mächler, Bolker and Walker 2015, J. Stat. Software 67(1),
section 3): beta and σ at their best for each θ, the elements of the relative factors L/σ of G,
whose diagonals are bounded below by zero; minimised without derivatives.

lme4 minimises by BOBYQA (Powell 2009); here it is COBYQA (Ragonneau 2022), which models the
criterion by quadratics within a trust region and bounds just so, and comes with SciPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, OptimizeResult, minimize

from bayeslmm.covariance.cholesky import ID, UN, lower_triangle
from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.iterations import ended, record

if TYPE_CHECKING:
    from bayeslmm.estimation.likelihood.search import Bar, Search
    from bayeslmm.estimation.optimum import Optimum

__all__ = ["profile"]

_RADIUS = 1e-6
"""Of the last trust region, relative to the first."""
_EVALUATIONS = 2_000
_WORST = 1e300
"""The criterion where there is none."""


def profile(search: Search, start: np.ndarray) -> Optimum:
    """Fit by minimising the profiled deviance over θ without derivatives.

    Parameters
    ----------
    search : Search
    start : array
        Working coordinates.

    Returns
    -------
    Optimum
    """
    if search.equations.structured or search.free.bars:
        raise ArgumentError(
            "the profiled deviance is that of lme4: random effects with structures 'id', 'diag' "
            "and 'un' and residuals with one variance; use algorithm='quasi-newton' or 'newton'."
        )
    if not len(start):
        record(search, start, search.profiled_at(start)[2])
        return ended(search, start, "profile")
    first = [_theta(bar, np.eye(bar.stop - bar.start)) for bar in search.bars]
    lower = [np.where(value == 1.0, 0.0, -np.inf) for value in first]

    def working(theta: np.ndarray) -> np.ndarray:
        out, at = np.empty(len(start)), 0
        for bar, own in zip(search.bars, first, strict=True):
            factor = _factor(bar, theta[at : at + len(own)])
            out[bar.coordinates] = bar.working(np.linalg.solve(bar.transform, factor))
            at += len(own)
        return out

    def criterion(theta: np.ndarray) -> float:
        value = search.profiled_at(working(theta))[0]
        return value if np.isfinite(value) else _WORST

    def iterated(intermediate_result: OptimizeResult) -> None:
        x = working(intermediate_result.x)
        record(search, x, search.profiled_at(x)[2])

    theta = np.concatenate(first)
    record(search, working(theta), search.profiled_at(working(theta))[2])
    found = minimize(
        criterion,
        theta,
        method="COBYQA",
        bounds=Bounds(np.concatenate(lower), np.full(len(theta), np.inf)),
        callback=iterated,
        options={"maxfev": _EVALUATIONS, "final_tr_radius": _RADIUS},
    )
    return ended(search, working(found.x), "profile")


def _theta(bar: Bar, factor: np.ndarray) -> np.ndarray:
    """The elements of a lower factor that are parameters."""
    if bar.structure is UN:
        return factor[lower_triangle(len(factor))]
    return np.diag(factor)[:1] if bar.structure is ID else np.diag(factor)


def _factor(bar: Bar, theta: np.ndarray) -> np.ndarray:
    """The lower factor with these parameters."""
    q = bar.stop - bar.start
    if bar.structure is UN:
        factor = np.zeros((q, q))
        factor[lower_triangle(q)] = theta
        return factor
    return np.diag(np.broadcast_to(theta, (q,)))
