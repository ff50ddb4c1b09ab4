"""Cross-products under a structured R, at given parameters, and the adjoint back to these.

The rows of data that are correlated with each other are a *block*. For each block the rows of
[Z X y] are divided by their standard deviations (relative to sigma) and multiplied by the inverse
of the Cholesky factor of their correlation matrix; the cross-products of the result take the place
of those that `elimination` makes for independent residuals, and everything that works on these
stays as it is. Blocks with the same occasions are one *pattern*, and share the factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from .correlations import correlation, correlation_pullback

if TYPE_CHECKING:
    from .elimination import Layout

__all__ = [
    "ResidualRows",
    "assemble",
    "coloured",
    "has_structure",
    "pack_residuals",
    "pull_assembled",
    "replace_response",
]

N_HEADER = 16


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
    """code, nugget, correlation parameters of a stratum, all of them, sds, covariates, place of the
    first parameter in theta, blocks, patterns, most rows of a block, most columns of a block, p."""
    block_row: np.ndarray  # (blocks+1,)
    block_pattern: np.ndarray  # (blocks,)
    block_value: np.ndarray  # (blocks+1,) where its rows of [Z X y] stand
    block_part: np.ndarray  # (blocks+1,) its nodes
    part_width: np.ndarray  # effects of a node
    block_target: np.ndarray  # (blocks+1,)
    target: np.ndarray
    """Where the cross-product of each pair of nodes (a, b >= a), b's rows by a's columns, and that
    of the border with each node, belongs among the floats."""
    pattern_stratum: np.ndarray  # (patterns,)
    pattern_row: np.ndarray  # (patterns+1,)
    point: np.ndarray
    pattern_matrix: np.ndarray  # (patterns+1,) where its matrices stand
    sigma: np.ndarray  # (n,) which standard deviation, in the order of blocks
    distance: np.ndarray  # floats: (t, t) for each pattern
    covariates: np.ndarray  # (n*m,)
    values: np.ndarray  # [Z X y], a matrix for each block


N_INTEGERS = Residual._fields.index("distance")


@njit(nogil=True, cache=True, error_model="numpy")
def has_structure(ints):
    """Whether the packed vectors have a part for R."""
    return len(ints) > ints[22]


@njit(nogil=True, cache=True, error_model="numpy")
def _unpack(ints, floats):
    a = ints[ints[22] :]
    x = floats[ints[31] + 3 :]
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
        x[: a[14]],
        x[a[14] : a[15]],
        x[a[15] :],
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _cholesky(C, K, at, t):
    """Factor of C (t, t) into the flat K at ``at``; whether C is positive definite."""
    for i in range(t):
        for j in range(i + 1):
            value = C[i, j]
            for k in range(j):
                value -= K[at + i * t + k] * K[at + j * t + k]
            if i == j:
                if not value > 0.0:
                    return False
                K[at + i * t + i] = np.sqrt(value)
            else:
                K[at + i * t + j] = value / K[at + j * t + j]
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _factors(theta, res, K):
    """Cholesky factors of the patterns' correlation matrices, flat; whether all of them are."""
    code, nugget, n_corr, first = res.meta[0], res.meta[1] == 1, res.meta[2], res.meta[6]
    for pattern in range(res.meta[8]):
        t = res.pattern_row[pattern + 1] - res.pattern_row[pattern]
        at = res.pattern_matrix[pattern]
        C = np.empty((t, t))
        own = first + res.pattern_stratum[pattern] * n_corr
        if not correlation(
            code,
            nugget,
            theta[own : own + n_corr],
            res.point[res.pattern_row[pattern] : res.pattern_row[pattern + 1]],
            res.distance[at : at + t * t].reshape(t, t),
            C,
        ):
            return False
        if not _cholesky(C, K, at, t):
            return False
    return True


@njit(nogil=True, cache=True, error_model="numpy")
def _log_sds(theta, res, out):
    """Logarithms of the rows' standard deviations relative to sigma, the last parameter."""
    m, n_sigmas = res.meta[5], res.meta[4]
    sigmas = len(theta) - n_sigmas
    powers = sigmas - m
    for row in range(len(out)):
        value = np.log(theta[sigmas + res.sigma[row]] / theta[-1])
        for k in range(m):
            value += theta[powers + k] * res.covariates[row * m + k]
        out[row] = value


@njit(nogil=True, cache=True, error_model="numpy")
def _whiten(block, res, K, log_sd, Y):
    """Rows of a block, whitened, into ``Y`` (t, c)."""
    first, last = res.block_row[block], res.block_row[block + 1]
    t = last - first
    values = res.block_value[block]
    c = (res.block_value[block + 1] - values) // t
    at = res.pattern_matrix[res.block_pattern[block]]
    for i in range(t):
        scale = np.exp(-log_sd[first + i])
        for j in range(c):
            Y[i, j] = res.values[values + i * c + j] * scale
        for k in range(i):
            weight = K[at + i * t + k]
            if weight != 0.0:
                for j in range(c):
                    Y[i, j] -= weight * Y[k, j]
        pivot = 1.0 / K[at + i * t + i]
        for j in range(c):
            Y[i, j] *= pivot
    return t, c


