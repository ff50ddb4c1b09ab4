"""Single rows of data in the mixed-model equations: L⁻¹w for rows w of W = [X Z], or of R⁻¹W.

L is the Cholesky factor of the equations in the unknowns (b, gamma), u = Mb and beta = beta_ols +
r⁻¹ gamma, in units of σ²; gamma comes last. Inner products of such vectors are what the inverse of
the equations has between the rows, at the price of one forward substitution for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.linalg import solve_triangular

from bayeslmm.equations import kernels
from bayeslmm.equations.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.equations.equations import Equations
    from bayeslmm.support.arrays import Array

__all__ = ["Factor", "Halves", "Rows", "noise_precision"]


def noise_precision(design: Design, equations: Equations, theta: Array) -> sparse.csr_array:
    """σ²R⁻¹ at theta, (n, n)."""
    w = np.ones(len(design.y)) if design.weights is None else design.weights
    own, n = equations.residuals, len(design.y)
    if own is None:
        return sparse.diags_array(w, format="csr")
    order, known = own.order, {}
    starts = np.flatnonzero(np.diff(own.block[order], prepend=-1))
    i, j, values = [], [], []
    for rows in np.split(order, starts[1:]):
        key = (own.stratum[rows[0]], *own.point[rows], *own.place[rows].ravel())
        key = (*key, *own.sigma[rows], *own.covariates[rows].ravel())
        if key not in known:
            known[key] = np.linalg.inv(equations.residual_covariance(theta, rows))
        size = np.sqrt(w[rows])
        i.append(np.repeat(rows, len(rows)))
        j.append(np.tile(rows, len(rows)))
        values.append((known[key] * np.outer(size, size)).ravel())
    places = np.concatenate(i), np.concatenate(j)
    return sparse.csr_array((np.concatenate(values), places), shape=(n, n))


@dataclass(frozen=True, eq=False)
class Rows:
    """Linear functions of (b, gamma), of which each touches one level of a factor of the chain.

    Attributes
    ----------
    chain : tuple of (n, q) arrays
        Weights on the effects of that level, a stage of the chain each.
    levels : tuple of (n,) int arrays
        Which level it is.
    root : (n, nr) sparse array
        Weights on the effects of the other factors.
    basis : (n, p) array
        Weights on gamma.
    """

    chain: tuple[Array, ...]
    levels: tuple[Array, ...]
    root: sparse.csr_array
    basis: Array

    def within_blocks(self, Q: sparse.csr_array) -> Rows:
        """Q times the rows, where Q is zero between rows of different levels of the chain."""
        chain = tuple(Q @ part for part in self.chain)
        return Rows(chain, self.levels, (Q @ self.root).tocsr(), Q @ self.basis)


@dataclass(frozen=True, eq=False)
class Halves:
    """L⁻¹w of m functions.

    Attributes
    ----------
    chain : tuple of (m, q) arrays
    levels : tuple of (m,) int arrays
        As in `Rows`: other levels have zeros.
    rest : (m, nr) array
    gamma : (m, p) array
    """

    chain: tuple[Array, ...]
    levels: tuple[Array, ...]
    rest: Array
    gamma: Array

    def squares(self) -> Array:
        """Squared lengths without gamma; (m,)."""
        total = np.einsum("ij,ij->i", self.rest, self.rest)
        for part in self.chain:
            total += np.einsum("ij,ij->i", part, part)
        return total

    def products(self, rows: slice) -> Array:
        """Inner products between some of the functions, without gamma."""
        rest = self.rest[rows]
        out = rest @ rest.T
        for part, levels in zip(self.chain, self.levels, strict=True):
            own, level = part[rows], levels[rows]
            out += np.where(level[:, None] == level, own @ own.T, 0.0)
        return out

    def times(self, others: Halves) -> Array:
        """The inner product of each function with its namesake, gamma included; (m,)."""
        total = np.einsum("ij,ij->i", self.rest, others.rest)
        total += np.einsum("ij,ij->i", self.gamma, others.gamma)
        for part, other in zip(self.chain, others.chain, strict=True):
            total += np.einsum("ij,ij->i", part, other)
        return total


@dataclass(frozen=True, eq=False)
class Factor:
    """The Cholesky factor L of the equations at given relative factors and parameters of R.

    Attributes
    ----------
    factors : tuple of GroupingFactor
    system : System
    M : sequence of (q, q) arrays
    panel : array
        Of the chain.
    lower : (nr + p, nr + p) array
        Of the root.
    couplings : tuple of (levels * q, nr) sparse arrays
        For each stage of the chain, the part of L below its levels in the root.
    """

    factors: Sequence[GroupingFactor]
    system: System
    M: Sequence[Array]
    panel: Array
    lower: Array
    couplings: tuple[sparse.csr_array, ...]

    @classmethod
    def at(cls, M: Array, given: Equations) -> Factor:
        """Factorise equations in which R is given."""
        system = given.packed.system
        panel, root = kernels.factor_at(M, given.packed)
        size = system.counts.root_variables + given.p
        stages = range(system.counts.stages)
        couplings = tuple(_coupling(system, panel, s) for s in stages)
        lower = root[:size, :size]
        return cls(given.factors, system, given.split_M(M), panel, lower, couplings)

    @property
    def n_root(self) -> int:
        """The number of variables of the root, gamma aside."""
        return self.system.counts.root_variables

    @property
    def gamma(self) -> Array:
        """The part of L (p, p) that belongs to gamma."""
        return self.lower[self.n_root :, self.n_root :]

    @property
    def to_beta(self) -> Array:
        """r⁻¹ (p, p)."""
        p = self.system.counts.p
        return self.system.rotation_inverse.reshape(p, p)

    def rows_of(self, design: Design) -> Rows:
        """The rows of W of a design."""
        n = len(design.y)
        chain, levels = [], []
        for f in self.system.stage_factor:
            factor = self.factors[f]
            chain.append(factor.Z @ self.M[f])
            levels.append(factor.codes.astype(np.int64))
        columns, values = [np.empty((n, 0), dtype=np.int64)], [np.empty((n, 0))]
        for f, factor in enumerate(self.factors):
            first, last = self.system.root_start[f], self.system.root_start[f + 1]
            if first < last:
                start = self.system.root_var[first + factor.codes]
                columns.append(start[:, None] + np.arange(factor.Z.shape[1]))
                values.append(factor.Z @ self.M[f])
        column, value = np.hstack(columns), np.hstack(values)
        at = np.repeat(np.arange(n), column.shape[1])
        shape = (n, self.n_root)
        root = sparse.csr_array((value.ravel(), (at, column.ravel())), shape=shape)
        return Rows(tuple(chain), tuple(levels), root, design.X @ self.to_beta)

    def half_solve(self, rows: Rows, which: slice | Array) -> Halves:
        """L⁻¹w of some of the functions."""
        system, p = self.system, self.system.counts.p
        sizes = [int(system.q[f]) for f in system.stage_factor]
        work = [part[which].copy() for part in rows.chain]
        levels = tuple(level[which] for level in rows.levels)
        root, basis = rows.root[which].toarray(), rows.basis[which].copy()
        for s, (q, level) in enumerate(zip(sizes, levels, strict=True)):
            at = system.panel_start[system.stage_start[s] + level]
            later = sum(sizes[s:])
            below = self.panel[at[:, None] + np.arange(later * q)].reshape(-1, later, q)
            for j in range(q):
                work[s][:, j] -= np.einsum("ik,ik->i", below[:, j, :j], work[s][:, :j])
                work[s][:, j] /= below[:, j, j]
            first = q
            for t in range(s + 1, len(sizes)):
                part = below[:, first : first + sizes[t]]
                work[t] -= np.einsum("ihj,ij->ih", part, work[s])
                first += sizes[t]
            end = system.panel_start[system.stage_start[s] + level + 1]
            border = self.panel[(end - (p + 1) * q)[:, None] + np.arange(p * q)].reshape(-1, p, q)
            basis -= np.einsum("ihj,ij->ih", border, work[s])
            if self.couplings[s].nnz:
                columns = level[:, None] * q + np.arange(q)
                places = np.repeat(np.arange(len(level)), q), columns.ravel()
                shape = (len(level), self.couplings[s].shape[0])
                root -= sparse.csr_array((work[s].ravel(), places), shape=shape) @ self.couplings[s]
        both = np.hstack([root, basis])
        solved = solve_triangular(self.lower, both.T, lower=True, check_finite=False).T
        return Halves(tuple(work), levels, solved[:, : self.n_root], solved[:, self.n_root :])


def _coupling(system: System, panel: Array, s: int) -> sparse.csr_array:
    """The part of L below the levels of a stage in the root, (levels * q, nr)."""
    f = int(system.stage_factor[s])
    q, levels = int(system.q[f]), int(system.n_levels[f])
    nodes = system.stage_start[s] + np.arange(levels)
    met = system.root_ptr[nodes + 1] - system.root_ptr[nodes]
    root = system.root_list[system.root_ptr[nodes[0]] : system.root_ptr[nodes[-1] + 1]]
    width = system.q[system.root_factor[root]] if len(root) else np.empty(0, dtype=np.int64)
    node = np.repeat(np.repeat(np.arange(levels), met), width)
    variable = np.repeat(system.root_var[root], width) + _ranges(width)
    below = sum(int(system.q[g]) for g in system.stage_factor[s:])
    place = _ranges(np.bincount(node, minlength=levels))  # among the variables that a level meets
    at = system.panel_start[nodes][node] + (below + place) * q
    values = panel[at[:, None] + np.arange(q)]
    rows = node[:, None] * q + np.arange(q)
    shape = (levels * q, system.counts.root_variables)
    columns = np.repeat(variable, q)
    return sparse.csr_array((values.ravel(), (rows.ravel(), columns)), shape=shape)


def _ranges(counts: Array) -> Array:
    """0, 1, ... up to each count, one after the other."""
    ends = np.cumsum(counts)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - counts, counts)
