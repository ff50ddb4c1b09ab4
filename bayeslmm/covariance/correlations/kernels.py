"""Correlation structures over effects or occasions: parameters → correlation matrix, the adjoint
back, and unconstrained coordinates of the parameters.

Each structure's mathematics stands here once, for G and for R. Compiled functions know a structure
by its code and by whether its last parameter is a nugget ν, which multiplies the correlations off
the diagonal by 1 − ν; `CORRELATIONS` has the structures by name. Correlations depend on

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
from itertools import pairwise

import numpy as np
from numba import njit

from bayeslmm.covariance.cholesky import correlation_factor
from bayeslmm.covariance.correlations import loadings
from bayeslmm.data.frames import Array
from bayeslmm.errors import ArgumentError

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
    "exchangeable_pullback",
    "exchangeable_weights",
    "factor_analytic",
    "markov_pullback",
    "markov_weights",
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
        """Whether `markov_weights` whitens it; functions of distance only along one line."""
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


@njit(nogil=True, cache=True, error_model="numpy")
def correlation(code: int, nugget: bool, params: Array, points: Array, D: Array, C: Array) -> bool:
    """Write the correlation matrix of q rows into ``C``, unless the parameters have none.

    Parameters
    ----------
    code, nugget : int, bool
        Of a `Correlation`.
    params : array
        Its parameters, all T occasions'; their order is that of `Correlation.kinds`.
    points : (q,) int array
        Positions of the rows among the occasions, 0 to T − 1. Rows at one position correlate by 1.
        Not used by functions of distance, nor by `NONE` and `CS`.
    D : (q, q) array
        Distances, used by functions of distance only; of `KNOWN` the correlations.
    C : (q, q) array
        Overwritten.

    Returns
    -------
    bool
        False if the parameters are outside their bounds (those of `CS` for q rows) or, for `UN`,
        `TOEP` and loadings, make no correlation matrix of all T occasions.
    """
    q = len(C)
    if not _inside(code, nugget, params, q):
        return False
    share = 1.0 - params[len(params) - 1] if nugget else 1.0
    K = _antedependence(params) if code == _ANTE1 else np.empty((0, 0))
    for i in range(q):
        C[i, i] = 1.0
        for j in range(i):
            value = 1.0
            if code == _NONE:
                value = 0.0
            elif code == _CS:
                value = params[0]
            elif code == _KNOWN:
                value = D[i, j]
            elif _CAR1 <= code <= _MATERN25:
                value = share * _at_distance(code, params[0], D[i, j])[0]
            elif points[i] != points[j]:
                if code > _FA:
                    value = loadings.product(code - _FA, params, points[i], points[j])
                elif code == _UN:
                    value = params[_pair(points[i], points[j])]
                elif code == _ANTE1:
                    value = K[points[i], points[j]]
                else:
                    value = _at_lag(code, params, abs(points[i] - points[j]))
            C[i, j] = C[j, i] = value
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def correlation_pullback(
    code: int, nugget: bool, params: Array, points: Array, D: Array, dC: Array, dparams: Array
) -> None:
    """Add to ``dparams`` the adjoint of `correlation`.

    Parameters
    ----------
    code, nugget, params, points, D
        As given to `correlation`, which returned True.
    dC : (q, q) array
        The adjoint of C: df is the sum of dC_ij · (change of C_ij) over all i and j, so that a pair
        counts with both its triangles. The diagonal is not used.
    dparams : array
        As long as ``params``.
    """
    last = len(params) - 1
    share = 1.0 - params[last] if nugget else 1.0
    T = len(params) + 1 if code == _ANTE1 else 0
    dK = np.zeros((T, T))  # of the lower triangle over all occasions
    for i in range(len(dC)):
        for j in range(i):
            dvalue = dC[i, j] + dC[j, i]
            if code == _CS:
                dparams[0] += dvalue
            elif _CAR1 <= code <= _MATERN25:
                value, slope = _at_distance(code, params[0], D[i, j])
                dparams[0] += share * dvalue * slope
                if nugget:
                    dparams[last] -= dvalue * value
            elif code not in (_NONE, _KNOWN) and points[i] != points[j]:
                if code > _FA:
                    loadings.add_slopes(code - _FA, params, points[i], points[j], dvalue, dparams)
                elif code == _UN:
                    dparams[_pair(points[i], points[j])] += dvalue
                elif code == _ANTE1:
                    dK[max(points[i], points[j]), min(points[i], points[j])] += dvalue
                else:
                    _add_lag_slopes(code, params, abs(points[i] - points[j]), dvalue, dparams)
    if code == _ANTE1:
        _antedependence_pullback(params, dK, dparams)


@njit(nogil=True, cache=True, error_model="numpy")
def _interval_of(code: int, T: int) -> tuple[float, float]:
    """The bounds of each parameter but a nugget."""
    if _CAR1 < code <= _MATERN25:
        return 0.0, np.inf
    if code == _CAR1:
        return 0.0, 1.0
    return -1.0 / max(T - 1, 1) if code == _CS else -1.0, 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _inside(code: int, nugget: bool, params: Array, q: int) -> bool:
    """Whether parameters are those of a correlation matrix."""
    n = len(params)
    if nugget:
        n -= 1
        if not 0.0 <= params[n] < 1.0:
            return False
    if code == _UN:
        T = round((1.0 + np.sqrt(1.0 + 8.0 * n)) / 2.0)
        return correlation_factor(T, params, np.zeros((T, T)))
    if code == _TOEP:
        return _partials(params, np.empty(n))
    if code > _FA:
        return loadings.inside(code - _FA, params)
    lower, upper = _interval_of(code, q)
    inside = True
    for i in range(n):
        inside = inside and lower < params[i] < upper
    return inside


@njit(nogil=True, cache=True, error_model="numpy")
def _pair(i: int, j: int) -> int:
    """Where the correlation of two occasions stands in the strict lower triangle by rows."""
    return max(i, j) * (max(i, j) - 1) // 2 + min(i, j)


@njit(nogil=True, cache=True, error_model="numpy")
def _arma_first(rho: float, ma: float) -> tuple[float, float, float]:
    """The correlation at lag 1 of an ARMA(1,1) process and its derivatives in rho and ma."""
    both, more = rho + ma, 1.0 + rho * ma
    variance = (1.0 - rho) * (1.0 + rho) + both * both  # 1 + 2 rho ma + ma²
    first = more * both / variance
    drho = (more + ma * both - 2.0 * ma * first) / variance
    dma = (more + rho * both - 2.0 * both * first) / variance
    return first, drho, dma


@njit(nogil=True, cache=True, error_model="numpy")
def _at_lag(code: int, params: Array, lag: int) -> float:
    """The correlation at a lag of at least 1."""
    if code == _AR1:
        return params[0] ** lag
    if code == _ARMA11:
        return _arma_first(params[0], params[1])[0] * params[0] ** (lag - 1)
    return params[lag - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def _add_lag_slopes(code: int, params: Array, lag: int, dvalue: float, dparams: Array) -> None:
    """Add to ``dparams`` the adjoint of `_at_lag`."""
    if code == _AR1:
        dparams[0] += dvalue * lag * params[0] ** (lag - 1)
    elif code == _ARMA11:
        rho = params[0]
        first, drho, dma = _arma_first(rho, params[1])
        power = rho ** (lag - 1)
        dparams[0] += dvalue * power * drho
        dparams[1] += dvalue * power * dma
        if lag > 1:
            dparams[0] += dvalue * first * (lag - 1) * rho ** (lag - 2)
    else:
        dparams[lag - 1] += dvalue


@njit(nogil=True, cache=True, error_model="numpy")
def _at_distance(code: int, param: float, d: float) -> tuple[float, float]:
    """The correlation at a distance, without a nugget, and its derivative in the parameter."""
    if d == 0.0:
        return 1.0, 0.0
    if code == _CAR1:
        return param**d, d * param ** (d - 1.0)
    s = d / param
    if code == _MATERN15:
        s *= np.sqrt(3.0)
    elif code == _MATERN25:
        s *= np.sqrt(5.0)
    decay = np.exp(-s * s) if code == _GAU else np.exp(-s)
    if decay == 0.0:  # s may be infinite
        return 0.0, 0.0
    # with the derivative −s f'(s)/range, since ds/drange = −s/range
    if code == _EXP:
        return decay, s * decay / param
    if code == _GAU:
        return decay, 2.0 * s * s * decay / param
    if code == _MATERN15:
        return (1.0 + s) * decay, s * s * decay / param
    return (1.0 + s + s * s / 3.0) * decay, s * s * (1.0 + s) / 3.0 * decay / param


@njit(nogil=True, cache=True, error_model="numpy")
def _antedependence(rho: Array) -> Array:
    """The correlation matrix of all occasions: products of the neighbours' correlations."""
    T = len(rho) + 1
    K = np.eye(T)
    for j in range(T):
        for i in range(j + 1, T):
            K[i, j] = K[j, i] = K[i - 1, j] * rho[i - 1]
    return K


