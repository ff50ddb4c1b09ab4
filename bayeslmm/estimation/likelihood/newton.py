"""Newton's method with the average information (Gilmour, Thompson and Cullis 1995, Biometrics 51,
1440-1450), with the observed information on request, and after steps of EM as in nlme.

With P = V⁻¹ - V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ and V_i the derivative of V in a parameter, the average of the
observed and the expected information is ½ y'P V_i P V_j P y, for ML as for REML. Here it is
computed as ½ D'VD with D the derivatives of Py, because ∂(Py)/∂x_i = -P V_i P y and PVP = P: a Gram
matrix, in any coordinates. See docs/newton.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from bayeslmm.estimation.likelihood.em import em_iterations, started
from bayeslmm.estimation.likelihood.iterations import ended, record, theta_at
from bayeslmm.support.differences import derivatives

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.search import Search
    from bayeslmm.estimation.optimum import Optimum

__all__ = ["Information", "Likelihood", "Rows", "em_newton", "newton"]

Information = Literal["average", "observed"]

_STEPS, _HALVINGS, _EM_STEPS = 200, 8, 25
_DAMPINGS = (0.0, 0.01, 0.1, 1.0, 10.0, 1e2, 1e4, 1e6)
"""By how much of itself the diagonal of the information is increased."""
_LONGEST = 2.0
"""The largest change of a coordinate, most of which are logarithms: seven times as large."""
_FLOOR = 1e-8
"""Least eigenvalue of the information, scaled to a unit diagonal, that a step divides by."""
_GAIN = 1e-9
"""An increase of log L that ends the iterations."""


@dataclass(frozen=True)
class Rows:
    """V and P = V⁻¹ - V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹ of a model as operations on vectors of rows."""

    design: Design
    equations: Equations

    def projected(self, theta: np.ndarray) -> np.ndarray:
        """Py = R⁻¹(y - Xβ̂ - Zû)."""
        design, equations = self.design, self.equations.given_residuals(theta)
        beta, u = equations.solve(self.equations.relative_factors(theta))
        left = design.y_less_offset - design.X @ beta
        for factor, own in zip(design.factors, equations.split_u(u).values(), strict=True):
            left = left - np.einsum("ij,ij->i", factor.Z, own[factor.codes])
        return self.noise(theta, left, inverse=True)

    def times_V(self, theta: np.ndarray, d: np.ndarray) -> np.ndarray:
        """V d, for each column of d (n, m)."""
        equations = self.equations
        G = equations.covariances(equations.relative_factors(theta), theta[-1])
        out = self.noise(theta, d, inverse=False)
        for factor in self.design.factors:
            sums = np.zeros((len(factor.levels), factor.Z.shape[1], d.shape[1]))
            np.add.at(sums, factor.codes, factor.Z[:, :, None] * d[:, None, :])
            if factor.related is not None:
                sums = np.tensordot(factor.related.matrix, sums, axes=1)
            effects = np.einsum("ab,jbm->jam", G[factor.name], sums)
            out = out + np.einsum("ia,iam->im", factor.Z, effects[factor.codes])
        return out

    def noise(self, theta: np.ndarray, d: np.ndarray, *, inverse: bool) -> np.ndarray:
        """R d, or R⁻¹d."""
        design, own = self.design, self.equations.residuals
        scale = np.full(len(d), theta[-1])
        if design.weights is not None:
            scale = scale / np.sqrt(design.weights)
        scale = scale.reshape(-1, *([1] * (d.ndim - 1)))
        d = d / scale if inverse else d * scale
        if own is not None:
            done = np.empty_like(d)
            for block in np.unique(own.block):
                rows = np.flatnonzero(own.block == block)
                C = self.equations.residual_covariance(theta, rows)
                done[rows] = np.linalg.solve(C, d[rows]) if inverse else C @ d[rows]
            d = done
        return d / scale if inverse else d * scale


@dataclass(frozen=True)
class Likelihood:
    """The log-likelihood in unconstrained coordinates of theta, and its informations."""

    search: Search
    rows: Rows

    def theta(self, x: np.ndarray) -> np.ndarray:
        """Natural parameters at x."""
        return self.search.free.coordinates.natural(x)

    def at(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Log L and its gradient in x."""
        self.search.evaluations += 1
        coordinates = self.search.free.coordinates
        with np.errstate(all="ignore"):
            value, slopes = self.search.equations.loglik(self.theta(x), self.search.method)
            return float(value), coordinates.gradient(x, slopes)

    def average_information(self, x: np.ndarray) -> np.ndarray:
        """½ D'VD; NaN where rounding takes differences out of the parameter space."""
        try:
            D = derivatives(lambda at: self.rows.projected(self.theta(at)), x).T
        except ValueError:
            return np.full((len(x), len(x)), np.nan)
        information = 0.5 * D.T @ self.rows.times_V(self.theta(x), D)
        return (information + information.T) / 2

    def observed_information(self, x: np.ndarray) -> np.ndarray:
        """The negative Hessian, by differences of the analytic gradient."""
        H = derivatives(lambda at: self.at(at)[1], x)
        return -(H + H.T) / 2


