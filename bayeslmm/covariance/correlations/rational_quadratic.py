"""Rational quadratic: 1/(1 + (distance/range)²)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.distance import OfRange
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance

__all__ = ["RatQuad", "RationalQuadratic"]


class RationalQuadratic(OfRange):
    """1/(1 + s²), s = distance/range."""

    stem, kind = "ratquad", 14

    def formula(self, s: Symbols) -> str:
        """1/(1 + s²)."""
        return f"1/(1+{s.w.power(f'({s.ratio})', '2')})"

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """1/(1 + s²)."""
        value = f"1 / (1 + (distance / {parameter('range')}) ** 2)"
        yield from of_distances(value, self.nugget, parameter)


class RatQuad(Covariance):
    """Rational quadratic, 1/(1 + (distance/range)²): nlme's ``corRatio``."""

    _correlation, calls = RationalQuadratic(), ("ratquad",)
