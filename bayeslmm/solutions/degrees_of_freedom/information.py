"""How X'V⁻¹X depends on the covariances of random effects and on the residual variance, R = σ²I.

The derivatives of V are the Z_f(I ⊗ E)Z_f' with E for a change of G_f, and V itself stands for the
one in σ², which is a combination of it and of these. So all that is needed are Z'V⁻¹Z, Z'V⁻¹X and
X'V⁻¹X, however many rows there are; random effects that no row connects, such as those of different
subjects, are taken one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse.csgraph import connected_components

from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.degrees_of_freedom.kenward_roger import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.support.arrays import Array

__all__ = ["sensitivity"]

_LARGEST = 5000
"""The order of the dense matrices that are still computed."""


def sensitivity(
    design: Design,
    X: Array,
    M: Sequence[Array],
    sigma: float,
    directions: Sequence[tuple[int, Array]],
) -> Sensitivity:
    """The sensitivity of a design with independent residuals.

    Parameters
    ----------
    design : Design
    X : (n, p) array
        Fixed effects, in any basis.
    M : sequence of (q, q) arrays, one a factor
        Relative factors, G = σ²MM'.
    sigma : float
    directions : sequence of (int, (q, q) array)
        Changes of G, by the position of the factor; G is among their combinations.

    Raises
    ------
    ArgumentError
        If the random effects that are connected through rows are too many.
    """
    factors, (n, p) = design.factors, X.shape
    precision = (np.ones(n) if design.weights is None else design.weights) / sigma**2
    k = len(directions)
    information = X.T @ (precision[:, None] * X)
    P, Q, traces = np.zeros((k + 1, p, p)), np.zeros((k + 1, k + 1, p, p)), np.zeros((k + 1, k + 1))
    if factors:
        Z = sparse.hstack([_full(factor) for factor in factors], format="csr")
        weighted = Z.T.multiply(precision).tocsr()
        ZZ, ZX = (weighted @ Z).tocsr(), weighted @ X
        owner = np.concatenate(
            [np.full(len(f.levels) * len(f.effects), i) for i, f in enumerate(factors)]
        )
        for columns in _components(ZZ, factors):
            own = [columns[owner[columns] == f] for f in range(len(factors))]
            levels = [len(c) // len(f.effects) for c, f in zip(own, factors, strict=True)]
            ends = np.cumsum([0, *map(len, own)])
            places = [slice(*ends[f : f + 2]) for f in range(len(factors))]
            roots = [sigma * r for r in M]
            S, U = ZZ[columns][:, columns].toarray(), ZX[columns]
            half = _by_level(S, roots, places, levels)
            inner = _by_level(half.T, roots, places, levels)
            inner[np.diag_indices_from(inner)] += 1.0
            lower = cholesky(inner, lower=True, overwrite_a=True)
            half = solve_triangular(lower, half.T, lower=True, overwrite_b=True)
            across = solve_triangular(lower, _by_level(U.T, roots, places, levels).T, lower=True)
            A = S - half.T @ half
            B = U - half.T @ across
            information -= across.T @ across
            _add(P, Q, traces, A, B, directions, places, levels)
    # the derivative k is V itself
    P[k] = Q[k, k] = information
    Q[k, :k], Q[:k, k] = P[:k], P[:k]
    traces[k, k] = n
    return Sensitivity(information, P, Q, traces)


def _add(
    P: Array,
    Q: Array,
    traces: Array,
    A: Array,
    B: Array,
    directions: Sequence[tuple[int, Array]],
    places: list[slice],
    levels: list[int],
) -> None:
    """Add what some random effects contribute; A is Z'V⁻¹Z and B is Z'V⁻¹X."""
    p, k = B.shape[1], len(directions)
    AE, EB = [], []
    for i, (f, E) in enumerate(directions):
        AE.append(_by_level(A, [E], [places[f]], [levels[f]]))
        EB.append((E @ B[places[f]].reshape(levels[f], len(E), p)).reshape(-1, p))
        P[i] += B[places[f]].T @ EB[i]
        trace = np.trace(AE[i][places[f]])
        traces[i, k] += trace
        traces[k, i] += trace
    for i, (f, _) in enumerate(directions):
        for j, (g, _) in enumerate(directions):
            traces[i, j] += np.sum(AE[i][places[g]] * AE[j][places[f]].T)
            Q[i, j] += EB[i].T @ A[places[f], places[g]] @ EB[j]


def _by_level(A: Array, blocks: Sequence[Array], places: list[slice], levels: list[int]) -> Array:
    """The product of A and the matrix with a factor's block for each of its levels."""
    parts = [
        (A[:, place].reshape(len(A), m, len(block)) @ block).reshape(len(A), -1)
        for place, m, block in zip(places, levels, blocks, strict=True)
    ]
    return np.concatenate(parts, axis=1)


def _full(factor: GroupingFactor) -> sparse.csr_array:
    """Z with a column for each element of u: by level, within it by effect. For levels that are
    related u is that of independent ones, of which theirs are made.
    """
    n, q = factor.Z.shape
    columns = factor.codes[:, None].astype(np.int64) * q + np.arange(q)
    rows = np.repeat(np.arange(n), q)
    shape = (n, len(factor.levels) * q)
    Z = sparse.csr_array((factor.Z.ravel(), (rows, columns.ravel())), shape=shape)
    if factor.related is None:
        return Z
    return sparse.csr_array(Z @ sparse.kron(factor.related.root, sparse.eye_array(q)))


def _components(ZZ: sparse.csr_array, factors: Sequence[GroupingFactor]) -> list[Array]:
    """Columns of Z that rows connect, in order."""
    together = [
        sparse.kron(sparse.eye_array(len(f.levels)), np.ones((len(f.effects),) * 2))
        for f in factors
    ]
    graph = abs(ZZ) + sparse.block_diag(together, format="csr")
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    if counts.max() > _LARGEST:
        raise ArgumentError(
            f"Kenward-Roger's degrees of freedom need dense matrices of the order of the random "
            f"effects that are connected by rows, {counts.max()} here; up to {_LARGEST} are "
            "computed. Use df='satterthwaite'."
        )
    return np.split(order, np.cumsum(counts)[:-1])