@njit(nogil=True, cache=True, error_model="numpy")
def _antedependence_pullback(rho: Array, dK: Array, drho: Array) -> None:
    """Add to ``drho`` the adjoint of `_antedependence`, given that of the lower triangle."""
    K = _antedependence(rho)
    for j in range(len(K)):
        dvalue = 0.0
        for i in range(len(K) - 1, j, -1):
            dvalue += dK[i, j]
            drho[i - 1] += dvalue * K[i - 1, j]
            dvalue *= rho[i - 1]


@njit(nogil=True, cache=True, error_model="numpy")
def markov_weights(code: int, params: Array, points: Array, a: Array, c: Array) -> bool:
    """Weights that whiten rows of a Markov structure: z_t = (y_t − a_t y_{t−1}) / c_t.

    Of rows with correlation matrix K, z'z = y'K⁻¹y and log|K| = 2 Σ log c_t, in O(T).

    Parameters
    ----------
    code : int
        Of `AR1`, `ANTE1`, `CAR1` or `EXP` (without a nugget): see `Correlation.markov`.
    params : array
    points : (q,) array
        Positions, of integers, for `AR1` and `ANTE1`; otherwise times. They increase.
    a, c : (q,) arrays
        Overwritten; a_0 = 0 and c_0 = 1.

    Returns
    -------
    bool
        False if parameters are outside their bounds, or points do not increase (by enough to tell).
    """
    if not _inside(code, False, params, len(points)):
        return False
    for t in range(len(points)):
        a[t], c[t] = 0.0, 1.0
        if t == 0:
            continue
        gap = points[t] - points[t - 1]
        if not gap > 0:
            return False
        if code >= _CAR1:
            log_a = gap * np.log(params[0]) if code == _CAR1 else -gap / params[0]
            a[t], c[t] = np.exp(log_a), np.sqrt(-np.expm1(2.0 * log_a))
        else:
            a[t] = 1.0
            for k in range(int(gap)):
                a[t] *= params[0] if code == _AR1 else params[int(points[t - 1]) + k]
            c[t] = np.sqrt((1.0 - a[t]) * (1.0 + a[t]))
        if not c[t] > 0.0:  # the gap is too small for a number
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def markov_pullback(
    code: int,
    params: Array,
    points: Array,
    a: Array,
    c: Array,
    da: Array,
    dc: Array,
    dparams: Array,
) -> None:
    """Add to ``dparams`` the adjoint of `markov_weights`, given those of a and c."""
    for t in range(1, len(points)):
        # c² = 1 − a²
        dvalue = da[t] - dc[t] * a[t] / c[t]
        gap = points[t] - points[t - 1]
        if code == _CAR1:
            dparams[0] += dvalue * gap * a[t] / params[0]
        elif code == _EXP:
            dparams[0] += dvalue * gap * a[t] / params[0] ** 2
        elif code == _AR1:
            dparams[0] += dvalue * gap * params[0] ** (int(gap) - 1)
        else:
            first = int(points[t - 1])
            before = np.ones(int(gap))
            for k in range(1, int(gap)):
                before[k] = before[k - 1] * params[first + k - 1]
            for k in range(int(gap) - 1, -1, -1):
                dparams[first + k] += dvalue * before[k]
                dvalue *= params[first + k]


