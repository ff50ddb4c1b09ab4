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

from bayeslmm.support.arrays import Array

__all__ = [
    "from_ratios",
    "inside",
    "most_factors",
    "n_factors",
    "n_loadings",
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


def _first(k: int, i: int) -> int:
    """Where row i begins."""
    return i * (i + 1) // 2 if i < k else k * (k + 1) // 2 + (i - k) * k


def _rows(k: int, n: int) -> int:
    """The number of rows that n loadings make."""
    return (n + k * (k - 1) // 2) // k


def inside(k: int, params: Array) -> bool:
    """Whether loadings have communalities of at most 1, and a diagonal that is not negative."""
    row, factor = _layout(k, len(params))
    communalities = np.bincount(row, params**2)
    diagonal = params[row == factor]
    return bool(np.all(communalities <= 1.0 + _ROUNDING) and not np.any(diagonal < 0.0))


def _sign(x: Array, f: int) -> float:
    """That of a factor's loadings, of numbers laid out as they are: its diagonal's."""
    return -1.0 if x[f * (f + 3) // 2] < 0.0 else 1.0


def to_coordinates(k: int, params: Array, most: float) -> Array:
    """Unconstrained coordinates of loadings.

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
