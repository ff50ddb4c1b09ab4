"""A correlation for each lag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bayeslmm.core.library import address, function
from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter, Scale, fisher_z
from bayeslmm.covariance.correlations.observed import together
from bayeslmm.covariance.correlations.writing import Symbols
from bayeslmm.covariance.structures import Covariance
from bayeslmm.support.arrays import Array

__all__ = ["Toep", "ToepH", "Toeplitz"]

_partials_of = function("partials", "aia")


class Toeplitz(Correlation):
    """A correlation for each lag, such that the matrix of all occasions is positive definite. Its
    coordinates are Fisher's z of the partial autocorrelations.
    """

    stem, kind = "toep", 5
    needs = Needs.LAGS
    single = True

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The correlations by lag."""
        return (Parameter("rho", Scale.JOINT),)

    def count(self, own: Parameter, T: int) -> int:
        """The largest lag."""
        return T - 1

    def labels(self, occasions: Sequence[str]) -> tuple[str, ...]:
        """Lags."""
        return tuple(str(lag) for lag in range(1, len(occasions)))

    def start(self, T: int, distance: float = 1.0) -> Array:
        """Powers of the first."""
        return np.array(0.3 ** np.arange(1, T))

    def coordinates(self, T: int, params: Array) -> Array:
        """Fisher's z of the partial autocorrelations."""
        z = np.empty(len(params))
        _partials_of(address(params), len(params), address(z))
        return np.array([fisher_z(value) for value in z])

    def is_linear(self, variance: object) -> bool:
        """With one variance, each covariance is a parameter."""
        return variance == "one"

    def unidentified(self, block: Array, point: Array, T: int) -> tuple[int, int] | None:
        """Occasions at a lag that no subject has."""
        both = together(block, point, T)
        unseen = [lag for lag in range(1, T) if not both.diagonal(lag).any()]
        return (0, unseen[0]) if unseen else None

    def held_outside(self, name: str, values: Sequence[float]) -> str:
        """No positive definite matrix."""
        return (
            f"the correlations {values} by lag, at which {name!r} is held, are not those "
            "of a positive definite matrix; take values nearer to 0."
        )

    def formula(self, s: Symbols) -> str:
        """rho at the lag."""
        return s.parameter("rho", s.lag)

    def program_of_all(self, T: int, name: str, parameters: str, root: str) -> Iterator[str]:
        """The correlations by lag at the lags of all pairs."""
        positions = f"abs(np.subtract.outer(np.arange({T}), np.arange({T})))"
        yield f"{name} = pt.concatenate([np.ones(1), {parameters}])[{positions}]"


class Toep(Covariance):
    """Toeplitz: a correlation for each lag."""

    _correlation, calls = Toeplitz(), ("toep",)


class ToepH(Toep):
    """Toeplitz with a variance for each occasion."""

    _variance, calls = "occasion", ("toeph",)
