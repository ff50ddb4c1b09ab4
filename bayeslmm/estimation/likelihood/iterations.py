"""What the algorithms share: recording an iteration, judging where one ended, and showing the
iterations as a table.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.estimation.likelihood.curvature import Curvature, curvature_at
from bayeslmm.estimation.likelihood.quasi_newton import conclude
from bayeslmm.estimation.likelihood.search import Place, Search, off_boundary, prepare, snap
from bayeslmm.estimation.optimum import Optimum, Status, Step

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations

__all__ = ["degrees_of_freedom", "ended", "record", "theta_at", "trace_frame", "value_at"]

_GAIN = 2.5e-7
"""An increase of log L that does not count: half of 1e-6 of the criterion, with room."""
_FLAT, _LEVEL = 1e-6, 1e-2
"""Eigenvalue of the Hessian, scaled to a unit diagonal, that is zero but for rounding, and a slope
along it, scaled likewise, that is.
"""


def degrees_of_freedom(search: Search) -> int:
    """What σ² divides the residual sum of squares by."""
    equations = search.equations
    return equations.n - (equations.p if search.method == "reml" else 0)


def value_at(search: Search, working: np.ndarray, sigma2: float) -> float:
    """-2 log L at working coordinates and any σ²."""
    value, _, best = search.profiled_at(working)
    ratio = sigma2 / best
    return value + degrees_of_freedom(search) * (np.log(ratio) + 1.0 / ratio - 1.0)


def record(search: Search, working: np.ndarray, sigma2: float) -> Step:
    """Add an iteration with a σ² of its own to the trace."""
    _, slope, _ = search.profiled_at(working)
    step = Step(
        iteration=len(search.trace),
        criterion=value_at(search, working, sigma2),
        gradient=float(np.abs(slope @ search.to_flat).max(initial=0.0)),
        working=working.copy(),
        sigma=float(np.sqrt(sigma2)),
        seconds=time.perf_counter() - search.began,
    )
    search.trace.append(step)
    return step


def ended(search: Search, working: np.ndarray, algorithm: str) -> Optimum:
    """The optimum where an algorithm has ended, with what can be said of it; nothing is moved but
    what is within rounding of the boundary.
    """
    place = snap(search, working)
    status, curvature = _judged(search, place)
    if status is Status.CONVERGED and off_boundary(search, place) is not None:
        status = Status.STOPPED
    return conclude(search, place, status, curvature, algorithm)


def _judged(search: Search, place: Place) -> tuple[Status, Curvature]:
    """Whether a Newton step would still increase the likelihood, what is at the boundary held."""
    curvature = curvature_at(search, place)
    H = curvature.profiled
    if not np.isfinite(H).all():
        return Status.STOPPED, curvature
    size = np.sqrt(np.maximum(np.abs(np.diag(H)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(H / np.outer(size, size))
    slope = vectors.T @ (curvature.slope / size)
    flat = np.abs(values) < _FLAT
    promise = 0.25 * (slope**2 / np.where(flat, np.inf, np.abs(values))).sum()
    if promise > _GAIN or (values < -_FLAT).any() or np.abs(slope[flat]).max(initial=0.0) > _LEVEL:
        return Status.STOPPED, curvature
    return (Status.NOT_IDENTIFIED if flat.any() else Status.CONVERGED), curvature


def theta_at(search: Search, working: np.ndarray, sigma: float) -> np.ndarray:
    """Theta of the search's own equations at working coordinates and σ."""
    matrices = [bar.matrix(working) for bar in search.bars]
    flat = search.flat(matrices, working)
    M, relative = search.M(flat)
    return search.equations.theta(M, sigma, relative)


def trace_frame(equations: Equations, optimum: Optimum) -> pd.DataFrame:
    """The iterations of a fit as a table.

    Parameters
    ----------
    equations : Equations
    optimum : Optimum

    Returns
    -------
    pandas.DataFrame
        A row for each iteration, with criterion, gradient and seconds, and theta by name.
    """
    search, _ = prepare(equations, "ml" if optimum.method == "ml" else "reml")
    steps = optimum.trace
    columns: dict[str, list[float]] = {
        "criterion": [step.criterion for step in steps],
        "gradient": [step.gradient for step in steps],
        "seconds": [step.seconds for step in steps],
    }
    theta = [search.centred.natural(theta_at(search, step.working, step.sigma)) for step in steps]
    names = list(equations.parameters.names)
    natural = pd.DataFrame(np.array(theta).reshape(len(steps), len(names)), columns=names)
    table = pd.concat([pd.DataFrame(columns), natural], axis=1)
    table.index = pd.Index([step.iteration for step in steps], name="iteration")
    return table
