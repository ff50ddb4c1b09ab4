"""Cross-products under a structured R, at given parameters, and the adjoint back to these.

The rows of data that are correlated with each other are a *block*. For each block the rows of
[Z X y] are divided by their standard deviations (relative to sigma) and whitened by their
correlation (`whitening`); the cross-products of the result take the place of those that
`elimination` makes for independent residuals, and everything that works on these stays as it is.
Blocks with the same occasions are one *pattern*, and share what whitens them. `residual_packing`
writes the vectors that are read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from bayeslmm.covariance.correlations.kernels import KNOWN
from bayeslmm.equations.whitening import (
    NONE,
    colour,
    dense_log_det,
    pattern_factor,
    pattern_pullback,
    whiten,
    whiten_pullback,
)

__all__ = [
    "N_HEADER",
    "ResidualRows",
    "assemble",
    "coloured",
    "has_structure",
    "pull_assembled",
    "replace_covariates",
    "replace_response",
]

_KNOWN = KNOWN.code
N_HEADER = 17
"""Length of the header of offsets at the front of R's part of the integers."""


@dataclass(frozen=True, eq=False)
class ResidualRows:
    """What a structure for R needs to know of each row of data.

    Attributes
    ----------
    code : int
        The correlation structure.
    nugget : bool
    block : (n,) int array
        Rows of one block are correlated.
    point : (n,) int array
        The position of the row's occasion among all of them.
    place : (n, d) array
        Its time or coordinates.
    stratum : (n,) int array
        Which set of correlation parameters holds for its block.
    sigma : (n,) int array
        Which residual standard deviation is the row's.
    covariates : (n, m) array
        The logarithm of the row's standard deviation is linear in these.
    n_points, n_strata, n_sigmas, n_corr : int
        Occasions; sets of correlation parameters; residual standard deviations; correlation
        parameters of a set.
    known : (n_points, n_points) array
        The correlations of all occasions, where they are known; empty otherwise.
    """

    code: int
    nugget: bool
    block: np.ndarray
    point: np.ndarray
    place: np.ndarray
    stratum: np.ndarray
    sigma: np.ndarray
    covariates: np.ndarray
    n_points: int
    n_strata: int
    n_sigmas: int
    n_corr: int
    known: np.ndarray

    def between(self, rows: np.ndarray) -> np.ndarray:
        """What the correlations of rows (..., t) depend on but parameters and positions: distances
        (..., t, t), or the correlations themselves where they are known.
        """
        if self.code == _KNOWN:
            point = self.point[rows]
            return self.known[point[..., :, None], point[..., None, :]]
        place = self.place[rows]
        apart = place[..., :, None, :] - place[..., None, :, :]
        return np.sqrt((apart**2).sum(axis=-1))

    @property
    def order(self) -> np.ndarray:
        """The rows by block, and within it by occasion or place."""
        return np.lexsort((*self.place.T[::-1], self.point, self.block))

    @property
    def n_parameters(self) -> int:
        """The number of parameters of R."""
        return self.n_strata * self.n_corr + self.covariates.shape[1] + self.n_sigmas


class Residual(NamedTuple):
    """Views into the part of the packed vectors that is R's."""

    meta: np.ndarray
    """code, nugget, correlation parameters of a stratum, how to whiten, sds, covariates, place of
    the first parameter in theta, blocks, patterns, most rows of a block, most columns of a block,
    p, coordinates of a place."""
    block_row: np.ndarray  # (blocks+1,)
    block_pattern: np.ndarray  # (blocks,)
    block_value: np.ndarray  # (blocks+1,) where its rows of [Z X y] stand
    block_part: np.ndarray  # (blocks+1,) its nodes
    part_width: np.ndarray  # effects of a node
    block_target: np.ndarray  # (blocks+1,)
    target: np.ndarray
    """Where the cross-product of each pair of nodes (a, b >= a), b's rows by a's columns, and that
    of the border with each node, belongs among the floats."""
    pattern_stratum: np.ndarray  # (patterns,); no patterns without correlations
    pattern_row: np.ndarray  # (patterns+1,)
    point: np.ndarray
    pattern_factor: np.ndarray  # (patterns+1,) where what whitens it stands
    sigma: np.ndarray  # (n,) which standard deviation, in the order of blocks
    row: np.ndarray  # (n,) which row of data, in that order
    place: np.ndarray  # floats: coordinates of the rows of patterns; factors that are known
    covariates: np.ndarray  # (n*m,)
    values: np.ndarray  # [Z X y], a matrix for each block


