"""`ResidualRows`: what a structure of R needs to know of each row of data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayeslmm.covariance.correlations.base import Correlation

__all__ = ["ResidualRows"]


@dataclass(frozen=True, eq=False)
class ResidualRows:
    """What a structure for R needs to know of each row of data.

    Attributes
    ----------
    correlation : Correlation
    block : (n,) int array
        Rows of one block are correlated.
    point : (n,) int array
        The position of the row's occasion among all of them.
    place : (n, d) array
        Its time or coordinates.
    stratum : (n,) int array
        Which set of correlation parameters holds for its block.
    sigma : (n,) int array
        Which residual standard deviation is the row's.
    covariates : (n, m) array
        The logarithm of the row's standard deviation is linear in these.
    n_points, n_strata, n_sigmas, n_corr : int
        Occasions; sets of correlation parameters; residual standard deviations; correlation
        parameters of a set.
    known : (n_points, n_points) array
        The correlations of all occasions, where they are known; empty otherwise.
    """

    correlation: Correlation
    block: np.ndarray
    point: np.ndarray
    place: np.ndarray
    stratum: np.ndarray
    sigma: np.ndarray
    covariates: np.ndarray
    n_points: int
    n_strata: int
    n_sigmas: int
    n_corr: int
    known: np.ndarray

    def between(self, rows: np.ndarray) -> np.ndarray:
        """What the correlations of rows (..., t) depend on but parameters and positions: distances
        (..., t, t), or the correlations themselves where they are known.
        """
        if len(self.known):
            point = self.point[rows]
            return self.known[point[..., :, None], point[..., None, :]]
        place = self.place[rows]
        apart = place[..., :, None, :] - place[..., None, :, :]
        return np.sqrt((apart**2).sum(axis=-1))

    @property
    def order(self) -> np.ndarray:
        """The rows by block, and within it by occasion or place."""
        return np.lexsort((*self.place.T[::-1], self.point, self.block))

    @property
    def n_parameters(self) -> int:
        """The number of parameters of R."""
        return self.n_strata * self.n_corr + self.covariates.shape[1] + self.n_sigmas
