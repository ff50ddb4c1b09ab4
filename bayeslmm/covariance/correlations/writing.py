"""Symbols of a correlation structure in Unicode or LaTeX, and lines of a PyMC program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Notation", "Symbols", "of_distances"]


class Notation(Protocol):
    """How signs and names are written."""

    def word(self, name: str) -> str: ...  # noqa: D102
    def name(self, text: str) -> str: ...  # noqa: D102
    def greek(self, name: str) -> str: ...  # noqa: D102
    def indexed(self, symbol: str, *indices: str) -> str: ...  # noqa: D102
    def power(self, base: str, exponent: str) -> str: ...  # noqa: D102
    def root(self, inside: str) -> str: ...  # noqa: D102
    def function(self, name: str, *arguments: str) -> str: ...  # noqa: D102


@dataclass(frozen=True)
class Symbols:
    """What the correlation of the occasions j and k is written with.

    Attributes
    ----------
    w : Notation
    factor : str or None
        The grouping factor whose effects are correlated; None for residuals.
    stratum : tuple of str
        An index for the stratum, where there are some.
    """

    w: Notation
    factor: str | None
    stratum: tuple[str, ...]

    def parameter(self, variable: str, *indices: str) -> str:
        """A parameter by its variable and indices."""
        if self.factor is not None:
            symbol = self.w.name(f"{variable}_{self.factor}")
        elif variable == "rho":
            symbol = self.w.greek(variable)
        else:
            symbol = self.w.name(variable)
        return self.indexed(symbol, *indices)

    def indexed(self, symbol: str, *indices: str) -> str:
        """A symbol with the stratum and other indices, if there are any."""
        own = (*self.stratum, *indices)
        return self.w.indexed(symbol, *own) if own else symbol

    @property
    def lag(self) -> str:
        """How many occasions are between j and k."""
        return f"|j{self.w.word('minus')}k|"

    @property
    def distance(self) -> str:
        """How far apart the occasions are."""
        j, k = (self.w.indexed("t", index) for index in "jk")
        return f"|{j}{self.w.word('minus')}{k}|"

    @property
    def ratio(self) -> str:
        """The distance of the occasions in units of the range."""
        return f"{self.distance}/{self.parameter('range')}"

    def decay(self, of: str) -> str:
        """The exponential function of what is negative."""
        return self.w.function("exp", f"{self.w.word('minus')}{of}")


def of_distances(
    value: str, nugget: bool, parameter: Callable[..., str], *before: str
) -> Iterator[str]:
    """Lines of a program that make matrices ``C`` of functions of ``distance``.

    Parameters
    ----------
    value : str
        The correlation without a nugget.
    nugget : bool
    parameter : callable
        As in `Correlation.program`.
    *before : str
        Lines that come before.
    """
    yield from before
    if nugget:
        value = f"(1 - {parameter('nugget')}) * {value}"
    yield f"C = pt.where(distance == 0, 1, {value})"
