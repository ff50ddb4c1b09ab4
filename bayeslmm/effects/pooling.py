"""What each group says by itself, and what all say together: least squares beside a mixed model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.effects.predictions import fitted
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.solutions.base import Solution

__all__ = ["common_coefficients", "own_effects", "own_line", "pooled_effects"]

_RANK = 1e-9
"""Singular values below this fraction of the largest count as zero, of columns of unit length."""


def common_coefficients(design: Design) -> Array:
    """Coefficients of one regression for all rows, the groups ignored: complete pooling.

    Parameters
    ----------
    design : Design

    Returns
    -------
    (p,) array
        In the order of ``design.coef``.
    """
    return _least_squares(design.X, design.y_less_offset, design.weights)[0]


def own_effects(solution: Solution, factor: GroupingFactor) -> Array:
    """Effects of each level from its own rows alone: no pooling.

    What else the model has (other coefficients, other grouping factors, offsets) is held at the
    fit's estimates, so that these numbers are comparable to those of ``fit.coef()``.

    Parameters
    ----------
    solution : Solution
    factor : GroupingFactor

    Returns
    -------
    (levels, q) array
        NaN for a level whose rows do not determine its effects.
    """
    design = solution.model.design
    pooled = pooled_effects(solution, factor)
    Z = factor.Z @ _plain(factor)
    rest = design.y - fitted(solution).to_numpy() + np.sum(Z * pooled[factor.codes], axis=1)
    order = np.argsort(factor.codes, kind="stable")
    ends = np.cumsum(np.bincount(factor.codes, minlength=len(factor.levels)))
    own = np.full(pooled.shape, np.nan)
    for level, rows in enumerate(np.split(order, ends[:-1])):
        weights = None if design.weights is None else design.weights[rows]
        effects, basis = _least_squares(Z[rows], rest[rows], weights)
        if len(basis) == len(effects):
            own[level] = effects
    return own


def pooled_effects(solution: Solution, factor: GroupingFactor) -> Array:
    """The model's effects of each level: beta plus u, by effect, whatever the stratum."""
    beta = dict(zip(solution.model.design.coef, solution.beta, strict=True))
    fixed = np.array([beta.get(effect, 0.0) for effect in dict.fromkeys(factor.plain)])
    u = solution.u[solution.model.design.factors.index(factor)]
    if factor.own is not None:
        u = np.where(factor.own, u, 0.0)
    return np.asarray(u @ _plain(factor) + fixed)


def _plain(factor: GroupingFactor) -> Array:
    """What takes effects to those of the same name in any stratum; the identity without strata."""
    names = np.array(list(dict.fromkeys(factor.plain)))
    return (np.array(factor.plain)[:, None] == names).astype(float)


def own_line(design: Design, rows: Array, X: Array) -> Array:
    """Predict from the regression of some rows by themselves.

    Parameters
    ----------
    design : Design
    rows : (n,) array of int
        Rows of one group.
    X : (m, p) array
        Fixed effects where to predict.

    Returns
    -------
    (m,) array
        NaN where these rows do not determine the value (it is not estimable).
    """
    weights = None if design.weights is None else design.weights[rows]
    coefficients, basis = _least_squares(design.X[rows], design.y_less_offset[rows], weights)
    outside = X - X @ basis.T @ basis
    estimable = np.linalg.norm(outside, axis=1) <= 1e-7 * np.linalg.norm(X, axis=1)
    return np.where(estimable, X @ coefficients, np.nan)


def _least_squares(X: Array, y: Array, weights: Array | None) -> tuple[Array, Array]:
    """Least-squares coefficients, and an orthonormal basis (rank, p) of the rows of X."""
    if weights is not None:
        root = np.sqrt(weights)
        X, y = X * root[:, None], y * root
    length = np.linalg.norm(X, axis=0)
    length[length == 0] = 1.0
    left, values, right = np.linalg.svd(X / length, full_matrices=False)
    rank = int(np.sum(values > _RANK * values.max(initial=0.0)))
    coefficients = right[:rank].T @ ((left[:, :rank].T @ y) / values[:rank]) / length
    # Rows of X lie in the span of right * length.
    basis = np.linalg.qr((right[:rank] * length).T)[0].T
    return coefficients, basis
