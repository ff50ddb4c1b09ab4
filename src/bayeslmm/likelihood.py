"""Engine: REML and ML.

The criterion -2 log L is profiled over beta and σ and minimised over the relative factors M by a
quasi-Newton method with the analytic gradient. M moves in coordinates without bounds (see
`Structure.working_basis`): a variance of zero and a correlation of ±1 are ordinary stationary
points there.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import OptimizeWarning, minimize

from . import scales
from .coordinates import Coordinates
from .lapack import blas_threads
from .structures import STRUCTURES

if TYPE_CHECKING:
    from collections.abc import Callable

    from .equations import Equations
    from .structures import Structure

__all__ = ["Optimum", "Status", "Step", "optimise"]

_SINGULAR = 1e-3
"""A direction of G whose standard deviation is below this fraction of σ (columns standardised) is
tried at zero."""
_RESTARTS = 5
_EM_STEPS = 2
_MAX_ITERATIONS = 500
_NEWTON_STEPS = 6


class Status(Enum):
    """How a fit ended; the value says it in words."""

    CONVERGED = "converged"
    SINGULAR = (
        "converged to a singular fit: a variance is zero or a correlation is ±1. The data do not "
        "support this random-effect structure in full; drop the effect or correlation named, or "
        "give it a prior and use NUTS"
    )
    NO_PROGRESS = (
        "stopped before the gradient was small. Rescale predictors that differ by orders of "
        "magnitude, simplify the random effects, and compare with another start"
    )
    ZERO_RESIDUAL = (
        "the residual variance went to zero: the model reproduces the response exactly, so there "
        "is no likelihood to maximise"
    )

    @property
    def ok(self) -> bool:
        """Whether the estimates are those of the maximum."""
        return self in (Status.CONVERGED, Status.SINGULAR)


@dataclass(frozen=True)
class Step:
    """One iteration: criterion (-2 log L), largest element of the gradient, working coordinates,
    seconds since the start.
    """

    iteration: int
    criterion: float
    gradient: float
    working: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Optimum:
    """What the optimiser found.

    Attributes
    ----------
    method : {"reml", "ml"}
    status : Status
    theta : (k,) array
        Natural parameters. Correlations with an effect of zero variance stand as 0.
    M : array
        Relative factors of all grouping factors, flat; exact where G is singular.
    sigma : float
    criterion : float
        -2 log-likelihood.
    boundary : (k,) array of bool
        Parameters that are on, or undefined at, the boundary.
    hessian : (k, k) array
        Of the log-likelihood in log(sd), Fisher's z(corr), log(sigma); NaN for parameters at the
        boundary, which are held there for the others.
    trace : tuple of Step
    evaluations : int
    seconds : float
    """

    method: Literal["reml", "ml"]
    status: Status
    theta: np.ndarray
    M: np.ndarray
    sigma: float
    criterion: float
    boundary: np.ndarray
    hessian: np.ndarray
    trace: tuple[Step, ...]
    evaluations: int
    seconds: float

    @property
    def singular(self) -> bool:
        """Whether G is singular."""
        return self.status is Status.SINGULAR

    @cached_property
    def vcov(self) -> np.ndarray:
        """Covariance matrix (k, k) of theta in the coordinates of `hessian`; NaN at the
        boundary.
        """
        vcov = np.full_like(self.hessian, np.nan)
        free = np.isfinite(np.diag(self.hessian))
        part = self.hessian[np.ix_(free, free)]
        if self.status.ok and free.any():
            vcov[np.ix_(free, free)] = np.linalg.inv(-part)
        return vcov


@dataclass(frozen=True)
class _Bar:
    """Where a bar's block of M and its working coordinates stand."""

    structure: Structure
    factor: int
    start: int
    stop: int
    cross: np.ndarray  # (q, q), mean cross-product of its columns
    coordinates: slice
    scale: float  # root of the number of levels: the curvature in a coordinate is of order one


