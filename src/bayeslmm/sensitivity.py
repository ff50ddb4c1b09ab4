"""How X'V⁻¹X depends on the variances and covariances of random effects and residuals, R = σ²I.

V is linear in them: its derivatives are the Z_f(I ⊗ E)Z_f' with E for an element of G_f, and V
itself stands for the one in σ², which is a combination of it and of these. So all that is needed
are Z'V⁻¹Z, Z'V⁻¹X and X'V⁻¹X, however many rows there are; random effects that no row connects,
such as those of different subjects, are taken one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg import block_diag, cho_factor, cho_solve
from scipy.sparse.csgraph import connected_components

from bayeslmm.errors import ArgumentError
from bayeslmm.kenward_roger import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design import Design, GroupingFactor
    from bayeslmm.frames import Array

__all__ = ["basis", "sensitivity"]

_LARGEST = 4000
"""The order of the dense matrices that are still computed."""


def basis(factor: GroupingFactor) -> list[Array]:
    """Symmetric matrices (q, q) of which G of a factor is a combination, for its parameters."""
    q = len(factor.effects)
    out = []
    for bar in factor.bars:
        effects = range(bar.start, bar.stop)
        if bar.structure == "id":
            pairs = [[(i, i) for i in effects]]
        elif bar.structure == "diag":
            pairs = [[(i, i)] for i in effects]
        elif bar.structure == "un":
            pairs = [[(i, j)] for i in effects for j in effects if j <= i]
        else:
            raise ArgumentError(
                f"Kenward-Roger's degrees of freedom are for unstructured, diagonal and identity "
                f"covariances of random effects; {bar.text} has another. Use df='satterthwaite'."
            )
        for own in pairs:
            E = np.zeros((q, q))
            for i, j in own:
                E[i, j] = E[j, i] = 1.0
            out.append(E)
    return out


def sensitivity(design: Design, X: Array, M: Sequence[Array], sigma: float) -> Sensitivity:
    """The sensitivity of a design with independent residuals.

    Parameters
    ----------
    design : Design
    X : (n, p) array
        Fixed effects, in any basis.
    M : sequence of (q, q) arrays, one a factor
        Relative factors, G = σ²MM'.
    sigma : float

    Raises
    ------
    ArgumentError
        If the random effects that are connected through rows are too many.
    """
    factors, (n, p) = design.factors, X.shape
    precision = (np.ones(n) if design.weights is None else design.weights) / sigma**2
    directions = [(f, E) for f, factor in enumerate(factors) for E in basis(factor)]
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
            root = block_diag(
                *(np.kron(np.eye(m), sigma * r) for m, r in zip(levels, M, strict=True) if m)
            )
            S, U = ZZ[columns][:, columns].toarray(), ZX[columns]
            half, across = S @ root, root.T @ U
            factor = cho_factor(np.eye(len(columns)) + root.T @ half)
            A = S - half @ cho_solve(factor, half.T)
            B = U - half @ cho_solve(factor, across)
            information -= across.T @ cho_solve(factor, across)
            ends = np.cumsum([0, *map(len, own)])
            places = [slice(*ends[f : f + 2]) for f in range(len(factors))]
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
    directions: list[tuple[int, Array]],
    places: list[slice],
    levels: list[int],
) -> None:
    """Add what some random effects contribute; A is Z'V⁻¹Z and B is Z'V⁻¹X."""
    p, k = B.shape[1], len(directions)
    AE, EB = [], []
    for i, (f, E) in enumerate(directions):
        columns = A[:, places[f]].reshape(len(A), levels[f], len(E))
        AE.append((columns @ E).reshape(len(A), -1))
        EB.append((E @ B[places[f]].reshape(levels[f], len(E), p)).reshape(-1, p))
        P[i] += B[places[f]].T @ EB[i]
        trace = np.trace(AE[i][places[f]])
        traces[i, k] += trace
        traces[k, i] += trace
    for i, (f, _) in enumerate(directions):
        for j, (g, _) in enumerate(directions):
            traces[i, j] += np.sum(AE[i][places[g]] * AE[j][places[f]].T)
            Q[i, j] += EB[i].T @ A[places[f], places[g]] @ EB[j]


def _full(factor: GroupingFactor) -> sparse.csr_array:
    """Z with a column for each element of u: by level, within it by effect."""
    n, q = factor.Z.shape
    columns = factor.codes[:, None].astype(np.int64) * q + np.arange(q)
    rows = np.repeat(np.arange(n), q)
    shape = (n, len(factor.levels) * q)
    return sparse.csr_array((factor.Z.ravel(), (rows, columns.ravel())), shape=shape)


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