@njit(nogil=True, cache=True, error_model="numpy")
def _work(res):
    n = res.block_row[res.meta[7]]
    return (
        np.zeros(res.pattern_matrix[res.meta[8]]),
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
        Its ``constants`` have -log|R/σ²| in the place of the sum of the weights' logarithms.
    bool
        Whether theta are the parameters of a covariance matrix.
    """
    res = _unpack(ints, floats)
    products, size, p = ints[28], ints[31] + 3, res.meta[11]
    out = np.zeros(size)
    K, log_sd, Y = _work(res)
    if not _factors(theta, res, K):
        return out, False
    _log_sds(theta, res, log_sd)
    out[products:] = floats[products:size]
    xy = ints[27]
    log_det = 0.0
    for block in range(res.meta[7]):
        t, c = _whiten(block, res, K, log_sd, Y)
        first = res.block_row[block]
        at = res.pattern_matrix[res.block_pattern[block]]
        for i in range(t):
            log_det += 2.0 * (np.log(K[at + i * t + i]) + log_sd[first + i])
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
                for j in range(p + 1):
                    out[xy + i * (p + 1) + j] += Y[row, edge + i] * Y[row, edge + j]
    out[ints[31]] -= log_det
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
                slope = adjoint[xy + i * (p + 1) + j]
                dY[row, edge + i] += slope * Y[row, edge + j]
                dY[row, edge + j] += slope * Y[row, edge + i]
    return t, c


@njit(nogil=True, cache=True, error_model="numpy")
def _pull_cholesky(K, at, t, dK, dC):
    """Adjoint of the Cholesky factorisation, as a symmetric one in both triangles; dK is
    overwritten. The unblocked reverse sweep of Murray (2016), arXiv:1602.07527.
    """
    for i in range(t - 1, -1, -1):
        for j in range(i, -1, -1):
            if i == j:
                dK[at + i * t + i] *= 0.5 / K[at + i * t + i]
                slope = 2.0 * dK[at + i * t + i]
            else:
                dK[at + i * t + j] /= K[at + j * t + j]
                slope = dK[at + i * t + j]
                dK[at + j * t + j] -= slope * K[at + i * t + j]
            for k in range(j):
                dK[at + i * t + k] -= slope * K[at + j * t + k]
                if i != j:
                    dK[at + j * t + k] -= slope * K[at + i * t + k]
    for i in range(t):
        for j in range(i):
            dC[i, j] = dC[j, i] = 0.5 * dK[at + i * t + j]
        dC[i, i] = dK[at + i * t + i]


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
    n_corr, n_sigmas, m, first = res.meta[2], res.meta[4], res.meta[5], res.meta[6]
    p = res.meta[11]
    sigmas = len(theta) - n_sigmas
    powers = sigmas - m
    K, log_sd, Y = _work(res)
    _factors(theta, res, K)
    _log_sds(theta, res, log_sd)
    dK = np.zeros(len(K))
    dY = np.empty(Y.shape)
    xy = ints[27]
    for block in range(res.meta[7]):
        _whiten(block, res, K, log_sd, Y)
        t, c = _pull_block(block, res, p, xy, Y, adjoint, dY)
        at = res.pattern_matrix[res.block_pattern[block]]
        # dY becomes K⁻ᵀ dY
        for i in range(t - 1, -1, -1):
            for k in range(i + 1, t):
                weight = K[at + k * t + i]
                if weight != 0.0:
                    for j in range(c):
                        dY[i, j] -= weight * dY[k, j]
            pivot = 1.0 / K[at + i * t + i]
            for j in range(c):
                dY[i, j] *= pivot
        for i in range(t):
            for k in range(i + 1):
                value = 0.0
                for j in range(c):
                    value += dY[i, j] * Y[k, j]
                dK[at + i * t + k] -= value
            dK[at + i * t + i] -= 1.0 / K[at + i * t + i]
        # the logarithm of a row's standard deviation
        here = res.block_row[block]
        values = res.block_value[block]
        for i in range(t):
            row = here + i
            scale = np.exp(-log_sd[row])
            slope = -1.0
            for j in range(c):
                slope -= dY[i, j] * res.values[values + i * c + j] * scale
            dtheta[sigmas + res.sigma[row]] += slope / theta[sigmas + res.sigma[row]]
            dtheta[len(theta) - 1] -= slope / theta[-1]
            for k in range(m):
                dtheta[powers + k] += slope * res.covariates[row * m + k]
    for pattern in range(res.meta[8]):
        t = res.pattern_row[pattern + 1] - res.pattern_row[pattern]
        at = res.pattern_matrix[pattern]
        dC = np.empty((t, t))
        _pull_cholesky(K, at, t, dK, dC)
        own = first + res.pattern_stratum[pattern] * n_corr
        correlation_pullback(
            res.meta[0],
            res.meta[1] == 1,
            theta[own : own + n_corr],
            res.point[res.pattern_row[pattern] : res.pattern_row[pattern + 1]],
            res.distance[at : at + t * t].reshape(t, t),
            dC,
            dtheta[own : own + n_corr],
        )


@njit(nogil=True, cache=True, error_model="numpy")
def coloured(theta, ints, floats, z):
    """Residuals relative to sigma, by block, of independent standard normal ``z``; weights do not
    count.
    """
    res = _unpack(ints, floats)
    K, log_sd, _ = _work(res)
    out = np.zeros(len(z))
    _factors(theta, res, K)
    _log_sds(theta, res, log_sd)
    for block in range(res.meta[7]):
        first = res.block_row[block]
        t = res.block_row[block + 1] - first
        at = res.pattern_matrix[res.block_pattern[block]]
        for i in range(t):
            for k in range(i + 1):
                out[first + i] += K[at + i * t + k] * z[first + k]
            out[first + i] *= np.exp(log_sd[first + i])
    return out


def replace_response(ints: np.ndarray, floats: np.ndarray, values: np.ndarray) -> None:
    """Write other residuals of y, times the root of the weight and by block, into the packed
    floats.
    """
    res = _unpack(ints, floats)
    rows = np.diff(res.block_row)
    columns = np.repeat(np.diff(res.block_value) // rows, rows)
    within = np.arange(len(values)) - np.repeat(res.block_row[:-1], rows)
    first = np.repeat(res.block_value[:-1], rows)
    res.values[first + (within + 1) * columns - 1] = values


def pack_residuals(
    rows: ResidualRows, layout: Layout, border: np.ndarray, w: np.ndarray, first: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part for R of the packed vectors.

    Parameters
    ----------
    rows : ResidualRows
    layout : Layout
        Where the cross-products of nodes stand.
    border : (n, p+1) array
        The basis of X and the residuals of y.
    w : (n,) array
        Weights.
    first : int
        The place of R's first parameter in theta.
    """
    n, p1 = border.shape
    d = rows.place.shape[1]
    sort = rows.order
    block = rows.block[sort]
    starts = np.flatnonzero(np.r_[True, block[1:] != block[:-1]])
    block_row = np.r_[starts, n]
    root_w = np.sqrt(w)
    patterns: dict[tuple[int, bytes, bytes], int] = {}
    block_pattern, pattern_stratum, pattern_points, distances = [], [], [], []
    values, widths, targets = [], [], []
    block_value, block_part, block_target = [0], [0], [0]
    for start, stop in pairwise(block_row):
        own = sort[start:stop]
        point, place = rows.point[own], rows.place[own]
        key = (int(rows.stratum[own[0]]), point.tobytes(), (place - place[0]).tobytes())
        if key not in patterns:
            patterns[key] = len(patterns)
            pattern_stratum.append(key[0])
            pattern_points.append(point)
            apart = place[:, None, :] - place[None, :, :]
            distances.append(np.sqrt((apart**2).sum(axis=2)) if d else np.zeros((len(own),) * 2))
        block_pattern.append(patterns[key])
        nodes, columns = layout.columns(own)
        target = layout.targets(nodes)
        full = np.column_stack([columns, border[own]]) * root_w[own, None]
        values.append(full.ravel())
        widths.append([layout.width(node) for node in nodes])
        targets.append(target)
        block_value.append(block_value[-1] + full.size)
        block_part.append(block_part[-1] + len(nodes))
        block_target.append(block_target[-1] + len(target))
    lengths = [len(points) for points in pattern_points]
    sizes = (stop - start for start, stop in pairwise(block_row))
    most_columns = max(len(v) // t for v, t in zip(values, sizes, strict=True))
    meta = [
        rows.code,
        int(rows.nugget),
        rows.n_corr,
        rows.n_corr * rows.n_strata,
        rows.n_sigmas,
        rows.covariates.shape[1],
        first,
        len(block_pattern),
        len(patterns),
        int(np.diff(block_row).max()),
        most_columns,
        p1 - 1,
    ]
    integers = [
        meta,
        block_row,
        block_pattern,
        block_value,
        block_part,
        np.concatenate(widths) if widths else [],
        block_target,
        np.concatenate(targets),
        pattern_stratum,
        np.r_[0, np.cumsum(lengths)],
        np.concatenate(pattern_points),
        np.r_[0, np.cumsum(np.square(lengths))],
        rows.sigma[sort],
    ]
    floats = [
        np.concatenate([matrix.ravel() for matrix in distances]),
        rows.covariates[sort].ravel(),
        np.concatenate(values),
    ]
    int_ends = N_HEADER + np.cumsum([0, *map(len, integers)])
    float_ends = np.cumsum([0, *map(len, floats)])[1:3]
    header = np.r_[int_ends, float_ends]
    assert len(header) == N_HEADER
    return (
        np.concatenate([header, *integers]).astype(np.int64),
        np.concatenate(floats).astype(np.float64),
    )