@njit(nogil=True, cache=True, error_model="numpy")
def exchangeable_weights(rho: float, a: Array, c: Array) -> bool:
    """Weights that whiten rows of `CS`: z_t = (y_t − a_t Σ_{s<t} y_s) / c_t.

    Parameters
    ----------
    rho : float
    a, c : (q,) arrays
        Overwritten: the regression of y_t on the sum of those before it, and what this leaves.

    Returns
    -------
    bool
        False if rho is that of no correlation matrix of q rows.
    """
    for t in range(len(a)):
        before = 1.0 + (t - 1.0) * rho  # the variance of the sum over t, in units of t
        here = 1.0 + t * rho
        if not (rho < 1.0 and here > 0.0):
            return False
        a[t] = rho / before if t > 0 else 0.0
        c[t] = np.sqrt((1.0 - rho) * here / before) if t > 0 else 1.0
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def exchangeable_pullback(rho: float, c: Array, da: Array, dc: Array) -> float:
    """The adjoint of `exchangeable_weights`, given those of a and c."""
    drho = 0.0
    for t in range(1, len(c)):
        before, here = 1.0 + (t - 1.0) * rho, 1.0 + t * rho
        drho += da[t] / before**2
        # of c² = (1 − rho)(1 + t rho) / (1 + (t − 1) rho)
        slope = -here / before + (1.0 - rho) / before**2
        drho += dc[t] * slope / (2.0 * c[t])
    return drho


