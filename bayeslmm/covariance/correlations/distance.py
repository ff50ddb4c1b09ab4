"""What correlations share that are functions of distance over a range."""

from __future__ import annotations

from typing import ClassVar

from bayeslmm.covariance.correlations.base import Correlation, Needs, Parameter, Scale

__all__ = ["OfRange"]


class OfRange(Correlation):
    """A function of the distance divided by the range."""

    needs = Needs.DISTANCE
    start_range: ClassVar[float] = 1.0

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The range, in the unit of distance."""
        return (
            Parameter(
                "range",
                Scale.DISTANCE,
                lower=0.0,
                upper=float("inf"),
                start=self.start_range,
                at_lower="rows are independent",
                at_upper="rows of a subject are perfectly correlated",
            ),
        )
