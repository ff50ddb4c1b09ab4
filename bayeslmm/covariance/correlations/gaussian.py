"""Gaussian: exp(-(distance/range)²)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.distance import OfRange
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance

__all__ = ["Gau", "Gaussian"]


class Gaussian(OfRange):
    """exp(-s²), s = distance/range."""

    stem, kind = "gau", 9

    def formula(self, s: Symbols) -> str:
        """exp(-s²)."""
        return s.decay(s.w.power(f"({s.ratio})", "2"))

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """exp(-s²)."""
        value = f"pt.exp(-((distance / {parameter('range')}) ** 2))"
        yield from of_distances(value, self.nugget, parameter)


class Gau(Covariance):
    """Gaussian: exp(-(distance/range)²)."""

    _correlation, calls = Gaussian(), ("gau",)