@njit(nogil=True, cache=True, error_model="numpy")
def has_structure(ints):
    """Whether the packed vectors have a part for R."""
    return len(ints) > ints[22]


@njit(nogil=True, cache=True, error_model="numpy")
def _unpack(ints, floats):
    a = ints[ints[22] :]
    x = floats[ints[33] + 3 :]
    return Residual(
        a[a[0] : a[1]],
        a[a[1] : a[2]],
        a[a[2] : a[3]],
        a[a[3] : a[4]],
        a[a[4] : a[5]],
        a[a[5] : a[6]],
        a[a[6] : a[7]],
        a[a[7] : a[8]],
        a[a[8] : a[9]],
        a[a[9] : a[10]],
        a[a[10] : a[11]],
        a[a[11] : a[12]],
        a[a[12] : a[13]],
        a[a[13] : a[14]],
        x[: a[15]],
        x[a[15] : a[16]],
        x[a[16] :],
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _pattern(theta, res, pattern):
    """Parameters, positions and places of a pattern, and where its factor begins and ends."""
    n_corr, d = res.meta[2], res.meta[12]
    own = res.meta[6] + res.pattern_stratum[pattern] * n_corr
    first, last = res.pattern_row[pattern], res.pattern_row[pattern + 1]
    return (
        theta[own : own + n_corr],
        res.point[first:last],
        res.place[first * d : last * d].reshape(last - first, d),
        res.pattern_factor[pattern],
        res.pattern_factor[pattern + 1],
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _factors(theta, res, K, log_dets):
    """What whitens the patterns, flat, and the log determinants of their correlation matrices;
    whether these are such.
    """
    for pattern in range(res.meta[8]):
        params, points, place, at, end = _pattern(theta, res, pattern)
        if res.meta[0] == _KNOWN:
            K[at:end] = res.place[at:end]
            log_dets[pattern] = dense_log_det(K[at:end], len(points))
            continue
        log_dets[pattern], ok = pattern_factor(
            res.meta[3], res.meta[0], res.meta[1] == 1, params, points, place, K[at:end]
        )
        if not ok:
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _log_sds(theta, res, log_sd, scale):
    """Logarithms of the rows' standard deviations relative to sigma, the last parameter, and their
    reciprocals; whether all are positive.
    """
    m, n_sigmas = res.meta[5], res.meta[4]
    sigmas = theta[len(theta) - n_sigmas :]
    powers = theta[len(theta) - n_sigmas - m : len(theta) - n_sigmas]
    logs, ratios = np.empty(n_sigmas), np.empty(n_sigmas)
    for k in range(n_sigmas):
        if not sigmas[k] > 0.0:
            return False
        logs[k], ratios[k] = np.log(sigmas[k] / sigmas[-1]), sigmas[-1] / sigmas[k]
    for row in range(len(log_sd)):
        own = res.sigma[row]
        value = 0.0
        for k in range(m):
            value += powers[k] * res.covariates[row * m + k]
        log_sd[row] = logs[own] + value
        scale[row] = ratios[own] * np.exp(-value) if m else ratios[own]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _scaled(block, res, scale, rows):
    """Rows of [Z X y] of a block, divided by their standard deviations, into ``rows`` (t, c)."""
    first = res.block_row[block]
    t = res.block_row[block + 1] - first
    at = res.block_value[block]
    c = (res.block_value[block + 1] - at) // t
    for i in range(t):
        for j in range(c):
            rows[i, j] = res.values[at + i * c + j] * scale[first + i]
    return t, c


@njit(nogil=True, cache=True, error_model="numpy")
def _factor_of(block, res, K):
    """What whitens a block."""
    if res.meta[3] == NONE:
        return K
    pattern = res.block_pattern[block]
    return K[res.pattern_factor[pattern] : res.pattern_factor[pattern + 1]]


@njit(nogil=True, cache=True, error_model="numpy")
def _work(res):
    n, patterns = res.block_row[res.meta[7]], res.meta[8]
    return (
        np.zeros(res.pattern_factor[patterns]),
        np.empty(patterns),
        np.empty(n),
        np.empty(n),
        np.empty((res.meta[9], res.meta[10])),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def assemble(theta, ints, floats):
    """The floats of `elimination` with the cross-products under R(theta).

    Parameters
    ----------
    theta : (k,) array
    ints, floats : arrays

    Returns
    -------
    array
        Its ``constants`` have -log|R/σ²| added to the sum of the weights' logarithms.
    bool
        Whether theta are the parameters of a covariance matrix.
    """
    res = _unpack(ints, floats)
    products, size, p = ints[28], ints[33] + 3, res.meta[11]
    out = np.zeros(size)
    K, log_dets, log_sd, scale, Y = _work(res)
    if not (_factors(theta, res, K, log_dets) and _log_sds(theta, res, log_sd, scale)):
        return out, False
    out[products:] = floats[products:size]
    xy = ints[27]
    log_det = 2.0 * log_sd.sum()
    for block in range(res.meta[7]):
        t, c = _scaled(block, res, scale, Y)
        whiten(res.meta[3], _factor_of(block, res, K), Y, t, c)
        if res.meta[3] != NONE:
            log_det += log_dets[res.block_pattern[block]]
        parts = res.block_part[block]
        count = res.block_part[block + 1] - parts
        target = res.block_target[block]
        edge = c - p - 1
        a = 0
        for i in range(count):
            qa = res.part_width[parts + i]
            b = a
            for j in range(i, count):
                qb = res.part_width[parts + j]
                here = res.target[target]
                target += 1
                for row in range(t):
                    for k in range(qb):
                        value = Y[row, b + k]
                        if value != 0.0:
                            for h in range(qa):
                                out[here + k * qa + h] += value * Y[row, a + h]
                b += qb
            a += qa
        a = 0
        for i in range(count):
            qa = res.part_width[parts + i]
            here = res.target[target]
            target += 1
            for row in range(t):
                for k in range(p + 1):
                    value = Y[row, edge + k]
                    for h in range(qa):
                        out[here + k * qa + h] += value * Y[row, a + h]
            a += qa
        for row in range(t):
            for i in range(p + 1):
                for j in range(i + 1):
                    out[xy + i * (p + 1) + j] += Y[row, edge + i] * Y[row, edge + j]
    for i in range(p + 1):
        for j in range(i):
            out[xy + j * (p + 1) + i] = out[xy + i * (p + 1) + j]
    out[ints[33]] -= log_det
    return out, True


@njit(nogil=True, cache=True, error_model="numpy")
def _pull_block(block, res, p, xy, Y, adjoint, dY):
    """Adjoint of a block's cross-products: that of its whitened rows, into ``dY``."""
    t = res.block_row[block + 1] - res.block_row[block]
    parts = res.block_part[block]
    count = res.block_part[block + 1] - parts
    c = (res.block_value[block + 1] - res.block_value[block]) // t
    edge = c - p - 1
    target = res.block_target[block]
    for row in range(t):
        for j in range(c):
            dY[row, j] = 0.0
    a = 0
    for i in range(count):
        qa = res.part_width[parts + i]
        b = a
        for j in range(i, count):
            qb = res.part_width[parts + j]
            here = res.target[target]
            target += 1
            for row in range(t):
                for k in range(qb):
                    total, right = 0.0, Y[row, b + k]
                    for h in range(qa):
                        slope = adjoint[here + k * qa + h]
                        total += slope * Y[row, a + h]
                        dY[row, a + h] += slope * right
                    dY[row, b + k] += total
            b += qb
        a += qa
    a = 0
    for i in range(count):
        qa = res.part_width[parts + i]
        here = res.target[target]
        target += 1
        for row in range(t):
            for k in range(p + 1):
                total, right = 0.0, Y[row, edge + k]
                for h in range(qa):
                    slope = adjoint[here + k * qa + h]
                    total += slope * Y[row, a + h]
                    dY[row, a + h] += slope * right
                dY[row, edge + k] += total
        a += qa
    for row in range(t):
        for i in range(p + 1):
            for j in range(p + 1):
                slope = adjoint[xy + i * (p + 1) + j] + adjoint[xy + j * (p + 1) + i]
                dY[row, edge + i] += slope * Y[row, edge + j]
    return t, c


@njit(nogil=True, cache=True, error_model="numpy")
def pull_assembled(theta, ints, floats, adjoint, dtheta):
    """Add to ``dtheta`` the gradient of a log-likelihood in R's parameters, -½ log|R/σ²| included.

    Parameters
    ----------
    theta : (k,) array
    ints, floats : arrays
    adjoint : array
        The gradient in the cross-products that `assemble` makes, laid out as they are.
    dtheta : (k,) array
    """
    res = _unpack(ints, floats)
    how, n_corr, n_sigmas, m = res.meta[3], res.meta[2], res.meta[4], res.meta[5]
    sigmas = len(theta) - n_sigmas
    K, log_dets, log_sd, scale, Y = _work(res)
    _factors(theta, res, K, log_dets)
    _log_sds(theta, res, log_sd, scale)
    dK, rows, dY = np.zeros(len(K)), np.empty(Y.shape), np.empty(Y.shape)
    dlog = np.zeros(n_sigmas)
    for block in range(res.meta[7]):
        t, c = _scaled(block, res, scale, rows)
        Y[:t, :c] = rows[:t, :c]
        own = _factor_of(block, res, K)
        whiten(how, own, Y, t, c)
        _pull_block(block, res, res.meta[11], ints[27], Y, adjoint, dY)
        whiten_pullback(how, own, rows, Y, dY, t, c, _factor_of(block, res, dK))
        for i in range(t):
            row = res.block_row[block] + i
            slope = -1.0
            for j in range(c):
                slope -= dY[i, j] * rows[i, j]
            dlog[res.sigma[row]] += slope
            for k in range(m):
                dtheta[sigmas - m + k] += slope * res.covariates[row * m + k]
    for k in range(n_sigmas):
        dtheta[sigmas + k] += dlog[k] / theta[sigmas + k]
        dtheta[-1] -= dlog[k] / theta[-1]
    for pattern in range(res.meta[8] if n_corr else 0):
        params, points, place, at, end = _pattern(theta, res, pattern)
        first = res.meta[6] + res.pattern_stratum[pattern] * n_corr
        pattern_pullback(
            how,
            res.meta[0],
            res.meta[1] == 1,
            params,
            points,
            place,
            K[at:end],
            dK[at:end],
            dtheta[first : first + n_corr],
        )


@njit(nogil=True, cache=True, error_model="numpy")
def coloured(theta, ints, floats, z):
    """Residuals relative to sigma of independent standard normal ``z``; weights do not count."""
    res = _unpack(ints, floats)
    K, log_dets, log_sd, scale, _ = _work(res)
    out = np.zeros(len(z))
    _factors(theta, res, K, log_dets)
    _log_sds(theta, res, log_sd, scale)
    for block in range(res.meta[7]):
        first, last = res.block_row[block], res.block_row[block + 1]
        rows = res.row[first:last]
        out[rows] = colour(res.meta[3], _factor_of(block, res, K), z[rows]) / scale[first:last]
    return out


def replace_response(ints: np.ndarray, floats: np.ndarray, values: np.ndarray) -> None:
    """Write other residuals of y, times the root of the weight, into the packed floats."""
    res = _unpack(ints, floats)
    rows = np.diff(res.block_row)
    columns = np.repeat(np.diff(res.block_value) // rows, rows)
    within = np.arange(len(values)) - np.repeat(res.block_row[:-1], rows)
    first = np.repeat(res.block_value[:-1], rows)
    res.values[first + (within + 1) * columns - 1] = values[res.row]


def replace_covariates(ints: np.ndarray, floats: np.ndarray, covariates: np.ndarray) -> None:
    """Write other covariates (n, m) of the rows' standard deviations into the packed floats."""
    res = _unpack(ints, floats)
    res.covariates[:] = covariates[res.row].ravel()
