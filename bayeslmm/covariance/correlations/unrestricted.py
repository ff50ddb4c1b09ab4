"""A correlation for each pair of occasions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter, Scale
from bayeslmm.covariance.correlations.observed import together
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance
from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

__all__ = ["UN", "Unrestricted"]


class Unrestricted(Correlation):
    """The strict lower triangle of the correlation matrix, row by row. Its coordinates are those
    of `bayeslmm.estimation.coordinates`.
    """

    stem, kind = "un", 1
    needs = Needs.POSITIONS
    unrestricted = single = True
    most_occasions = 60  # 1,770 correlations

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """A correlation for each pair."""
        return (Parameter("corr", Scale.MATRIX, start=0.0),)

    def count(self, own: Parameter, T: int) -> int:
        """The number of pairs."""
        return T * (T - 1) // 2

    def pairs(self, occasions: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """The strict lower triangle by rows."""
        T = len(occasions)
        return tuple((occasions[j], occasions[i]) for i in range(T) for j in range(i))

    def coordinates(self, T: int, params: Array) -> Array:
        """There are none here."""
        raise ArgumentError(
            "the parameters of 'un' have no coordinates here; use those of bayeslmm.coordinates."
        )

    def is_linear(self, variance: object) -> bool:
        """With a variance for each occasion, each covariance is a parameter."""
        return variance == "occasion"

    def unidentified(self, block: Array, point: Array, T: int) -> tuple[int, int] | None:
        """A pair of occasions that no subject has both of."""
        pairs = np.argwhere(np.triu(~together(block, point, T), 1))
        return (int(pairs[0, 0]), int(pairs[0, 1])) if len(pairs) else None

    def formula(self, s: Symbols) -> str:
        """corr_jk."""
        return s.indexed(s.w.name(f"corr_{s.factor or 'R'}"), "j", "k")

    def program_of_all(self, T: int, name: str, parameters: str, root: str) -> Iterator[str]:
        """The product of its factor."""
        yield f"{name} = {root} @ {root}.T"


class UN(Covariance):
    """Unrestricted: a variance for each occasion and a correlation for each pair of them."""

    _correlation, _variance, calls = Unrestricted(), "occasion", ("us",)
