"""Engine: REML and ML.

The criterion -2 log L is profiled over beta and σ and minimised over the relative factors M and
the other parameters of R.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.errors import DataError
from bayeslmm.estimation.likelihood.curvature import (
    Curvature,
    curvature_at,
    natural_hessian,
    theta_slices,
    varying,
)
from bayeslmm.estimation.likelihood.search import (
    BETTER,
    Place,
    Search,
    best_place,
    descend,
    near_boundary,
    prepare,
    snap,
)
from bayeslmm.estimation.optimum import Optimum, Status
from bayeslmm.support.lapack import blas_threads

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations

__all__ = ["check_unit", "conclude", "optimise"]

_NEWTON_STEPS, _PATIENCE = 10, 3
"""The most steps, and after how many L-BFGS goes on with less tolerance."""
_HALVINGS = 5
_CONVERGED, _SAME = 1e-6, 1e-8
"""Increases of log L that do not count: for the estimates, and for the Hessian there."""
_FLAT = 1e-6
"""Eigenvalue of the Hessian, scaled to a unit diagonal, that is zero but for rounding."""
_BENT, _LEVEL = 1e-2, 1e-2
"""Such an eigenvalue, and a gradient scaled likewise, that are zero but for the bend of a ridge."""
_RIDGE = 1e-3
"""Such an eigenvalue, so small that it may turn out to be zero."""
_SMALL, _HARDLY_BENT = 1e-2, 0.1
"""A residual standard deviation relative to others, or to that of least squares, and the curvature
in its logarithm, twice the number of rows that tell of it, where it may as well be zero."""
_FAR = 5.0
"""A change of the logarithm of a residual standard deviation that nothing survives but a residual
of zero: it multiplies sums of squares by 22,000."""
_TINY = 1e-6
"""σ relative to that of least squares, where rounding ends its way to zero."""
_FAR_OUT, _NEARER = 1e-4, 1e-2
"""σ relative to that of least squares on a ridge, where its digits get lost, and where they are
not."""
_FALLS = 0.1
"""A fall of the criterion over a factor of ten of σ that there is where σ goes to zero: it is
2 log(10) for each row without a residual."""
_LARGEST = 1e140
"""Of a response whose sums of squares, and one over them, can be computed."""


def optimise(equations: Equations, method: Literal["reml", "ml"]) -> Optimum:
    """Maximise the likelihood of a model.

    Parameters
    ----------
    equations : Equations
    method : {"reml", "ml"}

    Returns
    -------
    Optimum

    Raises
    ------
    DataError
        If the response is so small or large that its squares are not numbers.
    """
    with blas_threads(equations.root_order):
        return _optimise(equations, method)


def _optimise(equations: Equations, method: Literal["reml", "ml"]) -> Optimum:
    check_unit(equations)
    search, start = prepare(equations, method)
    place = best_place(search, start)
    status, place, curvature = _finish(search, place)
    nearer = _nearer_on_ridge(search, place)
    if nearer is not None:
        status, place, curvature = Status.NOT_IDENTIFIED, nearer, None
    return conclude(search, place, status, curvature)


def _nearer_on_ridge(search: Search, place: Place) -> Place | None:
    """A place with smaller random effects and the same likelihood, where those of a search are so
    large beside the residuals that the digits of σ are lost; None where there is none.

    A likelihood that does not say what part of a variance is that of random effects has such a
    ridge, and what rounding does far out on it looks like a residual variance of zero.
    """
    least_squares = search.equations.least_squares
    if not search.bars or not place.sigma2 < (_FAR_OUT * least_squares) ** 2:
        return None

    def shrunk(share: float) -> Place:
        matrices = [share * matrix for matrix in place.matrices]
        found = search.profiled(search.flat(matrices, place.working))
        working = search.working(matrices, place.working)
        return Place(working, tuple(matrices), place.singular, place.held, *found)

    share = 1.0
    while share > np.finfo(float).tiny:
        share /= 10
        farther = shrunk(share)
        if farther.sigma2 > (_NEARER * least_squares) ** 2:
            nearer = shrunk(share / 10)
            return nearer if nearer.value - farther.value < _FALLS else None
    return None


def conclude(
    search: Search,
    place: Place,
    status: Status,
    curvature: Curvature | None,
    algorithm: str = "quasi-newton",
) -> Optimum:
    """The optimum that a search has ended at, in natural parameters.

    Parameters
    ----------
    search : Search
    place : Place
    status : Status
    curvature : Curvature or None
        At the place, where it is known already.
    algorithm : str
        What has searched.
    """
    equations = search.equations
    flat, sigma = search.flat(place.matrices, place.working), float(np.sqrt(place.sigma2))
    M, relative = search.M(flat)
    if _vanishes(search, place, sigma, status):
        # with a structure R has no meaning at zero
        status = Status.ZERO_RESIDUAL
        theta = equations.theta(M, sigma if equations.structured else 0.0, relative)
        boundary = np.ones(len(theta), dtype=bool)
        find_hessian = np.full((len(theta), len(theta)), np.nan).copy
    else:
        theta = equations.theta(M, sigma, relative)
        boundary = _boundary(search, place)
        if boundary.any():
            theta[boundary & (np.array(equations.parameters.kinds) == "sd")] = 0.0
        find_hessian = partial(_hessian, search, place, boundary, curvature)
        if equations.residuals is not None and equations.residuals.n_sigmas > 1:
            hessian = find_hessian()
            for k in _as_good_as_zero(equations, theta, hessian):
                boundary[k], hessian[k], hessian[:, k] = True, np.nan, np.nan
            find_hessian = hessian.copy
        if status is Status.CONVERGED and search.is_singular(place):
            status = Status.SINGULAR
        if status is Status.NOT_IDENTIFIED and sigma < _SMALL * equations.least_squares:
            status = Status.NO_RESIDUAL
    optimum = Optimum(
        method=search.method,
        status=status,
        theta=theta,
        M=M,
        sigma=sigma,
        criterion=place.value,
        boundary=boundary,
        find_hessian=find_hessian,
        trace=tuple(search.trace),
        evaluations=search.evaluations,
        seconds=time.perf_counter() - search.began,
        algorithm=algorithm,
    )
    return search.centred.to_model(optimum)


def _hessian(
    search: Search, place: Place, boundary: np.ndarray, curvature: Curvature | None
) -> np.ndarray:
    """What `Optimum.hessian` is where no residual standard deviation is as good as zero."""
    if curvature is None:
        curvature = curvature_at(search, place)
    return natural_hessian(search, place, boundary, curvature)


def check_unit(equations: Equations) -> None:
    """Refuse a response whose squares are no numbers."""
    largest = equations.largest
    if largest != 0 and not 1 / _LARGEST < largest < _LARGEST:
        raise DataError(
            f"the largest value of the response is {largest:.3g}, and squares of such numbers "
            f"cannot be computed; use a unit in which it lies between {1 / _LARGEST:.0e} and "
            f"{_LARGEST:.0e}"
        )


def _vanishes(search: Search, place: Place, sigma: float, status: Status) -> bool:
    """Whether a residual standard deviation goes to zero without end, as far as rounding lets it.

    Of several, one that does is still on its way where the search stops: far closer to zero the
    likelihood is greater by one factor for each of its rows.
    """
    equations = search.equations
    if equations.is_exact(sigma):
        return True
    least_squares = equations.least_squares
    if status.ok or equations.residuals is None:
        return not status.ok and bool(sigma < _TINY * least_squares)
    kinds = np.array(equations.parameters.kinds)
    relative = search.free.relative(place.working[search.n_M :])[kinds == "sigma"]
    if sigma * relative.min() < _TINY * least_squares:
        return True
    for number, at in enumerate(np.flatnonzero(kinds[search.free.own] == "sigma")):
        moved = place.working.copy()
        moved[search.n_M + at] -= _FAR
        rows = int((equations.residuals.sigma == number).sum())
        further = search.profiled(search.flat(place.matrices, moved))[0]
        if place.value - further > _FAR * rows:
            return True
    return False


def _finish(search: Search, place: Place) -> tuple[Status, Place, Curvature | None]:
    """Newton steps from near the optimum, with the curvature there where it has been computed; what
    is at the boundary is held.

    The judgement is the increase of the log-likelihood that one more step promises: it has no
    units.
    """
    if any(search.bars[i].stop - search.bars[i].start > 1 for i in place.singular):
        # along the boundary there is no Newton step to finish with
        place = descend(search, place.working, 1e-6)
    at_top = False
    for step in range(_NEWTON_STEPS):
        if step == _PATIENCE:
            place = descend(search, place.working, 1e-6)
        curvature = curvature_at(search, place)
        H = curvature.profiled
        if not np.isfinite(H).all():
            break
        size = np.sqrt(np.maximum(np.abs(np.diag(H)), np.finfo(float).tiny))
        values, vectors = np.linalg.eigh(H / np.outer(size, size))
        if len(values) and values[0] < -_FLAT:
            moved = _off_saddle(search, place, curvature, vectors[:, 0] / size)
            if moved is not None:
                place = moved
                continue
            if step < _PATIENCE:
                place = descend(search, place.working, 1e-6)
                continue
        # what curves a little downward and yet leads nowhere is a bent ridge
        bent = len(values) > 0 and values[0] < -_FLAT
        flat = values < (_BENT if bent else _FLAT)
        slope = vectors.T @ (curvature.slope / size)
        steps = np.where(flat, 0.0, -slope / np.where(flat, 1.0, values))
        promise = -0.25 * slope @ steps
        moved = _moved(search, place, curvature, vectors @ steps / size)
        if promise < _CONVERGED:
            # convergence is quadratic: what is left after this step is of the order of the square
            at_moved = curvature if promise <= _SAME else None
            if moved.value > place.value + BETTER:
                moved, at_moved = place, curvature
            x = moved.working[search.n_M :]
            near = search.free.near_edges(x)
            if near or near_boundary(moved.matrices)[1] != place.singular:
                snapped = snap(search, moved.working)
                if (snapped.singular, snapped.held) != (place.singular, place.held):
                    place = snapped
                    continue
            if not flat.any():
                if values.min(initial=1.0) < _RIDGE and not at_top:
                    # near a ridge the Hessian tells only at its very top whether it is level
                    place, at_top = moved, True
                    continue
                return Status.CONVERGED, moved, at_moved
            level = values[0] > -_BENT and np.abs(slope[flat]).max() < _LEVEL
            return (Status.NOT_IDENTIFIED if level else Status.NO_PROGRESS), moved, at_moved
        for _ in range(_HALVINGS):
            if moved.value < place.value:
                break
            steps = steps / 4
            moved = _moved(search, place, curvature, vectors @ steps / size)
        else:
            break
        place = moved
    return Status.NO_PROGRESS, place, curvature


def _moved(search: Search, place: Place, curvature: Curvature, steps: np.ndarray) -> Place:
    matrices, moved = curvature.along(place, steps)
    found = search.profiled(search.flat(matrices, moved))
    working = search.working(matrices, moved)
    return Place(working, tuple(matrices), place.singular, place.held, *found)


def _off_saddle(
    search: Search, place: Place, curvature: Curvature, direction: np.ndarray
) -> Place | None:
    """Where a descent along a direction of negative curvature leads, if that is better."""
    for size in (1.0, -1.0, 0.1, -0.1):
        moved = _moved(search, place, curvature, size * direction)
        if moved.value < place.value - BETTER:
            return descend(search, moved.working)
    return None


def _as_good_as_zero(equations: Equations, theta: np.ndarray, hessian: np.ndarray) -> list[int]:
    """Residual standard deviations, of several, on whose logarithm the likelihood does not depend
    any more, where no edge has held them: random effects reproduce these rows.
    """
    sigmas = np.flatnonzero(np.array(equations.parameters.kinds) == "sigma")
    small = theta[sigmas] < _SMALL * theta[sigmas].max()
    level = -np.diag(hessian)[sigmas] < _HARDLY_BENT
    return [int(k) for k in sigmas[small & level]]


def _boundary(search: Search, place: Place) -> np.ndarray:
    """Which parameters are at the boundary: sds of zero, and the correlations of a bar whose G is
    singular.
    """
    boundary = np.zeros(len(search.equations.parameters), dtype=bool)
    for i, sds, corrs in theta_slices(search) if place.singular else ():
        if i in place.singular:
            boundary[sds] = ~varying(search.bars[i], place.matrices[i])[: sds.stop - sds.start]
            boundary[corrs] = True
    boundary[search.free.own[list(place.held)]] = True
    return boundary
