"""Exponential: exp(-distance/range)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.antedependence import Antedependence
from bayeslmm.covariance.correlations.base import Whitening
from bayeslmm.covariance.correlations.distance import OfRange
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance

__all__ = ["Exp", "Exponential"]


class Exponential(OfRange):
    """exp(-s), s = distance/range."""

    stem, kind = "exp", 8
    whitening = Whitening.MARKOV
    within = (Antedependence,)

    def formula(self, s: Symbols) -> str:
        """exp(-s)."""
        return s.decay(s.ratio)

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """exp(-s)."""
        value = f"pt.exp(-distance / {parameter('range')})"
        yield from of_distances(value, self.nugget, parameter)


class Exp(Covariance):
    """Exponential: exp(-distance/range)."""

    _correlation, calls = Exponential(), ("exp",)
