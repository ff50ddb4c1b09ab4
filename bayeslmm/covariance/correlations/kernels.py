"""Correlation structures over effects or occasions: parameters → correlation matrix, the adjoint
back, and unconstrained coordinates of the parameters.

Each structure's mathematics stands once, for G and for R, in a file of the compiled library
(`cpp/covariance/correlations/`). It knows a structure by its code and by whether its last parameter
is a nugget ν, which multiplies the correlations off the diagonal by 1 − ν; `CORRELATIONS` has the
structures by name. Correlations depend on

- positions p of the rows among all T occasions, 0 to T − 1 (`UN`, `ANTE1`; as lags k = |p_i − p_j|
  for `AR1`, `ARMA11` and `TOEP`, so that a missing occasion keeps its gap). Rows may be any subset
  of the occasions, in any order;
- these and the number of factors k (`factor_analytic`, whose mathematics is in `loadings`);
- distances d of the rows, in time or in the plane (`CAR1`, `EXP`, `GAU`, `MATERN15`, `MATERN25`);
- neither (`NONE`, `CS`).

That of `KNOWN` has no parameters: its matrix is given in the place of the distances.

Derivations and sources are in docs/correlations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

import numpy as np

from bayeslmm.core.library import Status, address, floats, function, integers
from bayeslmm.covariance.correlations import loadings
from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

__all__ = [
    "ANTE1",
    "AR1",
    "ARMA11",
    "CAR1",
    "CORRELATIONS",
    "CS",
    "EXP",
    "GAU",
    "KNOWN",
    "MATERN15",
    "MATERN25",
    "NONE",
    "TOEP",
    "UN",
    "Correlation",
    "coordinates_pullback",
    "correlation",
    "correlation_pullback",
    "factor_analytic",
    "of_code",
    "to_natural",
    "to_unconstrained",
]


_NONE, _UN, _CS, _AR1, _ARMA11, _TOEP, _ANTE1, _CAR1, _EXP, _GAU, _MATERN15, _MATERN25 = range(12)
_KNOWN = 12
_FA = 12
"""Each factor of factor analysis adds one to this code, which is none of its own."""
_MOST_FACTORS = 9

_MARGIN = 1e-6
"""Share of an interval, next to each end, that has no coordinates of its own."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation structure over T occasions or effects.

    Attributes
    ----------
    name : str
    code : int
        How compiled functions know it.
    variables : tuple of str
        The variables that its parameters belong to, without the nugget.
    nugget : bool
        Whether its last parameter is a nugget; for functions of distance only.

    Examples
    --------
    >>> from bayeslmm.covariance.correlations.kernels import AR1, TOEP
    >>> TOEP.n_parameters(4), AR1.bounds(4)
    (3, ((-1.0, 1.0),))
    """

    name: str
    code: int
    variables: tuple[str, ...] = ()
    nugget: bool = False

    def __post_init__(self) -> None:
        """Refuse a nugget where there is none."""
        if self.nugget and not self.of_distance:
            raise ArgumentError(
                f"{self.name!r} was asked for with a nugget; only correlations that are functions "
                "of distance have one: 'car1', 'exp', 'gau', 'matern15', 'matern25'."
            )

    @property
    def of_distance(self) -> bool:
        """Whether it is a function of distance."""
        return _CAR1 <= self.code <= _MATERN25

    @property
    def factors(self) -> int:
        """The number of factors of `factor_analytic`; 0 of others."""
        return max(self.code - _FA, 0)

    @property
    def markov(self) -> bool:
        """Whether each row is whitened by the one before it; functions of distance only along one
        line.
        """
        return self.code in (_AR1, _ANTE1, _CAR1, _EXP) and not self.nugget

    def n_parameters(self, T: int) -> int:
        """The number of parameters for T occasions; for `TOEP`, T − 1 is the largest lag."""
        if self.code == _UN:
            return T * (T - 1) // 2
        if self.code in (_TOEP, _ANTE1):
            return T - 1
        if self.factors:
            return loadings.n_loadings(self.factors, T)
        return len(self.variables) + self.nugget

    def kinds(self, T: int) -> tuple[str, ...]:
        """The variable of each parameter: ``corr``, ``rho``, ``ma``, ``range``, ``nugget`` or
        ``loading``.
        """
        if self.code in (_UN, _TOEP, _ANTE1) or self.factors:
            return self.variables * self.n_parameters(T)
        return self.variables + ("nugget",) * self.nugget

    def labels(self, occasions: Sequence[str]) -> tuple[str, ...]:
        """What stands in brackets after each parameter's variable; empty where nothing does.

        Parameters
        ----------
        occasions : sequence of str
            Labels of all T occasions, or of the effects.

        Returns
        -------
        tuple of str
            A pair of occasions for `UN` (strict lower triangle by rows) and `ANTE1` (neighbours),
            a lag for `TOEP`; an occasion and the number of a factor for `factor_analytic`.

        Examples
        --------
        >>> from bayeslmm.covariance.correlations.kernels import AR1, UN
        >>> UN.labels(["8", "10", "12"])
        ('8, 10', '8, 12', '10, 12')
        >>> AR1.labels(["8", "10", "12"])
        ('',)
        """
        T = len(occasions)
        if self.code in (_UN, _ANTE1):
            return tuple(map(", ".join, self.pairs(occasions)))
        if self.code == _TOEP:
            return tuple(str(lag) for lag in range(1, T))
        if self.factors:
            return tuple(
                f"{occasion}, {f + 1}"
                for i, occasion in enumerate(occasions)
                for f in range(min(i + 1, self.factors))
            )
        return ("",) * self.n_parameters(T)

    def pairs(self, occasions: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """The pair of occasions of each parameter of `UN` and `ANTE1`; of others there are none."""
        T = len(occasions)
        if self.code == _UN:
            return tuple((occasions[j], occasions[i]) for i in range(T) for j in range(i))
        return tuple(pairwise(occasions)) if self.code == _ANTE1 else ()

    def bounds(self, T: int) -> tuple[tuple[float, float], ...]:
        """The interval of each parameter, open except for a nugget of 0.

        Within these, `UN` and `TOEP` are also bound to be positive definite, and loadings to have
        communalities of at most 1 and a diagonal that is not negative.
        """
        own = _interval_of(self.code, T)
        return tuple((0.0, 1.0) if kind == "nugget" else own for kind in self.kinds(T))

    def start(self, T: int, distance: float = 1.0) -> Array:
        """Values from which to start an optimiser.

        Parameters
        ----------
        T : int
        distance : float, default 1
            A distance of neighbours, in the unit of time or of the coordinates.
        """
        if self.code == _UN:
            return np.zeros(self.n_parameters(T))
        if self.code == _TOEP:
            return 0.3 ** np.arange(1, T)
        if self.factors:
            return loadings.start(self.factors, T)
        # not at 0, where rho and ma of ARMA(1,1) cannot be told apart
        values = {"rho": 0.3, "ma": 0.1, "range": distance, "nugget": 0.1}
        if self.code == _CAR1:
            values["rho"] = np.exp(-1.0 / distance)
        return np.array([values[kind] for kind in self.kinds(T)])


NONE = Correlation("none", _NONE)
UN = Correlation("un", _UN, ("corr",))
CS = Correlation("cs", _CS, ("rho",))
AR1 = Correlation("ar1", _AR1, ("rho",))
ARMA11 = Correlation("arma11", _ARMA11, ("rho", "ma"))
TOEP = Correlation("toep", _TOEP, ("rho",))
ANTE1 = Correlation("ante1", _ANTE1, ("rho",))
CAR1 = Correlation("car1", _CAR1, ("rho",))
EXP = Correlation("exp", _EXP, ("range",))
GAU = Correlation("gau", _GAU, ("range",))
MATERN15 = Correlation("matern15", _MATERN15, ("range",))
MATERN25 = Correlation("matern25", _MATERN25, ("range",))
KNOWN = Correlation("known", _KNOWN)
_SINGLE = (NONE, UN, CS, AR1, ARMA11, TOEP, ANTE1, CAR1, EXP, GAU, MATERN15, MATERN25, KNOWN)


def factor_analytic(k: int) -> Correlation:
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
    >>> from bayeslmm.covariance.correlations.kernels import factor_analytic
    >>> factor_analytic(2).n_parameters(5), factor_analytic(1).labels(["a", "b"])
    (9, ('a, 1', 'b, 1'))
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MOST_FACTORS:
        raise ArgumentError(
            f"the number of factors should be a whole number from 1 to {_MOST_FACTORS}, got {k!r}."
        )
    return Correlation(f"fa{k}", _FA + k, ("loading",))


CORRELATIONS = {c.name: c for c in (*_SINGLE, *map(factor_analytic, range(1, _MOST_FACTORS + 1)))}


@cache
def of_code(code: int, nugget: bool = False) -> Correlation:
    """The structure with a code."""
    (structure,) = (own for own in CORRELATIONS.values() if own.code == code)
    return replace(structure, nugget=nugget)


_correlations = function("correlations", "ibaiiiaaa")
_correlations_pullback = function("correlations_pullback", "ibaiiiaaaa", None)
_inside_bounds = function("inside", "ibaii")
_to_natural = function("to_natural", "ibiaia")
_coordinates_pullback = function("coordinates_pullback", "ibiaiaaa")
_partials_of = function("partials", "aia")


def correlation(
    structure: Correlation, params: Array, points: Array, distances: Array
) -> tuple[Array, bool]:
    """Correlation matrices of several sets of rows, or of one.

    Parameters
    ----------
    structure : Correlation
    params : (..., k) array
        The parameters of each set, all T occasions'; their order is that of `Correlation.kinds`.
    points : (..., q) int array
        Positions of the rows among the occasions, 0 to T − 1. Rows at one position correlate by 1.
        Not used by functions of distance, nor by `NONE` and `CS`.
    distances : (..., q, q) array
        Used by functions of distance only; of `KNOWN` the correlations.

    Returns
    -------
    (..., q, q) array
        NaN where parameters are outside their bounds (those of `CS` for q rows) or, for `UN`,
        `TOEP` and loadings, make no correlation matrix of all T occasions.
    bool
        Whether all are correlation matrices.
    """
    params, points, distances = floats(params), integers(points), floats(distances)
    C = np.empty(distances.shape)
    status = _correlations(
        *_called(structure, params, points), address(points), address(distances), address(C)
    )
    return C, status == Status.OK


def correlation_pullback(
    structure: Correlation, params: Array, points: Array, distances: Array, dC: Array
) -> Array:
    """The adjoint of `correlation`.

    Parameters
    ----------
    structure, params, points, distances
        As given to `correlation`, which returned True.
    dC : (..., q, q) array
        The adjoint of C: df is the sum of dC_ij · (change of C_ij) over all i and j, so that a pair
        counts with both its triangles. The diagonal is not used.

    Returns
    -------
    (..., k) array
    """
    params, points, distances, dC = floats(params), integers(points), floats(distances), floats(dC)
    dparams = np.zeros(params.shape)
    _correlations_pullback(
        *_called(structure, params, points),
        address(points),
        address(distances),
        address(dC),
        address(dparams),
    )
    return dparams


def _called(
    structure: Correlation, params: Array, points: Array
) -> tuple[int, bool, int, int, int, int]:
    """How the library takes a structure with its parameters, and the sets of rows."""
    sets = int(np.prod(points.shape[:-1], dtype=np.int64))
    at = address(params)
    return structure.code, structure.nugget, at, params.shape[-1], sets, points.shape[-1]


def _interval_of(code: int, T: int) -> tuple[float, float]:
    """The bounds of each parameter but a nugget."""
    if _CAR1 < code <= _MATERN25:
        return 0.0, np.inf
    if code == _CAR1:
        return 0.0, 1.0
    return -1.0 / max(T - 1, 1) if code == _CS else -1.0, 1.0


def _inside(structure: Correlation, params: Array, q: int) -> bool:
    """Whether parameters are those of a correlation matrix."""
    at = address(params)
    status = _inside_bounds(structure.code, structure.nugget, at, len(params), q)
    return status == Status.OK


def to_natural(structure: Correlation, T: int, x: Array) -> Array:
    """The parameters at unconstrained coordinates.

    Fisher's z of rho and ma, scaled to their bounds for T occasions; the logarithm of a range; the
    logit of `CAR1`'s rho and of a nugget; Fisher's z of the partial autocorrelations of `TOEP`;
    stick-breaking of loadings.
    `UN` has its coordinates in `bayeslmm.coordinates`, and gets NaN here.

    Far out (beyond 18, where tanh(x) rounds to 1) the parameters are on the boundary, and
    `correlation` returns False.
    """
    x = floats(x)
    params = np.empty(len(x))
    _to_natural(structure.code, structure.nugget, T, address(x), len(x), address(params))
    return params


def coordinates_pullback(
    structure: Correlation, T: int, x: Array, dparams: Array
) -> tuple[float, Array]:
    """The logarithm of |dparams/dx|, and the gradient in x of a log density with the Jacobian.

    Parameters
    ----------
    structure, T, x
        As in `to_natural`; for `UN`, all is NaN.
    dparams : array
        The density's gradient in the parameters, without the Jacobian.
    """
    x, dparams = floats(x), floats(dparams)
    dx, log_jacobian = np.empty(len(x)), np.empty(1)
    _coordinates_pullback(
        structure.code,
        structure.nugget,
        T,
        address(x),
        len(x),
        address(dparams),
        address(dx),
        address(log_jacobian),
    )
    return float(log_jacobian[0]), dx


def to_unconstrained(structure: Correlation, T: int, params: Array) -> Array:
    """The coordinates of parameters: the inverse of `to_natural`.

    Parameters
    ----------
    structure : Correlation
        Other than `UN`.
    T : int
        Number of occasions.
    params : array
        Within the bounds. Of a value in the outermost millionth of its interval, such as a nugget
        of 0, the coordinates are those of the nearest value further inside.

    Returns
    -------
    array
        As long as ``params``.

    Raises
    ------
    ArgumentError
        For `UN`, and for parameters that are those of no correlation matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from bayeslmm.covariance.correlations.kernels import AR1, to_unconstrained
    >>> to_unconstrained(AR1, 4, np.array([0.5])).round(4)
    array([0.5493])
    """
    if structure.code == _UN:
        raise ArgumentError(
            "the parameters of 'un' have no coordinates here; use those of bayeslmm.coordinates."
        )
    params = floats(params)
    if params.shape != (structure.n_parameters(T),):
        raise ArgumentError(
            f"{structure.name!r} got parameters of shape {params.shape}; give an array of "
            f"{structure.n_parameters(T)} for {T} occasions."
        )
    if not _inside(structure, params, T):
        raise ArgumentError(
            f"{structure.name!r} has no correlation matrix of {T} occasions at {params.tolist()}; "
            "give parameters within their bounds, autocorrelations of a positive definite matrix, "
            "and loadings with communalities below 1."
        )
    inside = 1.0 - 2.0 * _MARGIN
    if structure.code == _TOEP:
        z = np.empty(len(params))
        _partials_of(address(params), len(params), address(z))
        return np.arctanh(np.clip(z, -inside, inside))
    if structure.factors:
        return loadings.to_coordinates(structure.factors, params, inside)
    x = np.empty(len(params))
    for i, (kind, value) in enumerate(zip(structure.kinds(T), params, strict=True)):
        if kind == "range":
            x[i] = np.log(value)
            continue
        lower, upper = structure.bounds(T)[i]
        z = np.arctanh(np.clip((2.0 * value - lower - upper) / (upper - lower), -inside, inside))
        x[i] = 2.0 * z if kind == "nugget" or structure.code == _CAR1 else z
    return x
