"""`Correlation`: what a correlation structure over effects or occasions is.

Everything that is special to one structure stands in a file of its own, a class derived from
`Correlation` with the class that users write; `registry` lists them. Its mathematics stands once,
for G and for R, in a header of the compiled library (`core/covariance/correlations/`), which knows
a structure by its `code` and by whether its last parameter is a nugget ν, which multiplies the
correlations off the diagonal by 1 − ν. Derivations and sources are in docs/correlations.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, auto
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayeslmm.covariance.correlations.writing import Symbols

__all__ = ["NUGGET", "Correlation", "Needs", "Parameter", "Scale", "Whitening", "fisher_z"]

_KINDS = 64
"""A code is a kind of structure plus this times its sizes (`registry.h` takes it apart)."""
_SIZES = 32
"""The second size counts in this."""
MARGIN = 1e-6
"""Share of an interval, next to each end, that has no coordinates of its own."""
_SINGULAR = "R is singular there"


class Needs(Enum):
    """What the correlation of two rows depends on, besides parameters."""

    NOTHING = auto()
    """All pairs of rows of a subject are alike."""
    POSITIONS = auto()
    """Which of the occasions the rows are at; these have no order."""
    ORDER = auto()
    """Which of the occasions they are at, in their order."""
    LAGS = auto()
    """How many occasions lie between them, so that a missing occasion keeps its gap."""
    DISTANCE = auto()
    """Their distance, in time or in the plane; these structures may have a nugget."""

    @property
    def ordered(self) -> bool:
        """Whether occasions are positions in an order."""
        return self in (Needs.ORDER, Needs.LAGS)


class Whitening(IntEnum):
    """How rows that are correlated are made independent, as the compiled library numbers it."""

    INDEPENDENT = 0
    MARKOV = 1
    """Each row by the one before it; of functions of distance only along one line."""
    EXCHANGEABLE = 2
    """Each row by the sum of those before it."""
    DENSE = 3
    """By the inverse of the Cholesky factor of the correlation matrix."""


class Scale(Enum):
    """What a parameter is measured on: its coordinates, the bounds that a likelihood search tries
    and its default prior follow from it.
    """

    INTERVAL = auto()
    """Between its bounds. Default prior: uniform."""
    DISTANCE = auto()
    """A positive distance. Default prior: log-normal around three spacings of the data."""
    AT_ONE = auto()
    """A correlation at a distance of one. Default prior: uniform at the spacing of the data."""
    JOINT = auto()
    """Bound together with the others of its variable, whose coordinates make them together.
    Default prior: uniform where they are those of a correlation matrix."""
    MATRIX = auto()
    """A correlation of an unrestricted matrix. Default prior: LKJ."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A variable of a correlation structure: what its parameters have in common.

    Attributes
    ----------
    variable : str
        ``rho``, ``range`` and so on: its name in ``summary()``, and the argument for its prior.
    scale : Scale
    lower, upper : float
        The open interval of each parameter.
    start : float
        Where an optimiser starts; of a distance, in spacings of the data.
    at_lower, at_upper : str
        What R is at a bound, in words.
    singular : bool
        Whether G is singular at the bounds.
    upper_edge : bool
        Whether a likelihood search tries the upper bound.
    bound : str
        What an estimate at a bound means for G, in words.
    plural : str
        What several are called.
    prior_note : str
        How the interval of the uniform default prior comes about.
    """

    variable: str
    scale: Scale = Scale.INTERVAL
    lower: float = -1.0
    upper: float = 1.0
    start: float = 0.3
    at_lower: str = _SINGULAR
    at_upper: str = _SINGULAR
    singular: bool = True
    upper_edge: bool = True
    bound: str = "at a bound, where G is singular"
    plural: str = "correlations"
    prior_note: str = "its bounds"


NUGGET = Parameter(
    "nugget",
    lower=0.0,
    start=0.1,
    at_lower="no variance is that of a single measurement alone",
    singular=False,
    upper_edge=False,
)


@dataclass(frozen=True)
class Correlation:
    """A correlation structure over T occasions or effects; two are equal if they have the same
    class, sizes and nugget.

    Attributes
    ----------
    stem : str
        Its name, but for sizes.
    kind : int
        Its code in the compiled library, but for sizes.
    needs : Needs
    whitening : Whitening
        The cheapest way to whiten rows along one line without a nugget.
    parameters : tuple of Parameter
        Its variables, without the nugget.
    unrestricted : bool
        Whether every correlation matrix is of this structure.
    single : bool
        Whether each correlation, or loading, is a parameter of its own, or a product of some, so
        that a program makes the matrix of all occasions.
    most_occasions : int or None
        The most occasions whose correlations data can determine.
    tried_at_edges : bool
        Whether the likelihood of R can be largest where parameters of `Scale.JOINT` are at a bound.
    within : tuple of classes
        Structures over the same occasions that this one is a special case of, besides the
        unrestricted one.
    nugget : bool
        Whether its last parameter is a nugget; for functions of distance only.
    """

    nugget: bool = field(default=False, kw_only=True)

    stem: ClassVar[str]
    kind: ClassVar[int]
    needs: ClassVar[Needs] = Needs.NOTHING
    whitening: ClassVar[Whitening] = Whitening.DENSE
    unrestricted: ClassVar[bool] = False
    single: ClassVar[bool] = False
    most_occasions: ClassVar[int | None] = None
    tried_at_edges: ClassVar[bool] = False
    within: ClassVar[tuple[type[Correlation], ...]] = ()

    def __post_init__(self) -> None:
        """Refuse a nugget where there is none."""
        if self.nugget and not self.of_distance:
            raise ArgumentError(
                f"{self.name!r} was asked for with a nugget; only correlations that are functions "
                "of distance have one, such as 'car1', 'exp' and 'gau'."
            )

    # -- what it is

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The variables of the structure, without the nugget."""
        return ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Up to two numbers that tell a structure from others of its kind."""
        return ()

    @property
    def name(self) -> str:
        """The name of the structure, with its sizes."""
        return self.stem + "".join(map(str, self.sizes))

    @property
    def code(self) -> int:
        """The number by which the compiled library knows the structure."""
        first, second = (*self.sizes, 0, 0)[:2]
        return self.kind + _KINDS * (first + _SIZES * second)

    @property
    def of_distance(self) -> bool:
        """Whether it is a function of distance, and may have a nugget."""
        return self.needs is Needs.DISTANCE

    @property
    def independent(self) -> bool:
        """Whether rows are independent."""
        return self.whitening is Whitening.INDEPENDENT

    @property
    def all_parameters(self) -> tuple[Parameter, ...]:
        """The variables of the structure, with the nugget if it has one."""
        return (*self.parameters, NUGGET) if self.nugget else self.parameters

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of its variables, without the nugget."""
        return tuple(own.variable for own in self.parameters)

    def parameter(self, variable: str) -> Parameter:
        """The variable with a name."""
        return next(own for own in self.all_parameters if own.variable == variable)

    def joint(self, variable: str) -> Correlation | None:
        """The structure whose coordinates make the parameters of a variable together, if some
        do.
        """
        return self if self.parameter(variable).scale is Scale.JOINT else None

    def whitened(self, dimensions: int) -> Whitening:
        """The cheapest way to whiten rows over places of some dimensions."""
        markov = self.whitening is Whitening.MARKOV
        dense = markov and (self.nugget or (self.of_distance and dimensions > 1))
        return Whitening.DENSE if dense else self.whitening

    # -- its parameters on T occasions

    def count(self, own: Parameter, T: int) -> int:
        """The number of parameters of a variable for T occasions."""
        return 1

    def n_parameters(self, T: int) -> int:
        """The number of parameters for T occasions."""
        return len(self.kinds(T))

    def kinds(self, T: int) -> tuple[str, ...]:
        """The variable of each parameter."""
        return tuple(
            name for own in self.all_parameters for name in (own.variable,) * self.count(own, T)
        )

    def labels(self, occasions: Sequence[str]) -> tuple[str, ...]:
        """What stands in brackets after each parameter's variable; empty where nothing does.

        Parameters
        ----------
        occasions : sequence of str
            Labels of all T occasions, or of the effects.

        Examples
        --------
        >>> import bayeslmm as bl
        >>> bl.UN().correlation.labels(["8", "10", "12"])
        ('8, 10', '8, 12', '10, 12')
        >>> bl.AR1().correlation.labels(["8", "10", "12"])
        ('',)
        """
        pairs = tuple(map(", ".join, self.pairs(occasions)))
        return pairs or ("",) * self.n_parameters(len(occasions))

    def pairs(self, occasions: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """The pair of occasions of each parameter, where each has one."""
        return ()

    def bounds(self, T: int) -> tuple[tuple[float, float], ...]:
        """The interval of each parameter, open except for a nugget of 0; `Scale.JOINT` and
        `Scale.MATRIX` have further bounds.
        """
        own = {p.variable: (p.lower, p.upper) for p in self.all_parameters}
        return tuple(own[kind] for kind in self.kinds(T))

    def start(self, T: int, distance: float = 1.0) -> Array:
        """Values from which to start an optimiser.

        Parameters
        ----------
        T : int
        distance : float, default 1
            A distance of neighbours, in the unit of time or of the coordinates.
        """
        own = {
            p.variable: p.start * (distance if p.scale is Scale.DISTANCE else 1.0)
            for p in self.all_parameters
        }
        return np.array([own[kind] for kind in self.kinds(T)])

    def coordinates(self, T: int, params: Array) -> Array:
        """Unconstrained coordinates of parameters that are those of a correlation matrix: Fisher's
        z, scaled to the bounds; of a distance the logarithm; logits of shares.
        """
        x = np.empty(len(params))
        for i, (kind, (lower, upper)) in enumerate(zip(self.kinds(T), self.bounds(T), strict=True)):
            if self.parameter(kind).scale is Scale.DISTANCE:
                x[i] = np.log(params[i])
                continue
            x[i] = fisher_z((2.0 * params[i] - lower - upper) / (upper - lower))
            if lower == 0.0:  # the logit, twice Fisher's z
                x[i] *= 2.0
        return x

    def damped(self, params: Array) -> Array:
        """Parameters of `Scale.JOINT` near others, inside the boundary that these are on."""
        return params * 0.99 ** np.arange(1, len(params) + 1)

    def kept_inside(self, params: Array) -> Array:
        """Parameters of `Scale.JOINT` after a small step, brought back within their bounds."""
        return params

    def runs(self, own: Array) -> list[Array]:
        """Of the coordinates of a variable of `Scale.JOINT`, at the places ``own``, those of which
        one at an edge makes those that follow it mean nothing.
        """
        return [own]

    # -- what it can be used for

    def is_linear(self, variance: object) -> bool:
        """Whether a covariance matrix with this correlation and a part of a variance model is
        linear in the covariances themselves.
        """
        return False

    def lies_in(self, other: Correlation, in_line: bool) -> bool:
        """Whether it is a special case of another over the same occasions, as far as is known.

        Parameters
        ----------
        other : Correlation
        in_line : bool
            Whether places are along a line.
        """
        if other == self or other.unrestricted:
            return True
        one = self
        if other.nugget:  # of zero, or with one that is the same
            one, other = replace(self, nugget=False), replace(other, nugget=False)
            if one == other:
                return True
        if one.nugget or (one.of_distance and not in_line):
            return False
        return isinstance(other, one.within)

    def singular_at(self, smaller: Correlation) -> bool:
        """Whether the information is singular where it is the special case ``smaller``."""
        return False

    def check_size(self, T: int, where: str) -> None:
        """Refuse T occasions of what is named by ``where`` if they have too few correlations for
        the parameters.
        """

    def check_spacing(self, spacing: float, column: str, name: str) -> None:
        """Refuse a unit of a column in which a parameter is a number that has no digits."""

    def unidentified(self, block: Array, point: Array, T: int) -> tuple[int, int] | None:
        """Two occasions whose correlation, of those that are parameters, no rows tell.

        Parameters
        ----------
        block, point : (n,) int arrays
            The subject and the occasion of each row.
        T : int
            The number of occasions.
        """
        return None

    def held_outside(self, name: str, values: Sequence[float]) -> str:
        """Why parameters of `Scale.JOINT` cannot be held at values outside their bounds."""
        raise NotImplementedError

    # -- how it is written

    def formula(self, s: Symbols) -> str:
        """An element of the correlation matrix for ``describe()``, without a nugget."""
        raise NotImplementedError

    def program(self, size: str, lags: str, parameter: Callable[..., str]) -> Iterator[str]:
        """Lines of `Model.code` that make matrices ``C``.

        Parameters
        ----------
        size : str
            The number of rows of a matrix.
        lags : str
            Lags of its elements. Their distances are ``distance``.
        parameter : callable
            How a parameter is written, by its variable without the factor, "rho", and its place
            among several and their number.
        """
        raise NotImplementedError

    def program_of_all(self, T: int, name: str, parameters: str, root: str) -> Iterator[str]:
        """Lines of `Model.code` that make the matrix of T occasions, of a structure that is
        `single`.

        Parameters
        ----------
        T : int
        name : str
            What the matrix is called.
        parameters : str
            The vector of its parameters.
        root : str
            The Cholesky factor of an unrestricted matrix.
        """
        raise NotImplementedError


def fisher_z(value: float) -> float:
    """Fisher's z of a correlation; that of one a little further inside, if it is next to 1."""
    inside = 1.0 - 2.0 * MARGIN
    return float(np.arctanh(np.clip(value, -inside, inside)))
