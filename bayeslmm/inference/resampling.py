"""Other data as a fit has them: simulated, from resampled effects and residuals, or of resampled
groups. Each is a function from random numbers to equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.effects.residuals import residuals
from bayeslmm.equations.equations import Equations
from bayeslmm.equations.responses import of_response
from bayeslmm.errors import ArgumentError

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.residuals import Residuals
    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.support.arrays import Array

__all__ = ["Cases", "Parametric", "Residual"]


@dataclass(frozen=True, eq=False)
class Parametric:
    """Responses simulated at the estimates.

    Attributes
    ----------
    design : Design
    equations : Equations
    mean : (n,) array
        Xβ, without the offset, which the equations do not count.
    roots : tuple of (q, q) arrays
        L of each factor, with G = LL'.
    theta : (k,) array
    """

    design: Design
    equations: Equations
    mean: Array
    roots: tuple[Array, ...]
    theta: Array

    @classmethod
    def of(cls, solution: LikelihoodSolution) -> Parametric:
        """From the estimates of a fit."""
        design, sigma = solution.model.design, solution.optimum.sigma
        roots = tuple(sigma * m for m in solution.M)
        mean = design.X @ solution.beta
        return cls(design, solution.model.equations, mean, roots, solution.optimum.theta)

    def __call__(self, rng: np.random.Generator) -> Equations:
        """The equations of other data."""
        y = self.mean.copy()
        for factor, root in zip(self.design.factors, self.roots, strict=True):
            u = factor.standard(rng) @ root.T
            y += np.einsum("ij,ij->i", factor.Z, u[factor.codes])
        e = self.equations.residual_noise(self.theta, rng.standard_normal(len(y)))
        y += self.theta[-1] * (e if self.design.weights is None else e / self.design.weights**0.5)
        return of_response(self.equations, self.design, y)


@dataclass(frozen=True, eq=False)
class Residual:
    """Responses from predicted effects and residuals, drawn with replacement.

    Both are first centred and transformed to have the covariance that was estimated, which they
    fall short of (Carpenter, Goldstein and Rasbash 2003, Applied Statistics 52, 431-443). Residuals
    that R correlates are made independent before they are drawn, and correlated again.

    Attributes
    ----------
    design : Design
    equations : Equations
    mean : (n,) array
    effects : tuple of (levels, q) arrays
    residuals : (n,) array
        Independent, for a weight of one, and relative to σ.
    theta : (k,) array
    """

    design: Design
    equations: Equations
    mean: Array
    effects: tuple[Array, ...]
    residuals: Array
    theta: Array

    @classmethod
    def of(cls, solution: LikelihoodSolution) -> Residual:
        """From the predictions of a fit."""
        design, equations, sigma = (
            solution.model.design,
            solution.model.equations,
            solution.optimum.sigma,
        )
        _check_independent(design, "residual")
        effects = tuple(
            _with_covariance(u, (sigma * m) @ (sigma * m).T)
            for u, m in zip(solution.u, solution.M, strict=True)
        )
        independent = residuals(solution, "normalized", marginal=False)[:, None]
        independent = _with_covariance(independent, np.ones((1, 1)))[:, 0]
        mean = design.X @ solution.beta
        return cls(design, equations, mean, effects, independent, solution.optimum.theta)

    def __call__(self, rng: np.random.Generator) -> Equations:
        """The equations of other data."""
        y = self.mean.copy()
        for factor, u in zip(self.design.factors, self.effects, strict=True):
            drawn = u[rng.integers(len(u), size=len(u))]
            y += np.einsum("ij,ij->i", factor.Z, drawn[factor.codes])
        e = self.residuals[rng.integers(len(y), size=len(y))]
        e = self.theta[-1] * self.equations.residual_noise(self.theta, e)
        y += e if self.design.weights is None else e / self.design.weights**0.5
        return of_response(self.equations, self.design, y)


def _check_independent(design: Design, kind: str) -> None:
    related = [factor.name for factor in design.factors if factor.related is not None]
    if related:
        raise ArgumentError(
            f"kind={kind!r} draws levels as if they were independent, and those of {related[0]!r} "
            "have a known relationship; use kind='parametric'."
        )
    stratified = [factor.name for factor in design.factors if factor.own is not None]
    if stratified:
        raise ArgumentError(
            f"kind={kind!r} draws levels as if they were alike, and the strata of "
            f"{stratified[0]!r} have covariances of their own; use kind='parametric'."
        )


def _with_covariance(values: Array, covariance: Array) -> Array:
    """Centred rows, transformed to have a covariance matrix."""
    values = values - values.mean(axis=0)
    size, vectors = np.linalg.eigh(values.T @ values / len(values))
    held = size > 1e-12 * max(size[-1], np.finfo(float).tiny)
    whiten = (vectors[:, held] / np.sqrt(size[held])) @ vectors[:, held].T
    size, vectors = np.linalg.eigh(covariance)
    return np.asarray(values @ whiten @ (vectors * np.sqrt(np.maximum(size, 0.0))) @ vectors.T)


@dataclass(frozen=True, eq=False)
class Cases:
    """Data of groups drawn with replacement, all rows of a group together; without groups, of rows.

    Attributes
    ----------
    design : Design
    rows : tuple of int arrays
        Those of each group.
    """

    design: Design
    rows: tuple[Array, ...]

    @classmethod
    def of(cls, solution: LikelihoodSolution) -> Cases:
        """From the data of a fit."""
        design = solution.model.design
        _check_independent(design, "cases")
        n, own = len(design.y), design.residuals
        groups = {repr(factor.name): factor.codes for factor in design.factors}
        if own is not None and not own.structure.correlation.independent:
            groups["the subjects of R"] = own.rows.block
        if not groups:
            return cls(design, tuple(np.arange(n)[:, None]))
        sizes = {name: len(np.unique(codes)) for name, codes in groups.items()}
        outer = min(sizes, key=lambda name: sizes[name])
        for name, codes in groups.items():
            pairs = len(np.unique(codes.astype(np.int64) * n + groups[outer]))
            if pairs > sizes[name]:
                raise ArgumentError(
                    f"kind='cases' draws levels of one factor in which the others are nested, and "
                    f"{name} is crossed with {outer}; use kind='parametric' or 'residual'."
                )
        order = np.argsort(groups[outer], kind="stable")
        ends = np.flatnonzero(np.diff(groups[outer][order])) + 1
        return cls(design, tuple(np.split(order, ends)))

    def __call__(self, rng: np.random.Generator) -> Equations:
        """The equations of other data."""
        drawn = [self.rows[i] for i in rng.integers(len(self.rows), size=len(self.rows))]
        rows = np.concatenate(drawn)
        copy = np.repeat(np.arange(len(drawn)), [len(own) for own in drawn])
        design = self.design
        X = np.ascontiguousarray(design.X[rows])
        if np.linalg.matrix_rank(X) < X.shape[1]:
            raise ArgumentError("the rows drawn do not determine the coefficients")
        other = replace(
            design,
            y=design.y[rows],
            X=X,
            weights=None if design.weights is None else design.weights[rows],
            offset=None if design.offset is None else design.offset[rows],
            factors=tuple(_drawn(factor, rows, copy) for factor in design.factors),
            residuals=None if design.residuals is None else _drawn_R(design.residuals, rows, copy),
        )
        return Equations.of(other)


def _drawn(factor: GroupingFactor, rows: Array, copy: Array) -> GroupingFactor:
    """A factor in the rows drawn, where the same level drawn again is another level."""
    keys = copy * len(factor.levels) + factor.codes[rows].astype(np.int64)
    found, codes = np.unique(keys, return_inverse=True)
    return replace(
        factor,
        levels=tuple(map(str, found)),
        codes=codes.astype(np.int32),
        Z=np.ascontiguousarray(factor.Z[rows]),
    )


def _drawn_R(residuals: Residuals, rows: Array, copy: Array) -> Residuals:
    """The structure of R in the rows drawn."""
    own = residuals.rows
    _, block = np.unique(copy * (own.block.max() + 1) + own.block[rows], return_inverse=True)
    if own.correlation.independent:
        block = np.arange(len(rows))
    drawn = replace(
        own,
        block=block,
        point=own.point[rows],
        place=own.place[rows],
        stratum=own.stratum[rows],
        sigma=own.sigma[rows],
        covariates=own.covariates[rows],
    )
    if len(np.unique(drawn.sigma)) < own.n_sigmas or (
        own.n_strata > 1 and len(np.unique(drawn.stratum)) < own.n_strata
    ):
        raise ArgumentError("the rows drawn do not determine the parameters of R")
    return replace(residuals, rows=drawn)
