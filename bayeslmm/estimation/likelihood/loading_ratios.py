"""Coordinates of a search in which loadings are ratios, with free signs: see `loadings`.

The length of a row means nothing there, so that a Hessian in them is singular: they are for a
descent, which the ordinary coordinates go on from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayeslmm.covariance.correlations import loadings
from bayeslmm.estimation.likelihood.free_coordinates import FreeCoordinates

__all__ = ["LoadingRatios"]

_OTHERS = 7
"""Starts besides the ordinary one."""


@dataclass(frozen=True, eq=False)
class LoadingRatios(FreeCoordinates):
    """The coordinates x, those of loadings replaced by the ratios' first part, and then the roots
    of uniquenesses, a set of loadings after the other.
    """

    @classmethod
    def beside(cls, free: FreeCoordinates) -> LoadingRatios:
        """Those of the same parameters."""
        return cls(free.equations, free.first, free.own, free.bars, free.edges)

    @cached_property
    def _sets(self) -> tuple[tuple[int, np.ndarray, np.ndarray], ...]:
        """Of each set the number of factors, the places of its ratios, and those in theta."""
        found, end = [], len(self.own)
        for block in self.equations.parameters.blocks:
            if block.kind == "loading":
                theta = np.arange(block.start, block.stop)
                roots = np.arange(end, end + block.size)
                places = np.concatenate([np.searchsorted(self.own, theta), roots])
                found.append((loadings.n_factors(block.size, len(theta)), places, theta))
                end += block.size
        return tuple(found)

    @property
    def _n_roots(self) -> int:
        return sum(len(places) - len(theta) for _, places, theta in self._sets)

    def ratios(self, x: np.ndarray) -> np.ndarray:
        """The ratios at ordinary coordinates."""
        natural = super().relative(x)
        z = np.concatenate([x, np.empty(self._n_roots)])
        for k, places, theta in self._sets:
            z[places] = loadings.to_ratios(k, natural[theta])
        return z

    def starts(self, z: np.ndarray) -> list[np.ndarray]:
        """z, and others in which loadings are of any signs and sizes: the likelihood of a factor
        analysis may have several maxima.
        """
        rng, found = np.random.default_rng(1), [z]
        for _ in range(_OTHERS):
            other = z.copy()
            for _, places, theta in self._sets:
                other[places[: len(theta)]] = rng.standard_normal(len(theta))
                other[places[len(theta) :]] = 1.0
            found.append(other)
        return found

    def ordinary(self, z: np.ndarray) -> np.ndarray:
        """The ordinary coordinates at ratios."""
        theta = self.coordinates.unconstrained(self.relative(z), np.zeros(len(self.first)))
        x = z[: len(self.own)].copy()
        for _, places, own in self._sets:
            x[places[: len(own)]] = theta[own]
        return x

    def relative(self, z: np.ndarray) -> np.ndarray:
        """Theta with these parameters at z, and sigma one."""
        natural = super().relative(z[: len(self.own)]).copy()
        for k, places, theta in self._sets:
            natural[theta] = loadings.from_ratios(k, z[places], len(theta))
        return natural

    def gradient(self, z: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        """The gradient in z of what has these slopes in theta."""
        out = np.zeros(len(z))
        out[: len(self.own)] = super().gradient(z[: len(self.own)], slopes)
        for k, places, theta in self._sets:
            out[places] = loadings.ratios_pullback(k, z[places], slopes[theta])
        return out
