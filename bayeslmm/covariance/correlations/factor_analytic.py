"""Factor analysis: C = LL' + I - diag(LL') with standardised `loadings` L."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bayeslmm.covariance.correlations import loadings
from bayeslmm.covariance.correlations.base import MARGIN, Correlation, Needs, Parameter, Scale
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance
from bayeslmm.errors import ArgumentError, DesignError
from bayeslmm.support.arrays import Array

__all__ = ["FA", "LOADING", "FactorAnalytic"]

_MOST_FACTORS = 9
LOADING = Parameter(
    "loading",
    Scale.JOINT,
    singular=False,
    bound="at a bound, where a uniqueness is zero (a Heywood case)",
    plural="loadings",
    prior_note="communalities below 1, the diagonal not negative",
)


@dataclass(frozen=True)
class FactorAnalytic(Correlation):
    """The structure of k common factors.

    Parameters
    ----------
    k : int
        From 1 to 9.

    Raises
    ------
    ArgumentError
        For another number.

    Examples
    --------
    >>> from bayeslmm.covariance.correlations.factor_analytic import FactorAnalytic
    >>> FactorAnalytic(2).n_parameters(5), FactorAnalytic(1).labels(["a", "b"])
    (9, ('a, 1', 'b, 1'))
    """

    k: int

    stem, kind = "fa", 13
    needs = Needs.POSITIONS
    single = tried_at_edges = True

    def __post_init__(self) -> None:
        """Check the number of factors."""
        k = self.k
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MOST_FACTORS:
            raise ArgumentError(
                f"the number of factors should be a whole number from 1 to {_MOST_FACTORS}, "
                f"got {k!r}."
            )
        super().__post_init__()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of factors."""
        return (self.k,)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Loadings."""
        return (LOADING,)

    def count(self, own: Parameter, T: int) -> int:
        """Loadings but those that a rotation makes zero."""
        return loadings.n_loadings(self.k, T)

    def labels(self, occasions: Sequence[str]) -> tuple[str, ...]:
        """An occasion and the number of a factor."""
        return tuple(
            f"{occasion}, {f + 1}"
            for i, occasion in enumerate(occasions)
            for f in range(min(i + 1, self.k))
        )

    def start(self, T: int, distance: float = 1.0) -> Array:
        """Cosines of rising frequency."""
        return loadings.start(self.k, T)

    def coordinates(self, T: int, params: Array) -> Array:
        """Coordinates by stick-breaking."""
        return loadings.to_coordinates(self.k, params, 1.0 - 2.0 * MARGIN)

    def damped(self, params: Array) -> Array:
        """Shorter loadings."""
        return params * 0.99

    def kept_inside(self, params: Array) -> Array:
        """Loadings of a communality of 1 stay at that."""
        return loadings.shortened(self.k, params)

    def runs(self, own: Array) -> list[Array]:
        """The rows of loadings."""
        ends = np.cumsum([min(i + 1, self.k) for i in range(len(own))])
        return [part for part in np.split(own, ends[ends < len(own)]) if len(part)]

    def lies_in(self, other: Correlation, in_line: bool) -> bool:
        """Further factors may have loadings of zero."""
        more = isinstance(other, FactorAnalytic) and other.k > self.k
        return more or super().lies_in(other, in_line)

    def singular_at(self, smaller: Correlation) -> bool:
        """A factor whose loadings are zero has no direction."""
        return not isinstance(smaller, FactorAnalytic) or smaller.k < self.k

    def check_size(self, T: int, where: str) -> None:
        """Refuse more factors than the correlations of T occasions or effects can tell.

        Raises
        ------
        DesignError
            With the number that fits.
        """
        k, most = self.k, loadings.most_factors(T)
        if k <= most:
            return
        fits = f"the most is FA({most})" if most else "use UN or CS"
        raise DesignError(
            f"FA({k}) has {loadings.n_loadings(k, T)} loadings on {k} factor{'s' * (k > 1)}, and "
            f"the {T} occasions of {where} have {T * (T - 1) // 2} correlations to tell them; "
            f"{fits}"
        )

    def held_outside(self, name: str, values: Sequence[float]) -> str:
        """Communalities or signs that cannot be."""
        return (
            f"the loadings {values}, at which {name!r} is held, have communalities "
            "above 1, or a negative one where signs are fixed (the first of each factor); "
            "take smaller values, and the other sign of a factor."
        )

    def formula(self, s: Symbols) -> str:
        """The sum of products of loadings."""
        several = [s.parameter("loading", index, "f") for index in "jk"]
        factors = "" if self.k == 1 else s.w.word("sum")
        return f"{factors}{several[0]}{s.w.word('dot')}{several[1]}"

    def program_of_all(self, T: int, name: str, parameters: str, root: str) -> Iterator[str]:
        """LL' with ones on its diagonal, where the loadings are proper."""
        k = self.k
        places = [(i, f) for i in range(T) for f in range(min(i + 1, k))]
        i, f = (list(part) for part in zip(*places, strict=True))
        yield f"L = pt.set_subtensor(pt.zeros(({T}, {k}))[{i}, {f}], {parameters})"
        yield "# communalities are at most 1, and the signs of the factors fixed"
        yield f"proper = pt.all((L**2).sum(axis=1) <= 1) & pt.all(pt.diag(L[:{k}]) >= 0)"
        yield f"{name} = pt.where(np.eye({T}), pt.where(proper, 1, np.nan), L @ L.T)"


@dataclass(frozen=True, repr=False)
class FA(Covariance):
    """Factor analysis: k common factors and a uniqueness for each occasion, with a variance each.

    The correlation matrix is LL' + I - diag(LL'), of standardised loadings L whose rows have
    squared lengths, the communalities, of at most 1. A rotation of the factors changes nothing:
    the loadings above L's diagonal are zero, and those on it not negative.

    Parameters
    ----------
    k : int
        The number of factors; it has no default.
    """

    k: int = 0

    _variance, calls = "occasion", ("fa",)

    def __post_init__(self) -> None:
        """Check the number of factors."""
        if self.k == 0:
            raise ArgumentError(
                "FA needs `k`, the number of factors, which should be 1 or more: "
                "bl.FA(1, time='week', group='id')."
            )
        super().__post_init__()

    @classmethod
    def of_call(cls) -> FA:
        """The structure of ``fa(...)`` in a formula, which has one factor."""
        return cls(1)

    @property
    def _called(self) -> str:
        return f"FA({self.k})"

    @property
    def _first(self) -> str:
        return f"{self.k}, "

    @property
    def _plain(self) -> Correlation:
        return FactorAnalytic(self.k)
