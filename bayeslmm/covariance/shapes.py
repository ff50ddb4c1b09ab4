"""Covariance structures of a bar that are a correlation with standard deviations of its effects:
parameters → lower factor L with G = LL', and the adjoint back.

The correlation's mathematics stands in `correlations`, that of the factor in `structures`; here
they are put together. Compiled functions read a bar of either kind from the *table of bars*, a row
of `ROW` integers for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from bayeslmm.covariance.cholesky import UN, factor, factor_pullback
from bayeslmm.covariance.correlations import kernels as correlations
from bayeslmm.covariance.correlations.kernels import Correlation, correlation, correlation_pullback
from bayeslmm.data.frames import Array

__all__ = ["ROW", "Shape", "bar_factor", "bar_pullback", "is_shaped"]

ROW = 10
"""Integers of a bar in the table: its factor, first effect, number of effects, code; where its
standard deviations begin in theta, and how many they are; where its correlation parameters begin in
theta, and how many they are; of a `Shape`, where its *record* begins in the table, and how many
exponents its standard deviations grow by. The record has the places in theta of its correlation
parameters and of its exponents, and as the bits of floats the distances of its effects (q, q) and
the covariates (q, c) of the exponents."""

_SHAPED = 8
_UN = UN.code


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
    exponents : tuple of str
        The variables, ``power`` or ``expon``, of exponents that its standard deviations grow by.
    covariates : (q, c) array
        Whose sums with the exponents are added to the logarithms of the standard deviations.
    """

    correlation: Correlation
    several: bool
    occasions: bool
    distances: Array
    exponents: tuple[str, ...]
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
        return found | dict.fromkeys(self.exponents, ("",))

    def bounds(self, variable: str, q: int) -> tuple[float, float]:
        """The interval of the elements of a variable."""
        if variable in self.exponents:
            return -np.inf, np.inf
        return dict(zip(self.correlation.kinds(q), self.correlation.bounds(q), strict=True))[
            variable
        ]

    def start(self, variable: str, q: int) -> tuple[float, ...]:
        """Values to start from, of the elements of a variable."""
        if variable in self.exponents:
            return (0.0,)
        values = self.correlation.start(q, self.spacing)
        kinds = self.correlation.kinds(q)
        return tuple(float(v) for v, kind in zip(values, kinds, strict=True) if kind == variable)

    def kind(self, variable: str) -> str:
        """The kind of a variable in the layout of theta: that of Toeplitz correlations, which are
        bound to each other, is "lag".
        """
        if variable in self.exponents:
            return "power"
        return "lag" if self.correlation.code == correlations.TOEP.code else variable


@njit(nogil=True, cache=True, error_model="numpy")
def is_shaped(bar: Array) -> bool:
    """Whether a row of the table is that of a `Shape`."""
    return bar[3] >= _SHAPED


@njit(nogil=True, cache=True, error_model="numpy")
def _parameters(bar: Array, table: Array, theta: Array) -> tuple[Array, Array, Array]:
    """A standard deviation for each effect, what they are in units of their parameters, and the
    correlation's parameters.
    """
    covariates, at, n = _covariates(bar, table), bar[8], bar[7]
    growth, sds, params = np.ones(bar[2]), np.empty(bar[2]), np.empty(n)
    for i in range(len(sds)):
        for j in range(bar[9]):
            growth[i] *= np.exp(theta[table[at + n + j]] * covariates[i, j])
        sds[i] = growth[i] * theta[bar[4] + i if bar[5] > 1 else bar[4]]
    for i in range(n):
        params[i] = theta[table[at + i]]
    return sds, growth, params


@njit(nogil=True, cache=True, error_model="numpy")
def _distances(bar: Array, table: Array) -> Array:
    q, at = bar[2], bar[8] + bar[7] + bar[9]
    return table[at : at + q * q].view(np.float64).reshape(q, q)


@njit(nogil=True, cache=True, error_model="numpy")
def _covariates(bar: Array, table: Array) -> Array:
    q, c = bar[2], bar[9]
    at = bar[8] + bar[7] + c + q * q
    return table[at : at + q * c].view(np.float64).reshape(q, c)


@njit(nogil=True, cache=True, error_model="numpy")
def _lower(bar: Array, table: Array, params: Array, corr: Array) -> bool:
    """Write the lower triangle, by rows, of the correlation matrix into ``corr``."""
    q, code = bar[2], bar[3] - _SHAPED
    C = np.empty((q, q))
    if not correlation(code // 2, code % 2 == 1, params, np.arange(q), _distances(bar, table), C):
        return False
    at = 0
    for i in range(q):
        for j in range(i):
            corr[at] = C[i, j]
            at += 1
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def bar_factor(bar: Array, table: Array, theta: Array, L: Array) -> bool:
    """Write the lower factor of a bar's G into ``L`` (q, q), and say whether theta are the
    parameters of a covariance matrix.

    Parameters
    ----------
    bar : (ROW,) int array
        Its row of the table.
    table : int array
        The table of bars.
    theta : (k,) array
    L : (q, q) array
        Overwritten.
    """
    q = bar[2]
    if not is_shaped(bar):
        return factor(bar[3], q, theta[bar[4] :], theta[bar[6] :], L)
    sds, _, params = _parameters(bar, table, theta)
    corr = np.empty(q * (q - 1) // 2)
    if not _lower(bar, table, params, corr):
        return False
    return factor(_UN, q, sds, corr, L)


@njit(nogil=True, cache=True, error_model="numpy")
def bar_pullback(bar: Array, table: Array, theta: Array, dL: Array, dtheta: Array) -> None:
    """Add to ``dtheta`` the adjoint of `bar_factor`, given that of L in ``dL`` (overwritten)."""
    q, sd = bar[2], bar[4]
    if not is_shaped(bar):
        factor_pullback(bar[3], q, theta[sd:], theta[bar[6] :], dL, dtheta[sd:], dtheta[bar[6] :])
        return
    sds, growth, params = _parameters(bar, table, theta)
    covariates, at, n = _covariates(bar, table), bar[8], bar[7]
    corr = np.empty(q * (q - 1) // 2)
    _lower(bar, table, params, corr)
    dsds, dcorr = np.zeros(q), np.zeros(len(corr))
    factor_pullback(_UN, q, sds, corr, dL, dsds, dcorr)
    for i in range(q):
        dtheta[sd + i if bar[5] > 1 else sd] += dsds[i] * growth[i]
        for j in range(bar[9]):
            dtheta[table[at + n + j]] += dsds[i] * sds[i] * covariates[i, j]
    dC = np.zeros((q, q))
    for i in range(q):
        for j in range(i):
            dC[i, j] = dcorr[i * (i - 1) // 2 + j]
    code, dparams = bar[3] - _SHAPED, np.zeros(len(params))
    correlation_pullback(
        code // 2, code % 2 == 1, params, np.arange(q), _distances(bar, table), dC, dparams
    )
    for i in range(n):
        dtheta[table[at + i]] += dparams[i]
