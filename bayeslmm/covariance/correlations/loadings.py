"""Correlations of factor analysis: C = LL' + I - diag(LL'), with standardised loadings L (T, k).

Row i of L is in the unit ball, so that its communality, the squared length, is at most 1 and the
uniqueness 1 - communality is a variance. A rotation of the k factors changes no correlation; the
one whose loadings above the diagonal are zero, with a diagonal that is not negative, is taken.
Loadings stand row by row: row i has min(i + 1, k) of them.

Unconstrained coordinates of a row are those of stick-breaking: a loading is tanh(x) times what
those before it leave of the length. Where that makes one on the diagonal negative, all loadings of
its factor change their signs: nothing ends at a diagonal loading of zero, which is no more than a
convention.

A search that meets a communality of 1 cannot turn in these coordinates, since a loading that takes
all of the length leaves nothing for those that follow. It goes by ratios first: of the loadings of
a row and the root of its uniqueness, all with free signs and divided by their common length.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bayeslmm.data.frames import Array

__all__ = [
    "add_slopes",
    "from_coordinates",
    "from_ratios",
    "inside",
    "loadings_pullback",
    "most_factors",
    "n_factors",
    "n_loadings",
    "product",
    "ratios_pullback",
    "shortened",
    "start",
    "to_coordinates",
    "to_ratios",
]

_ROUNDING = 1e-12


def n_loadings(k: int, T: int) -> int:
    """The number of loadings of T occasions on k factors, less those that a rotation makes zero."""
    return T * k - k * (k - 1) // 2


def most_factors(T: int) -> int:
    """The most factors of T occasions with no more loadings than there are correlations."""
    fitting = [k for k in range(1, T) if n_loadings(k, T) <= T * (T - 1) // 2]
    return max(fitting, default=0)


def n_factors(T: int, count: int) -> int:
    """The number of factors of T occasions with so many loadings."""
    return next(k for k in range(1, T + 1) if n_loadings(k, T) == count)


def shortened(k: int, params: Array) -> Array:
    """Loadings with rows that are longer than 1 brought to that length."""
    rows = np.split(params, [_first(k, i) for i in range(1, _rows(k, len(params)))])
    return np.concatenate([row / max(1.0, float(np.sqrt(row @ row))) for row in rows])


def start(k: int, T: int) -> Array:
    """Loadings from which to start an optimiser: cosines of rising frequency."""
    rows = [
        0.6 / np.sqrt(k) * np.cos(np.pi * np.arange(min(i + 1, k)) * (i + 0.5) / T)
        for i in range(T)
    ]
    for i in range(min(k, T)):
        rows[i][i] = abs(rows[i][i]) + 0.05
    return np.concatenate(rows)


@njit(nogil=True, cache=True, error_model="numpy")
def _first(k: int, i: int) -> int:
    """Where row i begins."""
    return i * (i + 1) // 2 if i < k else k * (k + 1) // 2 + (i - k) * k


@njit(nogil=True, cache=True, error_model="numpy")
def _rows(k: int, n: int) -> int:
    """The number of rows that n loadings make."""
    return (n + k * (k - 1) // 2) // k


@njit(nogil=True, cache=True, error_model="numpy")
def inside(k: int, params: Array) -> bool:
    """Whether loadings have communalities of at most 1, and a diagonal that is not negative."""
    for i in range(_rows(k, len(params))):
        length, first = 0.0, _first(k, i)
        for f in range(min(i + 1, k)):
            length += params[first + f] ** 2
        if not length <= 1.0 + _ROUNDING or (i < k and params[first + i] < 0.0):
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def product(k: int, params: Array, i: int, j: int) -> float:
    """The correlation of two different rows."""
    value, a, b = 0.0, _first(k, i), _first(k, j)
    for f in range(min(min(i, j) + 1, k)):
        value += params[a + f] * params[b + f]
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def add_slopes(k: int, params: Array, i: int, j: int, dvalue: float, dparams: Array) -> None:
    """Add to ``dparams`` the adjoint of `product`."""
    a, b = _first(k, i), _first(k, j)
    for f in range(min(min(i, j) + 1, k)):
        dparams[a + f] += dvalue * params[b + f]
        dparams[b + f] += dvalue * params[a + f]


@njit(nogil=True, cache=True, error_model="numpy")
def _sign(x: Array, f: int) -> float:
    """That of a factor's loadings, of numbers laid out as they are: its diagonal's."""
    return -1.0 if x[f * (f + 3) // 2] < 0.0 else 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def from_coordinates(k: int, x: Array, params: Array) -> None:
    """Write the loadings at unconstrained coordinates into ``params``."""
    for i in range(_rows(k, len(x))):
        left, first = 1.0, _first(k, i)
        for f in range(min(i + 1, k)):
            params[first + f] = _sign(x, f) * left * np.tanh(x[first + f])
            left /= np.cosh(x[first + f])


@njit(nogil=True, cache=True, error_model="numpy")
def loadings_pullback(k: int, x: Array, dparams: Array, dx: Array) -> float:
    """Write the gradient in x of a log density, with the Jacobian, into ``dx``; return the log
    Jacobian.
    """
    log_jacobian = 0.0
    for i in range(_rows(k, len(x))):
        first, width = _first(k, i), min(i + 1, k)
        left = np.ones(width)
        for f in range(1, width):
            left[f] = left[f - 1] / np.cosh(x[first + f - 1])
        behind = 0.0  # the adjoint of the logarithm of what is left for those that follow
        for f in range(width - 1, -1, -1):
            at = x[first + f]
            share, log_cosh = np.tanh(at), abs(at) + np.log1p(np.exp(-2.0 * abs(at))) - np.log(2.0)
            own = _sign(x, f) * dparams[first + f] * left[f]
            dx[first + f] = own * np.exp(-2.0 * log_cosh) - share * (2.0 + behind)
            behind += own * share + 1.0
            log_jacobian += np.log(left[f]) - 2.0 * log_cosh
    return log_jacobian


def to_coordinates(k: int, params: Array, most: float) -> Array:
    """The inverse of `from_coordinates`.

    Parameters
    ----------
    k : int
    params : array
        Loadings `inside`.
    most : float
        The largest share, less than 1, that has coordinates.
    """
    x = np.empty(len(params))
    for i in range(_rows(k, len(params))):
        left, first = 1.0, _first(k, i)
        for f in range(min(i + 1, k)):
            share = np.clip(params[first + f] / left, -most, most)
            x[first + f] = np.arctanh(share)
            left *= np.sqrt((1.0 - share) * (1.0 + share))
    return x


def to_ratios(k: int, params: Array) -> Array:
    """The ratios of loadings: these row by row, and then the roots of the uniquenesses."""
    row, _ = _layout(k, len(params))
    communalities = np.bincount(row, params**2)
    return np.concatenate([params, np.sqrt(np.maximum(1.0 - communalities, 0.0))])


def from_ratios(k: int, ratios: Array, n: int) -> Array:
    """The n loadings with these ratios, whose rows may have any length and signs."""
    row, factor = _layout(k, n)
    return _signs(ratios, factor) * ratios[:n] / _lengths(ratios, row)[row]


def ratios_pullback(k: int, ratios: Array, dparams: Array) -> Array:
    """The gradient in ratios of what has the gradient ``dparams`` in their loadings."""
    n = len(dparams)
    row, factor = _layout(k, n)
    length = _lengths(ratios, row)
    unit, slopes = ratios[:n] / length[row], _signs(ratios, factor) * dparams / length[row]
    along = np.bincount(row, slopes * unit)
    return np.concatenate([slopes - along[row] * unit, -along * ratios[n:] / length])


def _layout(k: int, n: int) -> tuple[Array, Array]:
    """The row and the factor of each of n loadings."""
    places = [(i, f) for i in range(_rows(k, n)) for f in range(min(i + 1, k))]
    row, factor = np.array(places).T
    return row, factor


def _signs(x: Array, factor: Array) -> Array:
    return np.array([_sign(x, f) for f in factor])


def _lengths(ratios: Array, row: Array) -> Array:
    """The lengths of rows with the root of their uniqueness."""
    squares = np.bincount(row, ratios[: len(row)] ** 2)
    return np.sqrt(squares + ratios[len(row) :] ** 2)