@njit(nogil=True, cache=True, error_model="numpy")
def _partials(rho: Array, z: Array) -> bool:
    """Write the partial autocorrelations of ``rho`` into ``z``; False if there are none."""
    phi, turned = np.zeros(len(rho)), np.zeros(len(rho))
    left = 1.0
    for k in range(len(rho)):
        value = rho[k]
        for j in range(k):
            value -= phi[j] * rho[k - 1 - j]
        z[k] = value / left
        left *= (1.0 - z[k]) * (1.0 + z[k])
        if not (-1.0 < z[k] < 1.0 and left > 0.0):
            return False
        for j in range(k):
            turned[j] = phi[k - 1 - j]
        for j in range(k):
            phi[j] -= z[k] * turned[j]
        phi[k] = z[k]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _autocorrelations(x: Array, rho: Array, phi: Array, left: Array) -> None:
    """Write the autocorrelations whose partial autocorrelations are tanh(x) into ``rho``.

    Row k of ``phi`` gets the coefficients of the best linear predictor from the k + 1 last values,
    and ``left`` the variance that k values leave: the recursion of Durbin and Levinson.
    """
    for k in range(len(x)):
        z = np.tanh(x[k])
        left[k] = 1.0 if k == 0 else left[k - 1] / np.cosh(x[k - 1]) / np.cosh(x[k - 1])
        rho[k] = z * left[k]
        for j in range(k):
            rho[k] += phi[k - 1, j] * rho[k - 1 - j]
            phi[k, j] = phi[k - 1, j] - z * phi[k - 1, k - 1 - j]
        phi[k, k] = z


@njit(nogil=True, cache=True, error_model="numpy")
def _autocorrelations_pullback(x: Array, drho: Array, dx: Array) -> float:
    """Write the adjoint of `_autocorrelations` and of its log Jacobian, which is returned."""
    m = len(x)
    rho, phi, left = np.empty(m), np.zeros((m, m)), np.empty(m)
    _autocorrelations(x, rho, phi, left)
    drho, dphi = drho.copy(), np.zeros((m, m))
    dleft = 0.0  # of what is left after k + 1 values
    log_jacobian = 0.0
    for k in range(m - 1, -1, -1):
        z, c = np.tanh(x[k]), 1.0 / np.cosh(x[k])
        dz = dphi[k, k] + drho[k] * left[k] - 2.0 * z * left[k] * dleft
        dleft = dleft * c * c + drho[k] * z
        for j in range(k):
            dz -= dphi[k, j] * phi[k - 1, k - 1 - j]
            dphi[k - 1, j] += dphi[k, j] + drho[k] * rho[k - 1 - j]
            dphi[k - 1, k - 1 - j] -= z * dphi[k, j]
            drho[k - 1 - j] += drho[k] * phi[k - 1, j]
        # |drho/dx| = ∏ (1 − z_k²)^(m − k)
        dx[k] = c * c * dz - 2.0 * (m - k) * z
        log_cosh = abs(x[k]) + np.log1p(np.exp(-2.0 * abs(x[k]))) - np.log(2.0)
        log_jacobian -= 2.0 * (m - k) * log_cosh
    return log_jacobian


@njit(nogil=True, cache=True, error_model="numpy")
def _logistic(x: float, a: float, b: float) -> tuple[float, float, float, float]:
    """A value whose share of an interval has logit x, its derivative, the logarithm of that, and
    the derivative of the logarithm.
    """
    e = np.exp(-abs(x))
    share = 1.0 / (1.0 + e) if x >= 0.0 else e / (1.0 + e)
    log_slope = np.log(b - a) - abs(x) - 2.0 * np.log1p(e)
    return a + (b - a) * share, (b - a) * e / (1.0 + e) ** 2, log_slope, 1.0 - 2.0 * share


@njit(nogil=True, cache=True, error_model="numpy")
def _parameter(code: int, T: int, x: float) -> tuple[float, float, float, float]:
    """A parameter that has a coordinate of its own, and its derivatives as in `_logistic`."""
    if code > _CAR1:
        return np.exp(x), np.exp(x), x, 1.0
    lower, upper = _interval_of(code, T)
    if code == _CAR1:
        return _logistic(x, lower, upper)
    # Fisher's z is half a logit
    value, slope, log_slope, change = _logistic(2.0 * x, lower, upper)
    return value, 2.0 * slope, log_slope + np.log(2.0), 2.0 * change


