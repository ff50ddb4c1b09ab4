"""Other data as a fit has them: simulated, from resampled effects and residuals, or of resampled
groups. Each is a function from random numbers to equations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.equations import Equations
from bayeslmm.errors import ArgumentError
from bayeslmm.responses import of_response

if TYPE_CHECKING:
    from bayeslmm.design import Design, GroupingFactor
    from bayeslmm.frames import Array
    from bayeslmm.likelihood_fit import LikelihoodFit

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
    def of(cls, fit: LikelihoodFit) -> Parametric:
        """From the estimates of a fit."""
        design, sigma = fit.model.design, fit.optimum.sigma
        roots = tuple(sigma * m for m in fit._M)
        mean = design.X @ fit._beta
        return cls(design, fit.model.equations, mean, roots, fit.optimum.theta)

    def __call__(self, rng: np.random.Generator) -> Equations:
        """The equations of other data."""
        y = self.mean.copy()
        for factor, root in zip(self.design.factors, self.roots, strict=True):
            u = rng.standard_normal((len(factor.levels), len(root))) @ root.T
            y += np.einsum("ij,ij->i", factor.Z, u[factor.codes])
        e = self.equations.residual_noise(self.theta, rng.standard_normal(len(y)))
        y += self.theta[-1] * (e if self.design.weights is None else e / self.design.weights**0.5)
        return of_response(self.equations, self.design, y)


@dataclass(frozen=True, eq=False)
class Residual:
    """Responses from predicted effects and residuals, drawn with replacement.

    Both are first centred and transformed to have the covariance that was estimated, which they
    fall short of (Carpenter, Goldstein and Rasbash 2003, Applied Statistics 52, 431-443).

    Attributes
    ----------
    design : Design
    equations : Equations
    mean : (n,) array
    effects : tuple of (levels, q) arrays
    residuals : (n,) array
        For a weight of one.
    """

    design: Design
    equations: Equations
    mean: Array
    effects: tuple[Array, ...]
    residuals: Array

    @classmethod
    def of(cls, fit: LikelihoodFit) -> Residual:
        """From the predictions of a fit."""
        design = fit.model.design
        if design.residuals is not None:
            raise ArgumentError(
                "kind='residual' draws residuals as if they were independent, and R has a "
                "structure here; use kind='parametric'."
            )
        effects = tuple(
            _with_covariance(u, (fit.optimum.sigma * m) @ (fit.optimum.sigma * m).T)
            for u, m in zip(fit._u, fit._M, strict=True)
        )
        residuals = fit.residuals("pearson").to_numpy()[:, None]
        residuals = _with_covariance(residuals, np.full((1, 1), fit.optimum.sigma**2))[:, 0]
        mean = design.X @ fit._beta
        return cls(design, fit.model.equations, mean, effects, residuals)

    def __call__(self, rng: np.random.Generator) -> Equations:
        """The equations of other data."""
        y = self.mean.copy()
        for factor, u in zip(self.design.factors, self.effects, strict=True):
            drawn = u[rng.integers(len(u), size=len(u))]
            y += np.einsum("ij,ij->i", factor.Z, drawn[factor.codes])
        e = self.residuals[rng.integers(len(y), size=len(y))]
        y += e if self.design.weights is None else e / self.design.weights**0.5
        return of_response(self.equations, self.design, y)


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
    def of(cls, fit: LikelihoodFit) -> Cases:
        """From the data of a fit."""
        design = fit.model.design
        if design.residuals is not None:
            raise ArgumentError(
                "kind='cases' is for independent residuals, and R has a structure here; use "
                "kind='parametric'."
            )
        n = len(design.y)
        if not design.factors:
            return cls(design, tuple(np.arange(n)[:, None]))
        outer = min(design.factors, key=lambda factor: len(factor.levels))
        for factor in design.factors:
            pairs = len(np.unique(factor.codes.astype(np.int64) * n + outer.codes))
            if pairs > len(factor.levels):
                raise ArgumentError(
                    f"kind='cases' draws levels of one factor in which the others are nested, and "
                    f"{factor.name!r} is crossed with {outer.name!r}; use kind='parametric' or "
                    "'residual'."
                )
        order = np.argsort(outer.codes, kind="stable")
        counts = np.bincount(outer.codes, minlength=len(outer.levels))
        return cls(design, tuple(np.split(order, np.cumsum(counts)[:-1])))

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