def newton(
    search: Search, start: np.ndarray, design: Design, information: Information = "average"
) -> Optimum:
    """Fit by Newton's method.

    Parameters
    ----------
    search : Search
    start : array
        Working coordinates; σ starts at its best there.
    design : Design
    information : {"average", "observed"}

    Returns
    -------
    Optimum
    """
    theta = theta_at(search, start, float(np.sqrt(search.profiled_at(start)[2])))
    return _from(search, theta, design, information, "newton")


def em_newton(
    search: Search, start: np.ndarray, design: Design, information: Information = "average"
) -> Optimum:
    """Fit by steps of EM and then Newton's method, as nlme does (Pinheiro and Bates 2000, section
    2.2.8): EM is fast far from the optimum, Newton's method near it.

    Parameters
    ----------
    search : Search
    start : array
        Working coordinates; σ starts at its best there.
    design : Design
    information : {"average", "observed"}

    Returns
    -------
    Optimum
    """
    x = em_iterations(search, started(search, start), _EM_STEPS)
    theta = theta_at(search, x[:-1], float(np.exp(x[-1])))
    return _from(search, theta, design, information, "em+newton")


def _from(
    search: Search, theta: np.ndarray, design: Design, information: Information, algorithm: str
) -> Optimum:
    """Newton's method from theta. Coordinates are unconstrained, so that every step stays in the
    parameter space.
    """
    likelihood = Likelihood(search, Rows(design, search.equations))
    x = search.free.coordinates.unconstrained(theta, np.zeros(len(theta)))
    value, slope = likelihood.at(x)
    for _ in range(_STEPS):
        record(search, *_working(search, likelihood.theta(x)))
        metric = getattr(likelihood, f"{information}_information")(x)
        if not (np.isfinite(metric).all() and np.isfinite(slope).all()):
            break
        better = _improved(likelihood, x, value, slope, metric)
        if better is None:
            break
        gain = better[1] - value
        x, value, slope = better
        if gain < _GAIN:
            record(search, *_working(search, likelihood.theta(x)))
            break
    optimum = ended(search, _working(search, likelihood.theta(x))[0], algorithm)
    return replace(optimum, information=information)


def _improved(
    likelihood: Likelihood, x: np.ndarray, value: float, slope: np.ndarray, metric: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """Coordinates with a better value, with that and the slope there: a step, halved until it
    improves; of a metric with a larger diagonal, as Levenberg and Marquardt have it, where the step
    does not lead uphill.
    """
    for damping in _DAMPINGS:
        step = _step(metric + damping * np.diag(np.abs(np.diag(metric))), slope)
        for _ in range(_HALVINGS):
            ahead, its_slope = likelihood.at(x + step)
            if ahead > value:
                return x + step, ahead, its_slope
            step = step / 2
    return None


def _step(metric: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The Newton step, uphill where the metric is not positive; what would go further than the
    longest step goes as far as that, and the others to their best given that.
    """
    size = np.sqrt(np.maximum(np.abs(np.diag(metric)), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(metric / np.outer(size, size))
    positive = (vectors * np.maximum(np.abs(values), _FLOOR)) @ vectors.T * np.outer(size, size)
    step, free = np.zeros(len(slope)), np.ones(len(slope), dtype=bool)
    while free.any():
        rest = slope[free] - positive[np.ix_(free, ~free)] @ step[~free]
        step[free] = np.linalg.solve(positive[np.ix_(free, free)], rest)
        far = free & (np.abs(step) > _LONGEST)
        if not far.any():
            break
        step[far] = _LONGEST * np.sign(step[far])
        free &= ~far
    return step


def _working(search: Search, theta: np.ndarray) -> tuple[np.ndarray, float]:
    """Working coordinates of theta, and σ²."""
    free = search.free
    kinds = np.array(search.equations.parameters.kinds)
    relative = free.coordinates.natural(free.whole)
    own = free.own
    scaled = np.isin(kinds[own], ("sigma", "sd"))
    relative[own] = np.where(scaled, theta[own] / theta[-1], theta[own])
    x = free.coordinates.unconstrained(relative, np.zeros(len(theta)))[own]
    M = search.equations.split_M(search.equations.relative_factors(theta))
    working = np.empty(search.n_M + len(x))
    working[search.n_M :] = x
    for bar in search.bars:
        factor = np.linalg.solve(bar.transform, M[bar.factor][bar.block, bar.block])
        working[bar.coordinates] = bar.working(factor)
    return working, float(theta[-1] ** 2)
