"""Rows that are correlated with each other made independent, in place, and the adjoints.

`NONE` needs nothing. A `MARKOV` or an `EXCHANGEABLE` structure is whitened in order, each row by
the one before it or by the sum of all before it, with two weights a row, which costs O(rows). A
`DENSE` one is multiplied by the inverse of the Cholesky factor of its correlation matrix; where
that is known, the factor stays the same.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bayeslmm.covariance.correlations.kernels import (
    CS,
    Correlation,
    correlation,
    correlation_pullback,
    exchangeable_pullback,
    exchangeable_weights,
    markov_pullback,
    markov_weights,
)
from bayeslmm.covariance.correlations.kernels import NONE as NO_CORRELATION

__all__ = [
    "DENSE",
    "EXCHANGEABLE",
    "MARKOV",
    "NONE",
    "colour",
    "dense_log_det",
    "factor_size",
    "how_to_whiten",
    "pattern_factor",
    "pattern_pullback",
    "whiten",
    "whiten_pullback",
]

NONE, MARKOV, EXCHANGEABLE, DENSE = range(4)


def how_to_whiten(structure: Correlation, nugget: bool, dimensions: int) -> int:
    """The cheapest way for a correlation over places of some dimensions."""
    if structure.code == NO_CORRELATION.code:
        return NONE
    if structure.code == CS.code:
        return EXCHANGEABLE
    return MARKOV if structure.markov and not nugget and dimensions < 2 else DENSE


def factor_size(how: int, t: np.ndarray) -> np.ndarray:
    """The length of what whitens t rows: two weights a row, or a matrix by rows."""
    return np.square(t) if how == DENSE else 2 * t


@njit(nogil=True, cache=True, error_model="numpy")
def _positions(points, place):
    """What a Markov structure is along: positions, or times where there are such."""
    return place[:, 0].copy() if place.shape[1] else points.astype(np.float64)


@njit(nogil=True, cache=True, error_model="numpy")
def _distances(place):
    t, d = place.shape
    D = np.zeros((t, t) if d else (0, 0))
    if d:
        for i in range(t):
            for j in range(i):
                square = 0.0
                for k in range(d):
                    square += (place[i, k] - place[j, k]) ** 2
                D[i, j] = D[j, i] = np.sqrt(square)
    return D


@njit(nogil=True, cache=True, error_model="numpy")
def _cholesky(C, K):
    """Factor of C (t, t) into the flat K; whether C is positive definite."""
    t = len(C)
    for i in range(t):
        for j in range(i + 1):
            value = C[i, j]
            for k in range(j):
                value -= K[i * t + k] * K[j * t + k]
            if i == j:
                if not value > 0.0:
                    return False
                K[i * t + i] = np.sqrt(value)
            else:
                K[i * t + j] = value / K[j * t + j]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def dense_log_det(K, t):
    """Logarithm of the determinant of the (t, t) matrix with the flat Cholesky factor ``K``."""
    log_det = 0.0
    for i in range(t):
        log_det += 2.0 * np.log(K[i * t + i])
    return log_det


@njit(nogil=True, cache=True, error_model="numpy")
def pattern_factor(how, code, nugget, params, points, place, K):
    """Write what whitens the rows of a pattern into ``K``.

    Parameters
    ----------
    how : int
        Not `NONE`.
    code, nugget : int, bool
        Of a `Correlation`.
    params : array
    points : (t,) int array
        Positions of the rows among all occasions.
    place : (t, d) array
        Times or coordinates, without columns where no distance counts.
    K : flat array

    Returns
    -------
    float
        The logarithm of the determinant of the correlation matrix.
    bool
        Whether the parameters are those of a correlation matrix.
    """
    t = len(points)
    log_det = 0.0
    if how == DENSE:
        C = np.empty((t, t))
        if not correlation(code, nugget, params, points, _distances(place), C):
            return log_det, False
        if not _cholesky(C, K):
            return log_det, False
        return dense_log_det(K, t), True
    if how == MARKOV:
        ok = markov_weights(code, params, _positions(points, place), K[:t], K[t:])
    else:
        ok = exchangeable_weights(params[0], K[:t], K[t:])
    if ok:
        for i in range(t):
            log_det += 2.0 * np.log(K[t + i])
    return log_det, ok


@njit(nogil=True, cache=True, error_model="numpy")
def pattern_pullback(how, code, nugget, params, points, place, K, dK, dparams):
    """Add to ``dparams`` the adjoint of `pattern_factor`, given that of K (overwritten)."""
    t = len(points)
    if how == DENSE:
        dC = np.empty((t, t))
        _cholesky_pullback(K, t, dK, dC)
        correlation_pullback(code, nugget, params, points, _distances(place), dC, dparams)
    elif how == MARKOV:
        at = _positions(points, place)
        markov_pullback(code, params, at, K[:t], K[t:], dK[:t], dK[t:], dparams)
    else:
        dparams[0] += exchangeable_pullback(params[0], K[t:], dK[:t], dK[t:])


@njit(nogil=True, cache=True, error_model="numpy")
def _cholesky_pullback(K, t, dK, dC):
    """Adjoint of the Cholesky factorisation, as a symmetric one in both triangles; dK is
    overwritten. The unblocked reverse sweep of Murray (2016), arXiv:1602.07527.
    """
    for i in range(t - 1, -1, -1):
        for j in range(i, -1, -1):
            if i == j:
                dK[i * t + i] *= 0.5 / K[i * t + i]
                slope = 2.0 * dK[i * t + i]
            else:
                dK[i * t + j] /= K[j * t + j]
                slope = dK[i * t + j]
                dK[j * t + j] -= slope * K[i * t + j]
            for k in range(j):
                dK[i * t + k] -= slope * K[j * t + k]
                if i != j:
                    dK[j * t + k] -= slope * K[i * t + k]
    for i in range(t):
        for j in range(i):
            dC[i, j] = dC[j, i] = 0.5 * dK[i * t + j]
        dC[i, i] = dK[i * t + i]


@njit(nogil=True, cache=True, error_model="numpy")
def whiten(how, K, Y, t, c):
    """The first t rows and c columns of ``Y``, whitened in place."""
    if how == MARKOV:
        for i in range(t - 1, 0, -1):
            weight, pivot = K[i], 1.0 / K[t + i]
            for j in range(c):
                Y[i, j] = (Y[i, j] - weight * Y[i - 1, j]) * pivot
    elif how == EXCHANGEABLE:
        total = np.zeros(c)
        for i in range(t):
            weight, pivot = K[i], 1.0 / K[t + i]
            for j in range(c):
                value = Y[i, j]
                Y[i, j] = (value - weight * total[j]) * pivot
                total[j] += value
    elif how == DENSE:
        for i in range(t):
            for k in range(i):
                weight = K[i * t + k]
                if weight != 0.0:
                    for j in range(c):
                        Y[i, j] -= weight * Y[k, j]
            pivot = 1.0 / K[i * t + i]
            for j in range(c):
                Y[i, j] *= pivot


@njit(nogil=True, cache=True, error_model="numpy")
def whiten_pullback(how, K, rows, Y, dY, t, c, dK):
    """The adjoint of `whiten`, and of -½ log|R|.

    Parameters
    ----------
    how, K, t, c
        As for `whiten`.
    rows : (t, c) array
        What was whitened.
    Y : (t, c) array
        What became of it.
    dY : array
        The adjoint of Y, which is turned into that of ``rows``.
    dK : flat array
        The adjoint of K is added to it.
    """
    if how == MARKOV:
        for i in range(1, t):
            weight, pivot = K[i], 1.0 / K[t + i]
            da, dc = 0.0, -1.0
            for j in range(c):
                e = dY[i, j] * pivot
                dc -= dY[i, j] * Y[i, j]
                da -= e * rows[i - 1, j]
                dY[i, j] = e
                dY[i - 1, j] -= weight * e
            dK[i] += da
            dK[t + i] += dc * pivot
    elif how == EXCHANGEABLE:
        total = np.zeros(c)
        for i in range(t):
            pivot = 1.0 / K[t + i]
            da, dc = 0.0, -1.0
            for j in range(c):
                e = dY[i, j] * pivot
                dc -= dY[i, j] * Y[i, j]
                da -= e * total[j]
                total[j] += rows[i, j]
                dY[i, j] = e
            dK[i] += da
            dK[t + i] += dc * pivot
        total[:] = 0.0
        for i in range(t - 1, -1, -1):
            weight = K[i]
            for j in range(c):
                e = dY[i, j]
                dY[i, j] -= total[j]
                total[j] += weight * e
    elif how == DENSE:
        for i in range(t - 1, -1, -1):
            for k in range(i + 1, t):
                weight = K[k * t + i]
                if weight != 0.0:
                    for j in range(c):
                        dY[i, j] -= weight * dY[k, j]
            pivot = 1.0 / K[i * t + i]
            for j in range(c):
                dY[i, j] *= pivot
        for i in range(t):
            for k in range(i + 1):
                value = 0.0
                for j in range(c):
                    value += dY[i, j] * Y[k, j]
                dK[i * t + k] -= value
            dK[i * t + i] -= 1.0 / K[i * t + i]


@njit(nogil=True, cache=True, error_model="numpy")
def colour(how, K, z):
    """Correlated rows of independent standard normal ``z`` (t,)."""
    t = len(z)
    out = z.copy()
    if how == DENSE:
        for i in range(t):
            out[i] = 0.0
            for k in range(i + 1):
                out[i] += K[i * t + k] * z[k]
    elif how != NONE:
        before = 0.0
        for i in range(t):
            out[i] = K[i] * before + K[t + i] * z[i]
            before = out[i] if how == MARKOV else before + out[i]
    return out
