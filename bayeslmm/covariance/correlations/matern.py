"""Matérn of smoothness 1.5 and 2.5."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bayeslmm.covariance.correlations.base import Correlation
from bayeslmm.covariance.correlations.distance import OfRange
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance
from bayeslmm.errors import ArgumentError

__all__ = ["Matern", "Matern15", "Matern25"]


class Matern15(OfRange):
    """(1 + s) exp(-s), s = √3 distance/range."""

    stem, kind = "matern15", 10

    def formula(self, s: Symbols) -> str:
        """(1 + s) exp(-s)."""
        dot = s.w.word("dot")
        scaled = f"{s.w.root('3')}{dot}{s.ratio}"
        return f"(1+{scaled}){dot}{s.decay(scaled)}"

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """(1 + s) exp(-s)."""
        s = f"s = np.sqrt(3) * distance / {parameter('range')}"
        yield from of_distances("(1 + s) * pt.exp(-s)", self.nugget, parameter, s)


class Matern25(OfRange):
    """(1 + s + s²/3) exp(-s), s = √5 distance/range."""

    stem, kind = "matern25", 11

    def formula(self, s: Symbols) -> str:
        """(1 + s + s²/3) exp(-s)."""
        w, dot = s.w, s.w.word("dot")
        scaled, square = f"{w.root('5')}{dot}{s.ratio}", w.power(f"({s.ratio})", "2")
        return f"(1+{scaled}+5{dot}{square}/3){dot}{s.decay(scaled)}"

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """(1 + s + s²/3) exp(-s)."""
        s = f"s = np.sqrt(5) * distance / {parameter('range')}"
        yield from of_distances("(1 + s + s**2 / 3) * pt.exp(-s)", self.nugget, parameter, s)


@dataclass(frozen=True, kw_only=True, repr=False)
class Matern(Covariance):
    """Matérn, with smoothness 1.5 or 2.5."""

    smoothness: float = 1.5

    calls = ("matern",)

    def __post_init__(self) -> None:
        """Check the smoothness."""
        if self.smoothness not in (1.5, 2.5):
            raise ArgumentError(
                f"`smoothness` of Matern should be 1.5 or 2.5, got {self.smoothness!r}; for 0.5 "
                "use bl.Exp, which it is, and for infinity bl.Gau."
            )
        super().__post_init__()

    @property
    def _plain(self) -> Correlation:
        return Matern25() if self.smoothness == 2.5 else Matern15()
