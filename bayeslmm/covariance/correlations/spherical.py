"""Spherical: (1 - s)²(1 + s/2), s = distance/range, and zero beyond the range."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bayeslmm.covariance.correlations.distance import OfRange
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance

__all__ = ["Sph", "Spherical"]


class Spherical(OfRange):
    """(1 - s)²(1 + s/2), s = distance/range up to 1.

    Its second derivative in the range jumps where the range is a distance of the data, so that a
    likelihood may have a corner there, and a maximum on each side.
    """

    stem, kind, start_range = "sph", 15, 2.5  # neighbours are correlated at that

    def formula(self, s: Symbols) -> str:
        """(1 - s)²(1 + s/2), with 1 - s of zero at least."""
        w = s.w
        left = w.function("max", f"1{w.word('minus')}{s.ratio}", "0")
        return f"{w.power(left, '2')}{w.word('dot')}(1+{s.ratio}/2)"

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """(1 - s)²(1 + s/2), with 1 - s of zero at least."""
        value = "pt.maximum(1 - s, 0) ** 2 * (1 + s / 2)"
        before = f"s = distance / {parameter('range')}"
        yield from of_distances(value, self.nugget, parameter, before)


class Sph(Covariance):
    """Spherical, 1 - 3s/2 + s³/2 for s = distance/range up to 1, then 0: nlme's ``corSpher``."""

    _correlation, calls = Spherical(), ("sph",)