@njit(nogil=True, cache=True, error_model="numpy")
def to_natural(code: int, nugget: bool, T: int, x: Array, params: Array) -> None:
    """Write the parameters at unconstrained coordinates into ``params``.

    Fisher's z of rho and ma, scaled to their bounds for T occasions; the logarithm of a range; the
    logit of `CAR1`'s rho and of a nugget; Fisher's z of the partial autocorrelations of `TOEP`;
    stick-breaking of loadings.
    `UN` has its coordinates in `bayeslmm.coordinates`, and gets NaN here.

    Far out (beyond 18, where tanh(x) rounds to 1) the parameters are on the boundary, and
    `correlation` returns False.
    """
    if code == _UN:
        params[:] = np.nan
        return
    if code == _TOEP:
        m = len(x)
        _autocorrelations(x, params, np.zeros((m, m)), np.empty(m))
        return
    if code > _FA:
        loadings.from_coordinates(code - _FA, x, params)
        return
    for i in range(len(x)):
        if nugget and i == len(x) - 1:
            params[i] = _logistic(x[i], 0.0, 1.0)[0]
        else:
            params[i] = _parameter(code, T, x[i])[0]


@njit(nogil=True, cache=True, error_model="numpy")
def coordinates_pullback(
    code: int, nugget: bool, T: int, x: Array, dparams: Array, dx: Array
) -> float:
    """Write the gradient in x of a log density into ``dx``, and return log |dparams/dx|.

    Parameters
    ----------
    code, nugget, T, x
        As in `to_natural`; for `UN`, all is NaN.
    dparams : array
        The density's gradient in the parameters, without the Jacobian.
    dx : array
        On return, the gradient with the Jacobian.
    """
    if code == _UN:
        dx[:] = np.nan
        return np.nan
    if code == _TOEP:
        return _autocorrelations_pullback(x, dparams, dx)
    if code > _FA:
        return loadings.loadings_pullback(code - _FA, x, dparams, dx)
    log_jacobian = 0.0
    for i in range(len(x)):
        if nugget and i == len(x) - 1:
            _, slope, log_slope, change = _logistic(x[i], 0.0, 1.0)
        else:
            _, slope, log_slope, change = _parameter(code, T, x[i])
        dx[i] = slope * dparams[i] + change
        log_jacobian += log_slope
    return log_jacobian


def to_unconstrained(code: int, nugget: bool, T: int, params: Array) -> Array:
    """The coordinates of parameters: the inverse of `to_natural`.

    Parameters
    ----------
    code, nugget : int, bool
        Of a `Correlation` other than `UN`.
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
    >>> to_unconstrained(AR1.code, False, 4, np.array([0.5])).round(4)
    array([0.5493])
    """
    (structure,) = (replace(c, nugget=nugget) for c in CORRELATIONS.values() if c.code == code)
    if code == _UN:
        raise ArgumentError(
            "the parameters of 'un' have no coordinates here; use those of bayeslmm.coordinates."
        )
    params = np.asarray(params, dtype=float)
    if params.shape != (structure.n_parameters(T),):
        raise ArgumentError(
            f"{structure.name!r} got parameters of shape {params.shape}; give an array of "
            f"{structure.n_parameters(T)} for {T} occasions."
        )
    if not _inside(code, nugget, params, T):
        raise ArgumentError(
            f"{structure.name!r} has no correlation matrix of {T} occasions at {params.tolist()}; "
            "give parameters within their bounds, autocorrelations of a positive definite matrix, "
            "and loadings with communalities below 1."
        )
    inside = 1.0 - 2.0 * _MARGIN
    if code == _TOEP:
        z = np.empty(len(params))
        _partials(params, z)
        return np.arctanh(np.clip(z, -inside, inside))
    if code > _FA:
        return loadings.to_coordinates(code - _FA, params, inside)
    x = np.empty(len(params))
    for i, (kind, value) in enumerate(zip(structure.kinds(T), params, strict=True)):
        if kind == "range":
            x[i] = np.log(value)
            continue
        lower, upper = structure.bounds(T)[i]
        z = np.arctanh(np.clip((2.0 * value - lower - upper) / (upper - lower), -inside, inside))
        x[i] = 2.0 * z if kind == "nugget" or code == _CAR1 else z
    return x
