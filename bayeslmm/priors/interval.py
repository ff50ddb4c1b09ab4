"""Prior families of parameters in an interval, such as correlations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bayeslmm.errors import PriorError
from bayeslmm.priors.base import Prior, PriorCode

__all__ = ["Beta", "Uniform"]


@dataclass(frozen=True, repr=False)
class Uniform(Prior):
    """Uniform distribution, for standard deviations (not for their squares).

    Parameters
    ----------
    lower, upper : float
        The bounds, in the parameter's units; `lower` is 0 or more for a standard deviation.

    Examples
    --------
    >>> from bayeslmm import Uniform
    >>> Uniform(0, upper=100)
    Uniform(0, 100)
    """

    lower: float
    upper: float
    support = "interval"
    pymc_name = "Uniform"
    pymc_parameters = ("lower", "upper")
    code = PriorCode.CONSTANT

    def __post_init__(self) -> None:
        Prior.__post_init__(self)
        if not self.lower < self.upper:
            raise PriorError(
                f"Uniform: `lower` should be below `upper`, got lower={self.lower:g} and "
                f"upper={self.upper:g}."
            )

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds."""
        return self.lower, self.upper

    def typical(self, lower: float, upper: float) -> float:
        """The middle."""
        return (self.lower + self.upper) / 2.0


@dataclass(frozen=True, repr=False)
class Beta(Prior):
    """Beta distribution, stretched to the interval that the parameter lies in.

    A parameter in (lower, upper) is lower + (upper - lower) b with b beta distributed: ``rho`` of
    `AR1` lies in (-1, 1), so that ``Beta(2, 2)`` there is centred at 0; ``rho`` of `CS` over T
    occasions lies in (-1/(T - 1), 1).

    Parameters
    ----------
    alpha, beta : float
        Shapes: b has the mean alpha/(alpha + beta). Both 1 is uniform.

    Examples
    --------
    >>> from bayeslmm import Beta
    >>> Beta(2, beta=2)
    Beta(2, 2)
    """

    alpha: float
    beta: float
    support = "interval"
    pymc_name = "Beta"
    pymc_parameters = ("alpha", "beta")
    code = PriorCode.BETA
    pymc_suffix = "_share"

    @property
    def mean(self) -> float:
        """The mean of b, before it is stretched."""
        return self.alpha / (self.alpha + self.beta)

    def typical(self, lower: float, upper: float) -> float:
        """The mean."""
        return lower + (upper - lower) * self.mean

    def parameter_of(self, variable: Any, lower: float, upper: float) -> Any:
        """A share of the interval as its place in it."""
        return lower + (upper - lower) * variable

    def parameter_text(self, variable: str, lower: float, upper: float) -> str:
        """The same in a program."""
        return f"{lower:.10g} + {upper - lower:.10g} * {variable}"
