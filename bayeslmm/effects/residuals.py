"""Residuals of a solution, of every kind.

Conditional residuals are y - Xβ̂ - Zû, marginal ones y - Xβ̂. Of a posterior β̂ and û are its means,
and R and V the means of these matrices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import ndtr

from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.equations.connected_rows import connected_rows, residual_blocks, residual_pattern
from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.support.arguments import one_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayeslmm.solutions.base import Solution
    from bayeslmm.support.arrays import Array

__all__ = ["ResidualKind", "residuals", "row_variances"]

ResidualKind = Literal[
    "response", "pearson", "standardized", "studentized", "normalized", "quantile"
]
_KINDS = get_args(ResidualKind)
_HINTS = {
    "marginal": "For residuals about the fixed part alone give marginal=True.",
    "conditional": "Those given the random effects are 'response', the default.",
}
_LARGEST = 5000
"""The number of rows that are correlated with each other, of which V is factorised."""
_ELEMENTS = 4_000_000
"""Draws × rows that are held at once: 32 MB."""
_NONE = 1e-12
"""The share of a variance that is zero but for rounding."""


def residuals(solution: Solution, kind: object, marginal: bool) -> Array:
    """Residuals of the rows that were fitted; see `Fit.residuals`.

    Parameters
    ----------
    solution : Solution
    kind : {"response", "pearson", "standardized", "studentized", "normalized", "quantile"}
    marginal : bool

    Returns
    -------
    (n,) array
    """
    kind = one_of("kind of residuals", kind, _KINDS, _HINTS.get(str(kind), ""))
    design = solution.model.design
    if kind == "quantile" and isinstance(solution, PosteriorSolution):
        return _quantiles_over_draws(solution, marginal)
    zero = tuple(np.zeros_like(u) for u in solution.u)
    functions = functions_of_rows(solution.model)
    values = design.y - functions.values(solution.beta, zero if marginal else solution.u)
    if kind == "response":
        return values
    if kind == "pearson":
        return values if design.weights is None else values * np.sqrt(design.weights)
    if kind == "normalized":
        return _of_marginal(solution, values) if marginal else _of_conditional(solution, values)
    variances = row_variances(solution, marginal=marginal)
    if kind == "studentized":
        if solution.method == "nuts":
            raise ArgumentError(
                "studentized residuals are divided by their standard deviation over repeated "
                "samples, which a posterior has none of; use kind='standardized', or fit by "
                "'reml'."
            )
        rows = functions_of_rows(solution.model, "none" if marginal else "all")
        # Var(y - ŷ) = Var(y) less that of ŷ; conditionally, ŷ less what it predicts
        left = variances - solution.linear(rows, 0.95).std_error ** 2
        variances = np.where(left > _NONE * variances, left, 0.0)
    found = _over(values, np.sqrt(variances))
    return np.asarray(ndtr(found)) if kind == "quantile" else found


def _quantiles_over_draws(solution: PosteriorSolution, marginal: bool) -> Array:
    """The probability of a smaller response in each row, a mean over the draws."""
    model, (theta, beta, u) = solution.model, solution.flat
    design = model.design
    functions = functions_of_rows(model, "none" if marginal else "all", noise=True)
    if marginal:  # effects of new levels, of which nothing is known but their covariance
        new = tuple(factor.own_variances[factor.codes] for factor in design.factors)
        functions = replace(functions, new=new, Z=tuple(f.Z for f in design.factors))
    M = solution.M if marginal else tuple(np.zeros((len(theta), 1, 1)) for _ in design.factors)
    total = np.zeros(len(design.y))
    step = max(1, _ELEMENTS // len(design.y))
    for at in range(0, len(theta), step):
        some = slice(at, at + step)
        means = functions.values(beta[some], tuple(own[some] for own in u))
        sds = np.sqrt(functions.variance(tuple(m[some] for m in M), theta[some]))
        total += ndtr((design.y - means) / sds).sum(axis=0)
    return total / len(theta)


def row_variances(solution: Solution, *, marginal: bool) -> Array:
    """The diagonal of R, or of V = ZGZ' + R."""
    weights = solution.model.design.weights
    variances = solution.residual_sds**2
    if weights is not None:
        variances = variances / weights
    if not marginal:
        return variances
    for factor in solution.model.design.factors:
        G = solution.moments[0][factor.name]
        own = np.einsum("ij,jk,ik->i", factor.Z, G, factor.Z)
        variances = variances + own * factor.own_variances[factor.codes]
    return variances


def _of_conditional(solution: Solution, values: Array) -> Array:
    """By the Cholesky factor of R, rows of a subject in the order of their occasions."""
    own = solution.model.equations.residuals
    if own is None:
        return _over(values, np.sqrt(row_variances(solution, marginal=False)))
    out, covariance = np.empty_like(values), _patterned(solution)
    for rows in residual_blocks(own):
        out[rows] = _whitened(covariance(rows), values[rows])
    return out


def _of_marginal(solution: Solution, values: Array) -> Array:
    """By the Cholesky factor of V: the rows of subjects of R in their order, others as the data
    have them.
    """
    own = solution.model.equations.residuals
    components = connected_rows(solution.model.design)
    largest = max(map(len, components))
    if largest > _LARGEST:
        raise ArgumentError(
            f"marginal normalized residuals need V of the rows that are correlated with each other "
            f"as a dense matrix, of {largest:,} rows here; up to {_LARGEST:,} are computed. Use "
            "kind='standardized', or the residuals given the random effects."
        )
    place = np.arange(len(values))
    if own is not None:
        place[own.order] = np.arange(len(values))
    out, covariance = np.empty_like(values), _patterned(solution)
    for component in components:
        rows = component[np.argsort(place[component])]
        V = covariance(rows) + solution.ZGZ(rows)
        out[rows] = _whitened(V, values[rows])
    return out


def _patterned(solution: Solution) -> Callable[[Array], Array]:
    """R of some rows, weights included; the same correlations are computed once."""
    own, weights = solution.model.equations.residuals, solution.model.design.weights
    known: dict[bytes, Array] = {}

    def covariance(rows: Array) -> Array:
        key = str(len(rows)).encode() if own is None else residual_pattern(own, rows)
        if key not in known:
            known[key] = solution.residual_covariance(rows)
        R = known[key]
        return R if weights is None else R / np.sqrt(np.outer(weights[rows], weights[rows]))

    return covariance


def _whitened(V: Array, values: Array) -> Array:
    if not (np.diag(V) > 0).all():
        return np.full_like(values, np.nan)
    return solve_triangular(np.linalg.cholesky(V), values, lower=True)


def _over(values: Array, sds: Array) -> Array:
    return np.divide(values, sds, out=np.full_like(values, np.nan), where=sds > 0)
