"""What deleting rows does to the estimates of beta at the same theta, without solving again.

With dummy variables for the rows S in X, generalised least squares leaves these rows out, so that

    β̂ - β̂_(S) = (X'V⁻¹X)⁻¹ (X'V⁻¹)_S (P_SS)⁻¹ (Py)_S,   P = V⁻¹ - V⁻¹X(X'V⁻¹X)⁻¹X'V⁻¹

for any V (Haslett 1999, Journal of the Royal Statistical Society B 61, 603-609). Everything on the
right is in the factorised mixed-model equations: docs/influence.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, solve_triangular

from bayeslmm.design.subsets import rows_of_design
from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.half_solutions import Factor, noise_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.equations.half_solutions import Halves
    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.support.arrays import Array

__all__ = ["Deletions", "deletions", "without_rows"]

_CHUNK = 4096
_LARGEST = 2000
"""The number of rows to delete from which the equations without them are made anew."""
_UNDETERMINED = 1e-10
"""A share of the information on a function of beta that is none but for rounding."""


@dataclass(frozen=True, eq=False)
class Deletions:
    """Deletions of sets of rows.

    Attributes
    ----------
    change : (m, p) array
        β̂ - β̂_(S); NaN where the other rows do not determine beta.
    covratio : (m,) array
        Determinant of the covariance matrix of β̂_(S) over that of β̂.
    leverage, leverage_fixed : (n,) array
        Of each row, the derivative of its fitted value in its response: of Xβ̂ + Zû, and of Xβ̂.
    root : (p, p) array
        Upper triangular, with root root' the covariance matrix of β̂.
    """

    change: Array
    covratio: Array
    leverage: Array
    leverage_fixed: Array
    root: Array


def deletions(solution: PointSolution, sets: Sequence[Array]) -> Deletions:
    """Delete sets of rows, each by itself, at the estimate of theta.

    Parameters
    ----------
    solution : PointSolution
    sets : sequence of int arrays
        Rows, no row in two of them.
    """
    design, equations = solution.model.design, solution.model.equations
    theta, given = solution.optimum.theta, solution.equations
    factor = Factor.at(solution.optimum.M, given)
    data = factor.rows_of(design)
    Q = noise_precision(design, equations, theta)
    weighted = data.within_blocks(Q)
    fitted = functions_of_rows(solution.model).values(solution.beta, solution.u)
    residual, diagonal = Q @ (design.y - fitted), Q.diagonal()
    shift, covratio = np.full((len(sets), equations.p), np.nan), np.full(len(sets), np.nan)
    leverage, fixed = np.zeros(len(design.y)), np.zeros(len(design.y))
    for first, last in _chunks([len(own) for own in sets]):
        rows = np.concatenate(sets[first:last])
        B = factor.half_solve(weighted, rows)
        a = factor.half_solve(data, rows) if equations.structured else B
        leverage[rows] = a.times(B)
        of_gamma = solve_triangular(factor.gamma, data.basis[rows].T, lower=True).T
        fixed[rows] = np.einsum("ij,ij->i", of_gamma, B.gamma)
        here = slice(first, last)
        if len(rows) == last - first:
            shift[here], covratio[here] = _rows(B, diagonal[rows], residual[rows])
            continue
        ends = np.cumsum([0, *(len(own) for own in sets[first:last])])
        for i, own in enumerate(sets[first:last]):
            if len(own) <= _LARGEST:
                within = slice(ends[i], ends[i + 1])
                among = Q[own][:, own].toarray() if equations.structured else np.diag(diagonal[own])
                inside = among - B.products(within)
                shift[first + i], covratio[first + i] = _set(inside, B.gamma[within], residual[own])
    if not equations.structured:
        leverage /= diagonal
    back = solve_triangular(factor.gamma, factor.to_beta.T, lower=True)
    change = shift @ back
    for i in np.flatnonzero(np.isnan(covratio)).tolist():
        change[i], covratio[i] = _anew(solution, sets[i])
    return Deletions(change, covratio, leverage, fixed, solution.optimum.sigma * back.T)


def _chunks(sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of sets with a number of rows that is not large, or of one set."""
    out, first, total = [], 0, 0
    for i, size in enumerate(sizes):
        if i > first and total + size > _CHUNK:
            out.append((first, i))
            first, total = i, 0
        total += size
    return [*out, (first, len(sizes))]


def _rows(B: Halves, precision: Array, residual: Array) -> tuple[Array, Array]:
    """`_set` for sets of one row."""
    inside = precision - B.squares()
    with np.errstate(all="ignore"):
        g = B.gamma / np.sqrt(inside)[:, None]
        left = 1 - np.einsum("ij,ij->i", g, g)
        left = np.where(left > _UNDETERMINED, left, np.nan)
        return g * (residual / np.sqrt(inside) / left)[:, None], 1 / left


def _set(inside: Array, gamma: Array, residual: Array) -> tuple[Array, float]:
    """The change of L_γ'gamma and the ratio of determinants, in units of σ²; NaN where the rows
    that are left do not determine gamma, or rounding hides whether they do.

    Parameters
    ----------
    inside : (s, s) array
        Of V⁻¹.
    gamma : (s, p) array
        Of V⁻¹X.
    residual : (s,) array
        Of Py.
    """
    try:
        lower = np.linalg.cholesky(inside)
    except LinAlgError:
        return np.full(gamma.shape[1], np.nan), np.nan
    both = solve_triangular(lower, np.column_stack([gamma, residual]), lower=True)
    G, r = both[:, :-1], both[:, -1]
    left = np.eye(G.shape[1]) - G.T @ G
    values, vectors = np.linalg.eigh(left)
    if not values[0] > _UNDETERMINED:
        return np.full(gamma.shape[1], np.nan), np.nan
    return vectors @ ((vectors.T @ (G.T @ r)) / values), float(1 / np.prod(values))


def without_rows(solution: PointSolution, rows: Array) -> Equations | None:
    """The equations without some rows; None where beta is not determined by the others."""
    kept = np.setdiff1d(np.arange(len(solution.model.design.y)), rows)
    design = rows_of_design(solution.model.design, kept)
    if len(kept) < len(design.coef) or np.linalg.matrix_rank(design.X) < len(design.coef):
        return None
    return Equations.of(design)


def _anew(solution: PointSolution, rows: Array) -> tuple[Array, float]:
    """β̂ - β̂_(S) and the ratio of determinants from the equations without the rows."""
    p = solution.model.equations.p
    equations = without_rows(solution, rows)
    if equations is None:
        return np.full(p, np.nan), np.nan
    M, sigma = solution.optimum.M, solution.optimum.sigma
    given = solution.at(equations, solution.optimum.theta)
    logs = [np.linalg.slogdet(own.var_beta(M, sigma))[1] for own in (given, solution.equations)]
    return solution.beta - given.solve(M)[0], float(np.exp(logs[0] - logs[1]))
