"""Covariance structures of a bar that are a correlation with standard deviations of its effects.

The compiled library reads a bar of this or of another kind from the *table of bars*, a row of `ROW`
integers for each (`cpp/covariance/bar.h`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from bayeslmm.covariance.correlations.base import Correlation, Parameter
from bayeslmm.covariance.structures import VarExp, VarIdent, VarPower
from bayeslmm.support.arrays import Array

__all__ = ["ROW", "Exponent", "Shape"]

ROW = 10
"""Integers of a bar in the table: its factor, first effect, number of effects, code; where its
standard deviations begin in theta, and how many they are; where its correlation parameters begin in
theta, and how many they are; of a `Shape`, where its *record* begins in the table, and how many
exponents its standard deviations grow by. The record has the places in theta of its correlation
parameters and of its exponents, and as the bits of floats the distances of its effects (q, q) and
the covariates (q, c) of the exponents."""

_SHAPED = 8


class Exponent(NamedTuple):
    """A parameter that the logarithms of standard deviations are linear in.

    Attributes
    ----------
    part : VarIdent, VarPower or VarExp
        The part of the variance model that has it.
    label : str
        The level of a `VarIdent`, "age[10]"; empty for others.
    """

    part: VarIdent | VarPower | VarExp
    label: str

    @property
    def variable(self) -> str:
        """``power``, ``expon`` or ``log_ratio``."""
        return self.part.exponent


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """A correlation over the effects of a bar, and whether each has a standard deviation.

    Attributes
    ----------
    correlation : Correlation
    several : bool
        Whether each effect has a standard deviation of its own; otherwise they share one.
    occasions : bool
        Whether each row of data is of one effect, an occasion.
    distances : (q, q) array
        Of the effects, for correlations that are functions of distance; zeros for others.
    exponents : tuple of Exponent
        What its standard deviations grow by; those of a variable stand together.
    covariates : (q, c) array
        Whose sums with the exponents are added to the logarithms of the standard deviations.
    """

    correlation: Correlation
    several: bool
    occasions: bool
    distances: Array
    exponents: tuple[Exponent, ...]
    covariates: Array

    @property
    def code(self) -> int:
        """How the table of bars has it."""
        return _SHAPED + 2 * self.correlation.code + self.correlation.nugget

    @property
    def spacing(self) -> float:
        """The median distance between neighbouring effects; 1 where distances do not count."""
        apart = np.abs(np.diag(self.distances, 1))
        return float(np.median(apart)) if apart.any() else 1.0

    def sd_labels(self, effects: tuple[str, ...], label: str) -> tuple[str, ...]:
        """A label for each standard deviation: an effect, or the bar's text."""
        return effects if self.several else (label,)

    def variables(self, effects: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The variables of its correlation, ``corr``, ``rho``, ``ma``, ``range`` and ``nugget``,
        with the labels of their elements.
        """
        q = len(effects)
        found: dict[str, tuple[str, ...]] = {}
        kinds = self.correlation.kinds(q)
        for kind, label in zip(kinds, self.correlation.labels(effects), strict=True):
            found[kind] = (*found.get(kind, ()), label)
        for own in self.exponents:
            found[own.variable] = (*found.get(own.variable, ()), own.label)
        return found

    def is_exponent(self, variable: str) -> bool:
        """Whether a variable has exponents."""
        return any(variable == own.variable for own in self.exponents)

    def bounds(self, variable: str, q: int) -> tuple[float, float]:
        """The interval of the elements of a variable."""
        if self.is_exponent(variable):
            return -np.inf, np.inf
        return dict(zip(self.correlation.kinds(q), self.correlation.bounds(q), strict=True))[
            variable
        ]

    def start(self, variable: str, q: int) -> tuple[float, ...]:
        """Values to start from, of the elements of a variable."""
        if self.is_exponent(variable):
            return (0.0,) * len(self.variables(("",) * q)[variable])
        values = self.correlation.start(q, self.spacing)
        kinds = self.correlation.kinds(q)
        return tuple(float(v) for v, kind in zip(values, kinds, strict=True) if kind == variable)

    def parameter(self, variable: str) -> Parameter | None:
        """What the correlation says of a variable; None of an exponent."""
        return None if self.is_exponent(variable) else self.correlation.parameter(variable)

    def kind(self, variable: str) -> str:
        """The kind of a variable in the layout of theta."""
        return "power" if self.is_exponent(variable) else variable

    def joint(self, variable: str) -> Correlation | None:
        """The structure whose coordinates make the elements of a variable together, if some do."""
        return None if self.is_exponent(variable) else self.correlation.joint(variable)
