"""REML and ML where covariance parameters are held.

σ and the relative factors are then no longer free of each other, so that the likelihood is
maximised over theta itself, in the coordinates that NUTS uses.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import minimize

from bayeslmm.estimation.coordinates import Coordinates
from bayeslmm.estimation.likelihood.centred import centred
from bayeslmm.estimation.likelihood.quasi_newton import optimise
from bayeslmm.estimation.likelihood.search import BETTER, prepare
from bayeslmm.estimation.optimum import Optimum, Status, Step
from bayeslmm.support import scales
from bayeslmm.support.differences import derivatives

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable
    from bayeslmm.support.arrays import Array

__all__ = ["optimise_held"]

_TRIED = (1.0, 0.1, 10.0)
"""Standard deviations of random effects to start from, relative to the residuals'."""
_ZERO = 1e-2
"""A standard deviation below this fraction of its scale is tried at zero."""
_CONVERGED = 1e-6
"""Increase of log L that does not count."""
_NEWTON_STEPS = 5


def optimise_held(
    equations: Equations, method: Literal["reml", "ml"], priors: PriorTable
) -> Optimum:
    """Maximise the likelihood of a model over the parameters that are not held.

    Parameters
    ----------
    equations : Equations
    method : {"reml", "ml"}
    priors : PriorTable
        What is held, and at which values; nothing else of it is used.

    Returns
    -------
    Optimum
        Held parameters have their values, and no elements in the Hessian.
    """
    began = time.perf_counter()
    about = centred(equations, priors.held)
    equations = about.equations
    likelihood = _Likelihood(equations, method, priors)
    free = ~priors.held
    places = [likelihood.ascend(start, free) for start in likelihood.starts()]
    theta = max(places, key=likelihood.value)
    theta, boundary = likelihood.at_zero(theta, free)
    inside = free & ~boundary
    theta, hessian, promise = likelihood.polished(theta, inside)
    value = likelihood.value(theta)
    status = Status.SINGULAR if boundary.any() else Status.CONVERGED
    if not promise < _CONVERGED:
        status = Status.NO_PROGRESS
    if equations.is_exact(theta[-1]):
        status = Status.ZERO_RESIDUAL
    optimum = Optimum(
        method=method,
        status=status,
        theta=theta,
        M=equations.relative_factors(theta),
        sigma=float(theta[-1]),
        criterion=-2.0 * value,
        boundary=boundary,
        find_hessian=hessian.copy,
        trace=tuple(likelihood.trace),
        evaluations=likelihood.evaluations,
        seconds=time.perf_counter() - began,
    )
    return about.to_model(optimum)


