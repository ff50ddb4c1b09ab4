"""How X'V⁻¹X depends on the parameters of V with a structured R: rows that are correlated with each
other, directly or through random effects, are taken together, with dense matrices.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bayeslmm.equations.connected_rows import connected_rows, residual_pattern
from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.degrees_of_freedom.kenward_roger import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.support.arrays import Array

__all__ = ["structured_sensitivity"]

_LARGEST = 2000
"""The number of rows that are correlated with each other."""


def structured_sensitivity(
    design: Design,
    X: Array,
    equations: Equations,
    theta: Array,
    G: Sequence[Array],
    directions: Sequence[tuple[int, Array]],
    changes: Callable[[Callable[[Array], Array]], Array],
) -> Sensitivity:
    """The sensitivity of a design with structured residuals.

    Parameters
    ----------
    design : Design
    X : (n, p) array
        Fixed effects, in any basis.
    equations : Equations
    theta : (k,) array
    G : sequence of (q, q) arrays, one a factor
    directions : sequence of (int, (q, q) array)
        Changes of G, by the position of the factor.
    changes : callable
        Given the R of some rows as a function of theta, an (m, n, n) array of changes of it.

    Raises
    ------
    ArgumentError
        If too many rows are correlated with each other.
    """
    own = equations.residuals
    assert own is not None
    weights = np.ones(len(X)) if design.weights is None else design.weights
    known: dict[bytes, tuple[Array, Array]] = {}
    components = connected_rows(design)
    largest = max(map(len, components))
    if largest > _LARGEST:
        raise ArgumentError(
            f"Kenward-Roger's degrees of freedom with a structure for R need dense matrices of the "
            f"order of the rows that are correlated with each other, {largest} here; up to "
            f"{_LARGEST} are computed. Use df='satterthwaite'."
        )
    for rows in components:
        key = residual_pattern(own, rows)
        if key not in known:
            R = partial(_residual_covariance, equations, rows)
            known[key] = R(theta), changes(R)
    k, p = len(directions) + len(next(iter(known.values()))[1]), X.shape[1]
    information, P = np.zeros((p, p)), np.zeros((k, p, p))
    Q, traces = np.zeros((k, k, p, p)), np.zeros((k, k))
    for rows in components:
        key = residual_pattern(own, rows)
        scale = 1 / np.sqrt(weights[rows])
        V, V_i = (part * np.outer(scale, scale) for part in known[key])
        Z = [(factor.Z[rows], factor.between(rows)) for factor in design.factors]
        for f, own_G in enumerate(G):
            V += _between(*Z[f], own_G)
        moves = np.array([_between(*Z[f], E) for f, E in directions])
        V_i = np.concatenate([moves.reshape(-1, *V.shape), V_i])
        inverse = cho_solve(cho_factor(V), np.eye(len(rows)))
        solved = inverse @ X[rows]
        information += X[rows].T @ solved
        VV_i, V_iVX = inverse @ V_i, V_i @ solved
        P += solved.T @ V_iVX
        Q += np.tensordot(V_iVX, inverse @ V_iVX, axes=([1], [1])).transpose(0, 2, 1, 3)
        traces += VV_i.reshape(k, -1) @ VV_i.transpose(0, 2, 1).reshape(k, -1).T
    return Sensitivity(information, P, Q, traces)


def _residual_covariance(equations: Equations, rows: Array, theta: Array) -> Array:
    """R of some rows, weights aside."""
    return np.asarray(theta[-1] ** 2 * equations.residual_covariance(theta, rows))


def _between(Z: Array, K: Array, G: Array) -> Array:
    """ZGZ' of some rows, of levels with the relationship K."""
    return K * (Z @ G @ Z.T)
