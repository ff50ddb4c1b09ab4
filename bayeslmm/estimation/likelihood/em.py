"""EM for REML and ML (Dempster, Laird and Rubin 1977; Laird and Ware 1982), and its acceleration by
SQUAREM (Varadhan and Roland 2008).

The missing data are u, and beta too for REML (Harville 1977). Their second moments given y follow
from the solution of the equations and its gradient: with D the gradient of the log-likelihood in
the relative factor M of n_f levels,

    sum over levels of E_jj = n_f I + M'D - (sum over levels of b_j b_j') / σ²

where E is the inverse of the equations' matrix; then E[Σ bb' | y] = Σ b_j b_j' + σ² Σ E_jj, and

    E[(y - Xβ - Zu)'W(y - Xβ - Zu) | y] = r² - b'b + σ² (n_random + p - tr E_bb)

with p counted for REML only. For levels with a known relationship K the sums are over pairs of
levels, weighted by K⁻¹. See docs/em.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.cholesky import ID, UN, lower_triangle
from bayeslmm.errors import ArgumentError
from bayeslmm.estimation.likelihood.iterations import degrees_of_freedom, ended, record, value_at

if TYPE_CHECKING:
    from bayeslmm.estimation.likelihood.search import Bar, Search
    from bayeslmm.estimation.optimum import Optimum

__all__ = ["em", "em_iterations", "require_em", "squarem", "started"]

_STEPS, _CYCLES = 5_000, 1_000
_GRADIENT = 1e-5
"""Of -2 log L in the working coordinates, whose curvatures are of order one, and in log σ: one that
ends the iterations.
"""
_GAIN = 1e-10
"""A decrease of -2 log L that ends the cycles of SQUAREM: two steps of EM alone would then need ten
thousand more to gain 1e-6.
"""
_LONGEST = 1e6
"""The largest step length of SQUAREM, in steps of EM."""


def em(search: Search, start: np.ndarray) -> Optimum:
    """Fit by EM.

    Parameters
    ----------
    search : Search
    start : array
        Working coordinates; σ² starts at its best there.

    Returns
    -------
    Optimum
    """
    x = em_iterations(search, started(search, start), _STEPS)
    return ended(search, x[:-1], "em")


def squarem(search: Search, start: np.ndarray) -> Optimum:
    """Fit by EM accelerated by SQUAREM, scheme S3: two steps of EM, a leap along them whose length
    is that of their first and second differences, and one step of EM from where it leads.

    A leap that does not improve on the second step is not taken.

    Parameters
    ----------
    search : Search
    start : array
        Working coordinates; σ² starts at its best there.

    Returns
    -------
    Optimum
    """
    x = started(search, start)
    last = np.inf
    for _ in range(_CYCLES):
        if _arrived(search, x) or last - search.trace[-1].criterion < _GAIN:
            break
        last = search.trace[-1].criterion
        first = _step(search, x)
        second = _step(search, first)
        r = first - x
        v = (second - first) - r
        length = min(float(np.linalg.norm(r) / max(np.linalg.norm(v), 1e-300)), _LONGEST)
        best = _value(search, second)
        while length > 1.0:
            leap = x + 2.0 * length * r + length**2 * v
            if _value(search, leap) < best:
                second = _step(search, leap)
                break
            length = (length + 1.0) / 2.0 if length > 1.01 else 1.0
        x = second
    return ended(search, x[:-1], "squarem")


def em_iterations(search: Search, x: np.ndarray, most: int) -> np.ndarray:
    """Where steps of EM lead from x, the working coordinates and then log σ."""
    for _ in range(most):
        if _arrived(search, x):
            break
        x = _step(search, x)
    return x


def require_em(search: Search) -> None:
    """Refuse a model whose steps are not known in closed form."""
    bars = [bar for factor in search.equations.factors for bar in factor.bars]
    others = [bar.covariance.name for bar in bars if bar.shape is not None]
    what = f"covariance structures {', '.join(map(repr, others))}" if others else "structured R"
    if others or search.equations.structured:
        raise ArgumentError(
            f"EM has steps in closed form for random effects with structures 'id', 'diag' and 'un' "
            f"and residuals with one variance, and this model has {what}; use "
            "algorithm='quasi-newton' or 'newton'."
        )


def started(search: Search, start: np.ndarray) -> np.ndarray:
    """Working coordinates with log σ, σ at its best."""
    require_em(search)
    return np.append(start, 0.5 * np.log(search.profiled_at(start)[2]))


def _value(search: Search, x: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        return value_at(search, x[:-1], float(np.exp(2.0 * x[-1])))


def _arrived(search: Search, x: np.ndarray) -> bool:
    """Record x, and say whether the criterion is level there."""
    sigma2 = float(np.exp(2.0 * x[-1]))
    step = record(search, x[:-1], sigma2)
    in_sigma = 2.0 * degrees_of_freedom(search) * abs(1.0 - search.profiled_at(x[:-1])[2] / sigma2)
    return not np.isfinite(step.criterion) or max(step.gradient, in_sigma) < _GRADIENT


def _step(search: Search, x: np.ndarray) -> np.ndarray:
    """One step of EM."""
    equations = search.equations
    working, sigma2 = x[:-1], float(np.exp(2.0 * x[-1]))
    flat = search.to_flat @ working
    search.evaluations += 1
    _, slope, best, b, *_ = equations.profiled(flat, search.method)
    levels = [len(f.levels) for f in equations.factors]
    squares = [
        own.T @ (own if factor.related is None else factor.related.precision @ own)
        for factor, own in zip(equations.factors, equations.split_u(b).values(), strict=True)
    ]
    inverses = []  # the sum over levels of E_jj, for each factor
    blocks = zip(equations.split_M(flat), equations.split_M(slope), strict=True)
    for (M, dM), n, square in zip(blocks, levels, squares, strict=True):
        product = M.T @ (-0.5 * dM)
        inverses.append(n * np.eye(len(M)) + (product + product.T) / 2 - square / best)

    df = degrees_of_freedom(search)
    known = equations.n_random + (equations.n - df) - sum(np.trace(E) for E in inverses)
    errors = df * best - sum(np.trace(square) for square in squares) + sigma2 * known
    new_sigma2 = errors / equations.n
    moved = np.empty_like(x)
    moved[-1] = 0.5 * np.log(new_sigma2)
    for bar in search.bars:
        own = bar.block
        moment = squares[bar.factor][own, own] + sigma2 * inverses[bar.factor][own, own]
        root = np.linalg.cholesky(moment / (levels[bar.factor] * new_sigma2))
        moved[bar.coordinates] = bar.scale * _coordinates(bar, bar.matrix(working) @ root)
    return moved


def _coordinates(bar: Bar, factor: np.ndarray) -> np.ndarray:
    """Coordinates of the best covariance matrix of the bar's structure for second moments FF', of
    effects in its basis: F' = QR makes them those of R'R, with positive signs on its diagonal.
    """
    if bar.structure is UN:
        lower = np.linalg.qr(factor.T, mode="r").T
        lower = lower * np.where(np.diag(lower) < 0, -1.0, 1.0)
        return lower[lower_triangle(len(lower))]
    variances = np.einsum("ij,ij->i", factor, factor)
    return np.sqrt(variances.mean(keepdims=True) if bar.structure is ID else variances)
