"""Engine: the mode of the posterior of theta, which is penalised likelihood.

What is maximised is log p(y | theta), with beta integrated out under its prior, plus the log prior
density of the standard deviations, correlations and parameters of R themselves. A density changes
with the coordinates it is a density in, and so does its mode; these are the parameters as they are
reported (or as the prior is about them, see `PriorTable.basis`), as in blme (Chung, Rabe-Hesketh,
Dorie, Gelman and Liu 2013, Psychometrika 78, 685-709). Coordinates without bounds are used to find
the mode, without their Jacobian.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from bayeslmm.design.parameters import bars_together
from bayeslmm.errors import PriorError
from bayeslmm.estimation.coordinates import _JOINT, _LOGIT, _PARTIAL, _POWER, _REAL, _SINH
from bayeslmm.estimation.likelihood.quasi_newton import optimise
from bayeslmm.estimation.optimum import Optimum, Status, Step
from bayeslmm.estimation.posterior.density import Density
from bayeslmm.estimation.posterior.mode import hard_to_tell_from_zero
from bayeslmm.support import scales
from bayeslmm.support.differences import derivatives

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.coordinates import Coordinates
    from bayeslmm.priors.table import PriorTable

__all__ = ["maximise_posterior"]

_NEWTON_STEPS, _HALVINGS, _ROUNDS = 30, 12, 4
_CONVERGED = 1e-9
"""Increase of the criterion's half that does not count."""
_FLAT = 1e-7
"""Eigenvalue of the Hessian, scaled to a unit diagonal, that is zero but for rounding."""
_NARROW = 1e-5
_NEAR_ZERO, _AT_ZERO = 0.05, 1e-7
_NEAR_EDGE, _AT_EDGE = 2.5, 18.0
"""Coordinates that may mean a boundary, and those that are one but for rounding: of a standard
deviation, and of Fisher's z or the logit of anything within an interval."""


