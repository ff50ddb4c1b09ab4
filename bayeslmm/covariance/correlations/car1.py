"""Continuous-time autoregression: rho to the power of the distance."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from bayeslmm.covariance.correlations.antedependence import Antedependence
from bayeslmm.covariance.correlations.base import (
    Correlation,
    Needs,
    Parameter,
    Scale,
    Whitening,
)
from bayeslmm.covariance.correlations.exponential import Exponential
from bayeslmm.covariance.correlations.writing import Symbols, of_distances
from bayeslmm.covariance.structures import Covariance
from bayeslmm.errors import DataError
from bayeslmm.support.arrays import Array

__all__ = ["CAR1", "ContinuousAutoregressive"]

_CLOSEST, _FARTHEST = 1e-2, 1e6
"""Between them the correlation at a distance of one can be told from those at the spacing of the
data with enough digits."""


class ContinuousAutoregressive(Correlation):
    """rho, the correlation at a distance of one, to the power of the distance."""

    stem, kind = "car1", 7
    needs, whitening = Needs.DISTANCE, Whitening.MARKOV
    within = (Exponential, Antedependence)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The correlation at a distance of one."""
        return (
            Parameter(
                "rho",
                Scale.AT_ONE,
                lower=0.0,
                at_lower="rows are independent",
                at_upper="rows of a subject are perfectly correlated",
            ),
        )

    def start(self, T: int, distance: float = 1.0) -> Array:
        """A correlation of 1/e at the distance of neighbours."""
        values = super().start(T, distance)
        values[0] = np.exp(-1.0 / distance)
        return values

    def check_spacing(self, spacing: float, column: str, name: str) -> None:
        """Refuse a unit of time in which rho cannot be told from 0 or 1.

        Raises
        ------
        DataError
            With units that fit.
        """
        if _CLOSEST <= spacing <= _FARTHEST:
            return
        raise DataError(
            f"rho of {name} is the correlation at a distance of one, and neighbours in "
            f"{column!r} are {spacing:.3g} apart, where it cannot be told from "
            f"{'one' if spacing > 1 else 'zero'}; give {column!r} in a unit of about that, or use "
            "Exp, the same correlation by its range, whose unit does not matter"
        )

    def formula(self, s: Symbols) -> str:
        """rho to the power of the distance."""
        return s.w.power(s.parameter("rho"), s.distance)

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """A power."""
        yield from of_distances(f"{parameter('rho')} ** distance", self.nugget, parameter)


class CAR1(Covariance):
    """Autoregressive in continuous time (Ornstein-Uhlenbeck): rho to the power of the distance."""

    _correlation, calls = ContinuousAutoregressive(), ("car1", "ou")
