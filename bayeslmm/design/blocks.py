"""`Block`: parameters of one kind that stand beside each other in theta."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

import numpy as np

from bayeslmm.covariance.correlations.base import Correlation, Parameter, Scale

__all__ = ["Block"]


@dataclass(frozen=True)
class Block:
    """A run of parameters of one kind within theta, of one bar of the formula (or of R).

    Attributes
    ----------
    name : str
        The variable it belongs to, such as ``sd_Subject``. Bars over one factor share it.
    kind : str
        "sd", "sigma", "power" or the variable of a correlation structure, such as "rho".
    factor : str or None
        The grouping factor; None for parameters of R.
    labels : tuple of str or of pairs of str
        A coordinate for each parameter: an effect or occasion, or a pair of them; "" where the name
        says all.
    start, stop : int
        Its slice of theta.
    bar : int
        The position of the bar among those of its factor; -1 for R.
    size : int
        The number of effects of the bar, or of occasions.
    lower, upper : float
        The interval that each of its parameters lies in.
    typical : tuple of float
        Values to start from, of parameters that are no standard deviations; none for zeros.
    sharing : tuple of int
        The positions of other bars that they are parameters of too: those of other strata.
    exponent : str
        Of parameters of a variance function, its ``exponent``, as in `VarPower.exponent`.
    parameter : Parameter or None
        What their correlation structure says of them.
    joint : Correlation or None
        The structure whose coordinates make them together, if they are bound to each other.
    """

    name: str
    kind: str
    factor: str | None
    labels: tuple[str, ...] | tuple[tuple[str, str], ...]
    start: int
    stop: int
    bar: int
    size: int
    lower: float = 0.0
    upper: float = np.inf
    typical: tuple[float, ...] | float = 0.0
    sharing: tuple[int, ...] = ()
    exponent: str = ""
    parameter: Parameter | None = None
    joint: Correlation | None = None

    @property
    def slice(self) -> builtins.slice:
        """The place of the parameters in theta."""
        return slice(self.start, self.stop)

    @property
    def bars(self) -> tuple[int, ...]:
        """The positions of all bars that they are parameters of."""
        return (self.bar, *self.sharing)

    @property
    def at_one(self) -> bool:
        """Whether they are correlations at a distance of one."""
        return self.scale is Scale.AT_ONE

    @property
    def scale(self) -> Scale | None:
        """What they are measured on, as their correlation structure says."""
        return None if self.parameter is None else self.parameter.scale

    @property
    def spacing(self) -> float:
        """The distance of neighbours, where they are `at_one`: typical is exp(-1/spacing)."""
        return float(-1.0 / np.log(np.ravel(self.typical)[0]))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters as ``summary()`` shows them."""
        texts = [label if isinstance(label, str) else ", ".join(label) for label in self.labels]
        return tuple(f"{self.name}[{text}]" if text else self.name for text in texts)