@dataclass
class _Objective:
    """The penalised log-likelihood in coordinates x, those of held parameters among them, with
    what it has seen. `shift` has the weights (k,) in x of what exponents add to the logarithms of
    standard deviations at the means of covariates; `shaped` the places in theta of the
    standard deviations and of the other parameters of each bar with a structure.
    """

    density: Density
    shift: np.ndarray
    shaped: tuple[tuple[list[int], list[int]], ...]
    began: float
    trace: list[Step] = field(default_factory=list)
    evaluations: int = 0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient; minus infinity and zeros where there is no density."""
        self.evaluations += 1
        nothing = np.zeros(len(x))
        with np.errstate(all="ignore"):
            value, inner = self.density(x[~self.density.held])
            jacobian, slope = self.density.coordinates.pullback(x, nothing)
            # a prior about the means of covariates is a density in the standard deviation there
            value = value - jacobian - self.shift @ x
            gradient = -slope - self.shift
            gradient[~self.density.held] += inner
            gradient[self.density.held] = 0.0
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return -np.inf, nothing
        return float(value), gradient

    def negative(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self(x)
        return -value, -gradient

    def theta(self, x: np.ndarray) -> np.ndarray:
        """Theta at x."""
        return self.density.theta(x[~self.density.held])

    def record(self, x: np.ndarray) -> None:
        """Add an iteration to the trace, theta for its working coordinates."""
        value, gradient = self(x)
        largest = float(np.abs(gradient).max(initial=0.0))
        theta = self.theta(x)
        seconds = time.perf_counter() - self.began
        self.trace.append(
            Step(len(self.trace), -2 * value, largest, theta, float(theta[-1]), seconds)
        )

    def hessian(self, x: np.ndarray, free: np.ndarray) -> np.ndarray:
        """Second derivatives in the free coordinates, by central differences of the gradient."""
        rows = derivatives(lambda at: self(at)[1][free], x, np.flatnonzero(free))
        H = rows.reshape(free.sum(), free.sum())
        return (H + H.T) / 2


def maximise_posterior(equations: Equations, priors: PriorTable) -> Optimum:
    """Find the mode of the posterior of theta.

    Parameters
    ----------
    equations : Equations
    priors : PriorTable

    Returns
    -------
    Optimum
        Its criterion is -2 (log-likelihood + log prior density), prior densities without their
        normalising constants; its Hessian is that of half the criterion, with the sign of a
        log-likelihood.

    Raises
    ------
    PriorError
        For a prior density that is infinite at zero: there is no mode. For coefficients whose
        prior is not Gaussian: they cannot be integrated out.
    """
    began = time.perf_counter()
    _check_bounded(equations, priors)
    reml = optimise(equations, "reml")
    if reml.status is Status.ZERO_RESIDUAL and not priors.held.any():
        return _without_mode(equations, reml, time.perf_counter() - began)
    rough = Density.of(equations, priors)
    near = reml.theta if reml.status.ok else rough.typical
    within = rough.theta(rough.unconstrained(near))
    told = hard_to_tell_from_zero(equations, rough.coordinates, within)
    shift = sum(priors.exponents.values(), np.zeros(len(priors.theta)))
    shaped = _of_shapes(equations)
    found = []
    for start in (near, rough.typical):
        density = Density.of(equations, priors, told)
        own = shift * np.where(density.coordinates.kinds == _REAL, density.coordinates.ab[:, 0], 0)
        objective = _Objective(density, own, shaped, began)
        x = _descent(objective, _position(objective.density, start))
        found.append((objective(x)[0], objective, x))
    _, objective, x = max(found, key=lambda row: row[0])
    status, x, held = _settle(objective, x)
    optimum = _optimum(equations, objective, x, held, status)
    # exactly, whatever the way through their coordinates has rounded
    return replace(optimum, theta=priors.with_held(optimum.theta))


def _of_shapes(equations: Equations) -> tuple[tuple[list[int], list[int]], ...]:
    """Where bars with a structure have their standard deviations in theta, and the others; strata
    that share these together.
    """
    found = []
    for factor in equations.factors:
        for number, bar in enumerate(factor.bars):
            if bar.shape is not None and bar.like is None:
                own, others = bars_together(equations.parameters, factor, number)
                sds, rest = (
                    [i for b in part for i in range(b.start, b.stop)] for part in (own, others)
                )
                found.append((sds, rest))
    return tuple(found)


def _check_bounded(equations: Equations, priors: PriorTable) -> None:
    if priors.slopes:
        raise PriorError(
            f"a fit by MAP integrates coefficients out, which needs normal or flat priors, and "
            f"{', '.join(priors.slopes)} have one of R². Leave `r2` out of VarianceSplit, or fit "
            "by 'nuts'."
        )
    if priors.not_gaussian:
        raise PriorError(
            "a fit by MAP integrates coefficients out, which needs normal or flat priors, and "
            f"that of {', '.join(priors.not_gaussian)} is neither. Use Normal, or fit by 'nuts'."
        )
    parts = int((priors.variance_weights[:-1] > 0).sum())
    for name, prior in zip(equations.parameters.names, priors.theta, strict=True):
        if prior.infinite_at_zero(parts):
            raise PriorError(
                f"the prior {prior!r} of {name!r} is infinite at zero, where the posterior then "
                f"has its mode whatever the data say. Use {prior.finite_with(parts)}, or fit by "
                "'nuts'."
            )


def _position(density: Density, theta: np.ndarray) -> np.ndarray:
    """Coordinates of theta, in wide intervals closer to an end than a sampler should start."""
    x, coordinates = density.location.copy(), density.coordinates
    x[~density.held] = density.unconstrained(theta)
    inside = (coordinates.kinds == _LOGIT) & ~density.held
    lower, upper = coordinates.ab[inside].T
    share = np.clip((theta[inside] - lower) / (upper - lower), _NARROW, 1 - _NARROW)
    x[inside] = np.log(share) - np.log1p(-share)
    return x


def _descent(objective: _Objective, x: np.ndarray) -> np.ndarray:
    """Where BFGS gets to from x."""
    objective.record(x)
    if not np.isfinite(objective.trace[-1].criterion):
        return x
    found = minimize(
        objective.negative,
        x,
        jac=True,
        method="BFGS",
        callback=objective.record,
        options={"gtol": 1e-4},
    )
    return found.x if np.isfinite(found.x).all() and np.isfinite(found.fun) else x


def _settle(objective: _Objective, x: np.ndarray) -> tuple[Status, np.ndarray, np.ndarray]:
    """Newton steps to the mode, with coordinates that have reached a boundary held there."""
    fixed = objective.density.held
    held = fixed.copy()
    for _ in range(_ROUNDS):
        x, more = _at_edges(objective, x, held)
        status, x = _newton(objective, x, ~more)
        if (more == held).all():
            break
        held = more
    if status is Status.CONVERGED and (held & ~fixed).any():
        status = Status.SINGULAR
    return status, x, held


def _at_edges(
    objective: _Objective, x: np.ndarray, held: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """x with what lies near a boundary moved onto it where that is no worse, and what is held."""
    coordinates, held = objective.density.coordinates, held.copy()
    best = objective(x)[0]
    for i, kind in enumerate(coordinates.kinds):
        size, edge = abs(x[i]), 0.0
        if kind == _SINH and coordinates.ab[i, 0] > 0 and size < _NEAR_ZERO:
            edge = _AT_ZERO
        elif kind in (_PARTIAL, _LOGIT, _JOINT, _POWER) and size > _NEAR_EDGE:
            edge = _AT_EDGE
        if held[i] or not edge:
            continue
        moved = x.copy()
        moved[i] = np.copysign(edge, x[i])
        value = objective(moved)[0]
        if value >= best - _CONVERGED:
            x, best, held[i] = moved, value, True
    for sds, corrs, q in coordinates.bars[:, :3]:
        for i in range(q if sds >= 0 else 0):
            reached = held[sds + i] and not objective.density.held[sds + i]
            if reached and _is_zero(coordinates, x, sds + i):
                # correlations with an effect that does not vary are nothing
                pairs = [(r, c) for r in range(q) for c in range(r) if i in (r, c)]
                places = [corrs + r * (r - 1) // 2 + c for r, c in pairs]
                x = x.copy()
                x[places], held[places] = 0.0, True
    for own, others in objective.shaped:
        reached = held[own] & ~objective.density.held[own]
        if reached.all() and all(_is_zero(coordinates, x, i) for i in own):
            held[others] = True  # they are those of nothing
    return x, held


def _is_zero(coordinates: Coordinates, x: np.ndarray, i: int) -> bool:
    """Whether a standard deviation that is held at an end is held at zero."""
    if coordinates.kinds[i] == _LOGIT:
        return bool(x[i] < 0 and coordinates.ab[i, 0] == 0)
    return bool(coordinates.kinds[i] == _SINH)


def _newton(objective: _Objective, x: np.ndarray, free: np.ndarray) -> tuple[Status, np.ndarray]:
    value, gradient = objective(x)
    for _ in range(_NEWTON_STEPS):
        if not np.isfinite(value):
            break
        H = -objective.hessian(x, free)
        if not np.isfinite(H).all():
            break
        size = np.sqrt(np.maximum(np.abs(np.diag(H)), np.finfo(float).tiny))
        values, vectors = np.linalg.eigh(H / np.outer(size, size))
        slope = vectors.T @ (gradient[free] / size)
        flat = np.abs(values) < _FLAT
        steps = np.where(flat, 0.0, slope / np.where(flat, 1.0, np.abs(values)))
        step = np.zeros(len(x))
        step[free] = vectors @ steps / size
        step *= min(1.0, 2.0 / max(np.abs(step).max(initial=0.0), 1e-300))
        if 0.5 * slope @ steps < _CONVERGED:
            if (values < -_FLAT).any():
                break
            objective.record(x)
            return (Status.NOT_IDENTIFIED if flat.any() else Status.CONVERGED), x
        for _ in range(_HALVINGS):
            moved = x + step
            further, slopes = objective(moved)
            if further > value:
                break
            step = step / 4
        else:
            # rounding ends what differences of the gradient would go on with
            promise = 0.5 * slope @ steps
            done = promise < 1e-6 and not flat.any() and (values > 0).all()
            return (Status.CONVERGED if done else Status.NO_PROGRESS), x
        x, value, gradient = moved, further, slopes
        objective.record(x)
    return Status.NO_PROGRESS, x


def _optimum(
    equations: Equations, objective: _Objective, x: np.ndarray, held: np.ndarray, status: Status
) -> Optimum:
    parameters, coordinates = equations.parameters, objective.density.coordinates
    theta = objective.theta(x)
    fixed = objective.density.held
    reached = held & ~fixed
    boundary, in_bars = reached.copy(), np.zeros(len(x), dtype=bool)
    for sds, corrs, q in coordinates.bars[:, :3]:
        pairs = slice(corrs, corrs + q * (q - 1) // 2)
        own = slice(sds, sds + q) if sds >= 0 else slice(0, 0)
        boundary[pairs] = reached[pairs].any() or reached[own].any()
        # the standard deviations of these coordinates need not be those that are reported
        tiny = theta[own] <= 1e-6 * np.abs(theta[own]).max(initial=0.0)
        boundary[own] = reached[own] & tiny
        in_bars[own] = in_bars[pairs] = True
    for i in map(int, np.flatnonzero(boundary & (np.array(parameters.kinds) == "sd"))):
        if in_bars[i] or _is_zero(coordinates, x, i):
            theta[i] = 0.0
    hessian = np.full((len(theta), len(theta)), np.nan)
    if status.ok:
        hessian = _natural_hessian(objective, x, held, boundary | fixed, parameters.bounds)
    return Optimum(
        method="map",
        status=status,
        theta=theta,
        M=equations.relative_factors(theta),
        sigma=float(theta[-1]),
        criterion=-2 * objective(x)[0],
        boundary=boundary,
        find_hessian=hessian.copy,
        trace=tuple(objective.trace),
        evaluations=objective.evaluations,
        seconds=time.perf_counter() - objective.began,
    )


def _natural_hessian(
    objective: _Objective,
    x: np.ndarray,
    held: np.ndarray,
    boundary: np.ndarray,
    bounds: np.ndarray,
) -> np.ndarray:
    """The Hessian on the scale of `scales`, with what the coordinates have beyond these parameters
    at its best; NaN at the boundary, and altogether where what is held leaves fewer
    coordinates than parameters.
    """
    k = len(x)
    out = np.full((k, k), np.nan)
    free, inner = ~held, ~boundary
    curvature = -objective.hessian(x, free)
    with np.errstate(all="ignore"):
        moves = derivatives(lambda at: scales.working(objective.theta(at), bounds), x)
    jacobian = moves.reshape(k, k).T
    part = jacobian[np.ix_(inner, free)]
    if free.sum() >= inner.sum() and np.isfinite(part).all():
        try:
            vcov = part @ np.linalg.solve(curvature, part.T)
            out[np.ix_(inner, inner)] = -np.linalg.inv(vcov)
        except np.linalg.LinAlgError:
            pass
    return out


def _without_mode(equations: Equations, reml: Optimum, seconds: float) -> Optimum:
    """What is said of a response that the model reproduces exactly."""
    return Optimum(
        method="map",
        status=reml.status,
        theta=reml.theta,
        M=reml.M,
        sigma=reml.sigma,
        criterion=reml.criterion,
        boundary=reml.boundary,
        find_hessian=reml.find_hessian,
        trace=reml.trace,
        evaluations=reml.evaluations,
        seconds=seconds,
    )