def _working(
    equations: Equations,
) -> tuple[tuple[_Bar, ...], np.ndarray, np.ndarray]:
    """The bars, the matrix that takes working coordinates to the flat M, and the start."""
    bars, columns, start, at = [], [], [], 0
    sizes = [len(f.effects) for f in equations.factors]
    for i, (f, cross) in enumerate(zip(equations.factors, equations.cross, strict=True)):
        for bar in f.bars:
            structure = STRUCTURES[bar.structure]
            block = slice(bar.start, bar.stop)
            basis = structure.working_basis(cross[block, block])
            m = len(basis)
            scale = np.sqrt(len(f.levels))
            here = slice(at, at + m)
            bars.append(_Bar(structure, i, bar.start, bar.stop, cross[block, block], here, scale))
            for direction in basis:
                full = [np.zeros((q, q)) for q in sizes]
                full[i][block, block] = direction
                columns.append(np.concatenate([part.ravel() for part in full]) / scale)
            start.append(scale * structure.working_start(bar.stop - bar.start))
            at += m
    if not bars:
        return (), np.zeros((0, 0)), np.zeros(0)
    return tuple(bars), np.column_stack(columns), np.concatenate(start)


@dataclass(frozen=True, eq=False)
class _ResidualCoordinates:
    """The parameters of R but for sigma, unconstrained; none without a structure."""

    coordinates: Coordinates
    whole: np.ndarray  # coordinates of all of theta, sigma one
    own: slice  # theirs

    @classmethod
    def of(cls, equations: Equations) -> _ResidualCoordinates:
        parameters = equations.parameters
        coordinates = Coordinates.of(equations)
        theta = np.ones(len(parameters))
        for block in parameters.blocks:
            if block.kind != "sd" and block.kind != "sigma":
                theta[block.start : block.stop] = block.typical
        whole = coordinates.unconstrained(theta, np.zeros(len(theta)))
        first = next((b.start for b in parameters.blocks if b.factor is None), len(theta) - 1)
        return cls(coordinates, whole, slice(first, len(theta) - 1))

    @property
    def start(self) -> np.ndarray:
        return self.whole[self.own]

    def _at(self, x: np.ndarray) -> np.ndarray:
        whole = self.whole.copy()
        whole[self.own] = x
        return whole

    def relative(self, x: np.ndarray) -> np.ndarray:
        """Theta with R's parameters at x, and sigma one."""
        return self.coordinates.natural(self._at(x))

    def gradient(self, x: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        if not len(x):
            return x
        return self.coordinates.gradient(self._at(x), slopes)[self.own]


def optimise(equations: Equations, method: Literal["reml", "ml"]) -> Optimum:
    """Maximise the likelihood of a model.

    Parameters
    ----------
    equations : Equations
    method : {"reml", "ml"}

    Returns
    -------
    Optimum
    """
    with blas_threads(equations.root_order):
        return _optimise(equations, method)


def _optimise(equations: Equations, method: Literal["reml", "ml"]) -> Optimum:
    began = time.perf_counter()
    bars, to_M, start = _working(equations)
    residuals = _ResidualCoordinates.of(equations)
    n_G = len(start)
    start = np.concatenate([start, residuals.start])
    trace: list[Step] = []
    evaluations = 0
    at, last = np.full(len(start), np.nan), (np.inf, start)

    def criterion(working: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations, at, last
        if not np.array_equal(working, at):
            evaluations += 1
            relative = residuals.relative(working[n_G:])
            value, dM, *_, slopes = equations.profiled(to_M @ working[:n_G], method, relative)
            gradient = np.concatenate([dM @ to_M, residuals.gradient(working[n_G:], slopes)])
            at, last = working.copy(), (float(value), gradient)
        return last

    def record(working: np.ndarray) -> None:
        value, gradient = criterion(working)
        largest = float(np.abs(gradient).max(initial=0.0))
        seconds = time.perf_counter() - began
        trace.append(Step(len(trace), value, largest, working.copy(), seconds))

    working = start
    if len(start):
        for _ in range(_EM_STEPS if n_G else 0):
            record(working)
            held = residuals.relative(working[n_G:])
            moved = _em_step(equations, bars, to_M, working[:n_G], method, held)
            working = np.concatenate([moved, working[n_G:]])
        for _ in range(_RESTARTS):
            working = _descend(criterion, record, working, 1e-3)
            better = _off_zero(criterion, bars, working)
            if better is None:
                break
            working = better
    relative = residuals.relative(working[n_G:])
    M, singular = _snap(equations, bars, to_M, working[:n_G], method, relative)
    if any(bars[i].stop - bars[i].start > 1 for i in singular) or (singular and len(working) > n_G):
        # along the boundary there is no Newton step to finish with
        working = _descend(criterion, record, working, 1e-6)
        relative = residuals.relative(working[n_G:])
        M, singular = _snap(equations, bars, to_M, working[:n_G], method, relative)
    value, _, sigma2, *_ = equations.profiled(M, method, relative)
    sigma = float(np.sqrt(sigma2))
    if equations.is_exact(sigma):
        status, theta = Status.ZERO_RESIDUAL, equations.theta(M, 0.0, relative)
        boundary = np.ones(len(theta), dtype=bool)
        hessian = np.full((len(theta), len(theta)), np.nan)
    else:
        theta = equations.theta(M, sigma, relative)
        boundary = _boundary(equations, bars, theta, singular)
        status, theta, hessian = _finish(equations, theta, boundary, method)
        if not singular:
            M, sigma = equations.relative_factors(theta), float(theta[-1])
            value = -2.0 * equations.loglik(theta, method)[0]
        elif status is Status.CONVERGED:
            status = Status.SINGULAR
    return Optimum(
        method=method,
        status=status,
        theta=theta,
        M=M,
        sigma=sigma,
        criterion=float(value),
        boundary=boundary,
        hessian=hessian,
        trace=tuple(trace),
        evaluations=evaluations,
        seconds=time.perf_counter() - began,
    )


def _em_step(
    equations: Equations,
    bars: tuple[_Bar, ...],
    to_M: np.ndarray,
    working: np.ndarray,
    method: Literal["reml", "ml"],
    relative: np.ndarray,
) -> np.ndarray:
    """One step of EM, which from far away covers most of the distance.

    With D the gradient of the log-likelihood in M, the mean over levels of E[bb'|y]/σ² is I +
    M'D/levels: what EM makes of G comes from the gradient alone. See docs/mathematics.md.
    """
    M = to_M @ working
    value, dM, *_ = equations.profiled(M, method, relative)
    if not np.isfinite(value):
        return working
    moved = working.copy()
    for bar in bars:
        here = slice(bar.start, bar.stop)
        levels = len(equations.factors[bar.factor].levels)
        own = equations.split_M(M)[bar.factor][here, here]
        slope = -0.5 * equations.split_M(dM)[bar.factor][here, here]
        product = own.T @ slope
        moment = np.eye(len(own)) + (product + product.T) / (2 * levels)
        try:
            coordinates = bar.structure.working_of(own @ moment @ own.T, bar.cross)
        except np.linalg.LinAlgError:  # rounding at the boundary: leave it to the descent
            continue
        moved[bar.coordinates] = bar.scale * coordinates
    return moved


def _descend(
    criterion: Callable[[np.ndarray], tuple[float, np.ndarray]],
    record: Callable[[np.ndarray], None],
    start: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Where BFGS gets to; whether that is the optimum is for :func:`_finish` to judge."""
    record(start)
    value, _ = criterion(start)
    if not np.isfinite(value):
        return start
    options = {"gtol": tolerance, "maxiter": _MAX_ITERATIONS}
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        return minimize(
            criterion, start, jac=True, method="BFGS", callback=record, options=options
        ).x


def _off_zero(
    criterion: Callable[[np.ndarray], tuple[float, np.ndarray]],
    bars: tuple[_Bar, ...],
    working: np.ndarray,
) -> np.ndarray | None:
    """A better point away from a variance of zero, if there is one.

    The symmetry that makes zero an interior point also makes the gradient vanish there when zero
    is not the best.
    """
    value, _ = criterion(working)
    for bar in bars:
        diagonal = _diagonal(bar)
        block = working[bar.coordinates]
        for k in diagonal[np.abs(block[diagonal]) < _SINGULAR * bar.scale]:
            moved = working.copy()
            moved[bar.coordinates.start + k] = 0.03 * bar.scale
            if criterion(moved)[0] < value - 1e-6:
                return moved
    return None


def _diagonal(bar: _Bar) -> np.ndarray:
    """Which of a bar's working coordinates are those of standard deviations."""
    return np.flatnonzero(bar.structure.working_start(bar.stop - bar.start))


def _snap(
    equations: Equations,
    bars: tuple[_Bar, ...],
    to_M: np.ndarray,
    working: np.ndarray,
    method: Literal["reml", "ml"],
    relative: np.ndarray,
) -> tuple[np.ndarray, tuple[int, ...]]:
    """M, with near-zero directions of each bar's G at zero if that is no worse, and the bars that
    have any.
    """
    M = to_M @ working
    blocks = equations.split_M(M.copy())
    singular = []
    for i, bar in enumerate(bars):
        size = bar.stop - bar.start
        standard = bar.structure.working_matrix(working[bar.coordinates] / bar.scale, size)
        left, values, right = np.linalg.svd(standard)
        small = values < _SINGULAR
        if small.any():
            singular.append(i)
            here = slice(bar.start, bar.stop)
            exact = (left * np.where(small, 0.0, values)) @ right
            blocks[bar.factor][here, here] = bar.structure.working_transform(bar.cross) @ exact
    if not singular:
        return M, ()
    snapped = np.concatenate([block.ravel() for block in blocks])
    value = equations.profiled(M, method, relative)[0]
    if equations.profiled(snapped, method, relative)[0] <= value + 1e-6:
        return snapped, tuple(singular)
    return M, ()


def _boundary(
    equations: Equations, bars: tuple[_Bar, ...], theta: np.ndarray, singular: tuple[int, ...]
) -> np.ndarray:
    """Which parameters are at the boundary: sds of zero, and the correlations of a bar whose G is
    singular.
    """
    boundary = np.zeros(len(theta), dtype=bool)
    for i in singular:
        bar = bars[i]
        factor = equations.factors[bar.factor]
        position = [b.start for b in factor.bars].index(bar.start)
        for kind in ("sd", "corr"):
            block = equations.parameters.find(factor.name, position, kind)
            if block:
                here = slice(block.start, block.stop)
                scale = theta[here].max(initial=0.0)
                boundary[here] = (
                    True if kind == "corr" else theta[here] <= 1e-9 * max(scale, 1e-300)
                )
    return boundary


def _finish(
    equations: Equations, theta: np.ndarray, boundary: np.ndarray, method: Literal["reml", "ml"]
) -> tuple[Status, np.ndarray, np.ndarray]:
    """Newton steps on the working scale (`scales`) from near the optimum, with the Hessian there;
    boundary parameters are held.

    The judgement is the increase of the log-likelihood that one more step promises: it has no
    units.
    """
    free = np.flatnonzero(~boundary)
    bounds = equations.parameters.bounds[free]

    def natural(eta: np.ndarray) -> np.ndarray:
        moved = theta.copy()
        moved[free] = scales.natural(eta, bounds)
        return moved

    def gradient(eta: np.ndarray) -> np.ndarray:
        moved = natural(eta)
        return equations.loglik(moved, method)[1][free] * scales.slopes(moved[free], bounds)

    k, step = len(free), 1e-4
    eta = scales.working(theta[free], bounds)
    status, hessian = Status.NO_PROGRESS, np.full((k, k), np.nan)
    for _ in range(_NEWTON_STEPS):
        for i, move in enumerate(np.eye(k) * step):
            hessian[:, i] = (gradient(eta + move) - gradient(eta - move)) / (2 * step)
        hessian = (hessian + hessian.T) / 2
        slope = gradient(eta)
        if not np.isfinite(hessian).all() or np.linalg.eigvalsh(hessian)[-1] >= 0:
            break
        newton = np.linalg.solve(-hessian, slope)
        promise = 0.5 * slope @ newton
        if promise > 0.5:
            break
        eta = eta + newton
        if (
            promise < 1e-6
        ):  # convergence is quadratic: what is left after this step is of the order of the square
            status = Status.CONVERGED
            break
    full = np.full((len(theta), len(theta)), np.nan)
    full[np.ix_(free, free)] = hessian
    return status, natural(eta), full
