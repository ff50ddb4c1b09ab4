"""Variances of residuals, which R can make depend on more than sigma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.residual_rows import ResidualRows

__all__ = ["Noise"]


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """Residuals of m rows.

    Attributes
    ----------
    base : (m,) array
        The variance in units of σ² but for R's structure: 1/weight, or 0 where no residual is
        added.
    sigma : (m,) int array
        Which of the residual standard deviations is the row's.
    covariates : (m, c) array
        Whose sums with the powers are added to the logarithm of the standard deviation.
    n_sigmas : int
        How many residual standard deviations there are.
    """

    base: Array
    sigma: Array
    covariates: Array
    n_sigmas: int

    @classmethod
    def plain(cls, base: Array) -> Self:
        """Residuals whose variance is in proportion to σ²."""
        m = len(base)
        return cls(base, np.zeros(m, dtype=np.int64), np.empty((m, 0)), 1)

    @classmethod
    def of_rows(cls, base: Array, rows: ResidualRows | None) -> Self:
        """Residuals of the rows that were fitted."""
        if rows is None:
            return cls.plain(base)
        return cls(base, rows.sigma, rows.covariates, rows.n_sigmas)

    def rows(self, rows: slice) -> Noise:
        """Some of the residuals."""
        return Noise(self.base[rows], self.sigma[rows], self.covariates[rows], self.n_sigmas)

    def relative(self, theta: Array) -> Array:
        """Variances in units of σ², at one or many theta.

        Parameters
        ----------
        theta : (..., k) array

        Returns
        -------
        (..., m) array
        """
        variance = np.broadcast_to(self.base, (*theta.shape[:-1], len(self.base))).copy()
        if self.n_sigmas > 1:
            sigmas = theta[..., -self.n_sigmas :]
            variance *= (sigmas / sigmas[..., -1:])[..., self.sigma] ** 2
        c = self.covariates.shape[1]
        if not c:
            return variance
        powers = theta[..., -self.n_sigmas - c : -self.n_sigmas]
        return variance * np.exp(2 * powers @ self.covariates.T)