class _Likelihood:
    """The log-likelihood of theta with what is held, and what has been asked of it."""

    def __init__(
        self, equations: Equations, method: Literal["reml", "ml"], priors: PriorTable
    ) -> None:
        self.equations, self.method, self.priors = equations, method, priors
        self.parameters = equations.parameters
        self.unheld = optimise(equations, method)
        self.search, _ = prepare(equations, method)
        self.sizes = self._sizes()
        self.coordinates = Coordinates.of(
            equations, None, self.sizes, of_data=False, held=priors.held
        )
        self.trace: list[Step] = []
        self.evaluations = 0
        self.began = time.perf_counter()

    def _sizes(self) -> Array:
        """Standard deviations of effects that vary the response as much as the residuals do."""
        sizes = np.zeros(len(self.parameters))
        sigma = self.priors.with_held(self.unheld.theta)[-1]
        for factor, cross in zip(self.equations.factors, self.equations.cross, strict=True):
            rms = np.sqrt(np.diag(cross))
            for number, bar in enumerate(factor.bars):
                block = self.parameters.find(factor.name, number, "sd")
                if block is not None:
                    own = sigma / rms[bar.slice]
                    shared = block.stop - block.start < len(own)
                    sizes[block.slice] = own.min() if shared else own
        return sizes

    def starts(self) -> list[Array]:
        """Where to begin: the estimates without anything held, and random effects of some sizes."""
        found = [self.priors.with_held(self.unheld.theta)]
        for size in _TRIED:
            theta = self.unheld.theta.copy()
            for block in self.parameters.blocks:
                own = block.slice
                if block.kind == "sd":
                    theta[own] = size * self.sizes[own]
                elif block.kind == "corr" and block.factor is not None:
                    theta[own] = 0.0
            found.append(self.priors.with_held(theta))
        return found

    def __call__(self, theta: Array) -> tuple[float, Array]:
        self.evaluations += 1
        value, slope = self.equations.loglik(theta, self.method)
        return float(value), slope

    def value(self, theta: Array) -> float:
        """The log-likelihood."""
        return self(theta)[0]

    def working(self, theta: Array) -> Array:
        """Theta in the coordinates that traces have."""
        search, theta = self.search, self.search.centred.of_theta(theta)
        parts = search.equations.split_M(search.equations.relative_factors(theta))
        matrices = [
            np.linalg.solve(bar.transform, parts[bar.factor][bar.block, bar.block])
            for bar in search.bars
        ]
        relative = theta.copy()
        for block in self.parameters.blocks:
            if block.kind in ("sd", "sigma"):
                relative[block.slice] /= theta[-1]
        x = search.free.coordinates.unconstrained(relative, np.zeros(len(theta)))
        others = np.concatenate([np.zeros(search.n_M), x[search.free.own]])
        return search.working(matrices, others)

    def ascend(self, theta: Array, free: Array) -> Array:
        """Where BFGS gets to over the free parameters."""
        held = np.where(free, np.nan, theta)
        x = self.coordinates.unconstrained(theta, 0.05 * self.sizes, ~free)
        if not free.any():
            return theta

        def whole(z: Array) -> tuple[Array, Array]:
            moved = x.copy()
            moved[free] = z
            return moved, np.where(free, self.coordinates.natural(moved), held)

        def negative(z: Array) -> tuple[float, Array]:
            moved, theta = whole(z)
            value, slope = self(theta)
            if not np.isfinite(value):
                return 1e300, np.zeros(len(z))
            return -value, -self.coordinates.gradient(moved, slope)[free]

        def record(z: Array) -> None:
            value, slope = negative(z)
            theta = whole(z)[1]
            step = Step(
                iteration=len(self.trace),
                criterion=2.0 * value,
                gradient=2.0 * float(np.abs(slope).max()),
                working=self.working(theta),
                sigma=float(self.search.centred.of_theta(theta)[-1]),
                seconds=time.perf_counter() - self.began,
            )
            self.trace.append(step)

        with np.errstate(all="ignore"):
            found = minimize(
                negative, x[free], jac=True, method="BFGS", callback=record, options={"gtol": 1e-6}
            )
        return whole(found.x)[1]

    def at_zero(self, theta: Array, free: Array) -> tuple[Array, Array]:
        """Free standard deviations that are about zero, at zero if that is no worse; the
        correlations with them stand as 0.
        """
        boundary = np.zeros(len(theta), dtype=bool)
        best = self.value(theta)
        for block in self.parameters.blocks:
            corr = self.parameters.find(str(block.factor), block.bar, "corr")
            if block.kind != "sd":
                continue
            for i in range(block.start, block.stop):
                if not (free[i] and theta[i] < _ZERO * self.sizes[i]):
                    continue
                tried = theta.copy()
                tried[i] = 0.0
                own = boundary.copy()
                own[i] = True
                if corr is not None:
                    label = block.labels[i - block.start]
                    of_it = np.array([label in pair for pair in corr.labels])
                    own[corr.slice] |= of_it & free[corr.slice]
                    tried[own & ~(np.arange(len(theta)) == i) & free] = 0.0
                value = self.value(tried)
                if value > best - BETTER:
                    theta, boundary, best = tried, own, value
        return theta, boundary

    def polished(self, theta: Array, inside: Array) -> tuple[Array, Array, float]:
        """Theta after Newton steps, the Hessian there on the scale of `scales`, and the increase
        that one more step promises.
        """
        bounds = self.parameters.bounds
        k, at = len(theta), np.flatnonzero(inside)
        hessian, promise = np.full((k, k), np.nan), 0.0
        for _ in range(_NEWTON_STEPS):
            if not len(at):
                break
            with np.errstate(all="ignore"):
                x = scales.working(theta, bounds)
            H = derivatives(partial(self._slope, theta, inside=inside), x, at)
            H = (H + H.T) / 2
            hessian = np.full((k, k), np.nan)
            hessian[np.ix_(at, at)] = H
            slope = self._slope(theta, x, inside)
            if not np.isfinite(H).all() or np.linalg.eigvalsh(H)[-1] >= 0:
                promise = np.inf
                break
            move = -np.linalg.solve(H, slope)
            promise = float(0.5 * slope @ move)
            if promise < 1e-3 * _CONVERGED:
                break
            moved = self._theta(theta, x, inside, move)
            if not self.value(moved) > self.value(theta):
                break
            theta = moved
        return theta, hessian, promise

    def _theta(self, theta: Array, x: Array, inside: Array, move: Array) -> Array:
        moved = x.copy()
        moved[inside] += move
        natural = scales.natural(moved, self.parameters.bounds)
        return np.where(inside, natural, theta)

    def _slope(self, theta: Array, x: Array, inside: Array) -> Array:
        there = self._theta(theta, x, inside, np.zeros(int(inside.sum())))
        slope = self(there)[1] * scales.slopes(there, self.parameters.bounds)
        return slope[inside]
