"""p values and critical values adjusted for the number of comparisons.

Tukey's are of the studentised range, a double integral (`range_tail`); those of the multivariate t
distribution ("mvt") count the correlations between the estimates, and are integrated by importance
sampling of a union of events (Owen, Maximov and Chertkov 2019, Electronic Journal of Statistics 13,
231-254), whose relative error is bounded however small the probability is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from scipy.interpolate import BarycentricInterpolator, CubicSpline
from scipy.optimize import brentq
from scipy.special import chdtri, gammaln, log_ndtr, ndtri, stdtr, stdtrit
from scipy.stats import false_discovery_control, qmc

from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

__all__ = [
    "ADJUSTMENTS",
    "Adjustment",
    "Family",
    "adjusted",
    "check_size",
    "critical_values",
    "in_words",
    "p_values",
    "range_quantile",
    "range_tail",
]

Adjustment = Literal["tukey", "dunnett", "mvt", "holm", "bonferroni", "sidak", "fdr", "none"]
ADJUSTMENTS = get_args(Adjustment)

_WIDEST = 40.0
"""Ranges of normal variables beyond this have no probability in double precision."""
_RANGES, _NODES, _SCALES = 2001, 160, 200
"""Points at which the tail of the normal range is tabulated, and of the two integrals."""
_NORMAL = 1e8
"""Degrees of freedom from which Student's t is the normal distribution to ten digits."""
_DECIMALS = 6
"""Of degrees of freedom that are told apart."""
_TINY = -30.0
"""Logarithm below which 1 - (1 - x)^k is kx in double precision."""
_DFS = 16
"""Different degrees of freedom whose quantiles are all solved for; more are interpolated."""
_MOST = 100
"""Estimates of a family that "mvt" integrates over."""
_CLOSE, _FARTHEST = 1e-6, 1e6
"""Error of a critical value, and the largest that is looked for."""
_REPLICATES, _POINTS, _SEED = 8, 2**14, 1
"""Randomised Sobol sequences, the points of each, and the seed of the first."""


@dataclass(frozen=True)
class Family:
    """Estimates that are adjusted together.

    Attributes
    ----------
    df : (n,) array
        Degrees of freedom; infinite for the normal distribution.
    correlation : (n, n) array
        Of the estimates.
    means : int or None
        The number of means of which these are all pairwise differences; None of other families.
    side : {-1, 0, 1}
        Which tail counts; 0 for both.
    """

    df: Array
    correlation: Array
    means: int | None
    side: int

    def __len__(self) -> int:
        return len(self.df)


def adjusted(adjust: Adjustment, family: Family) -> Adjustment:
    """The adjustment that suits a family, as emmeans replaces those that do not."""
    if len(family) < 2:
        return "none"
    one_sided = adjust in ("tukey", "dunnett") and family.side != 0
    if one_sided or (adjust == "tukey" and family.means is None):
        return "sidak"
    return adjust


def p_values(adjust: Adjustment, t: Array, family: Family) -> tuple[Array, float]:
    """Adjusted p values, and the largest standard error of their integration.

    Parameters
    ----------
    adjust : str
        One that `adjusted` gives.
    t : (n,) array
    family : Family

    Returns
    -------
    (n,) array
    float
        Zero where they are computed without random numbers.
    """
    n, df = len(family), family.df
    size = np.abs(t)
    plain = 2 * stdtr(df, -size) if family.side == 0 else stdtr(df, -family.side * t)
    if adjust == "mvt":
        tails = [
            _union(float(x), float(v), family) for x, v in zip(_towards(t, family), df, strict=True)
        ]
        return np.array([p for p, _ in tails]), max(error for _, error in tails)
    by_name: dict[str, Callable[[], Array]] = {
        "none": lambda: plain,
        "bonferroni": lambda: np.minimum(1.0, n * plain),
        "sidak": lambda: -np.expm1(n * np.log1p(-plain)),
        "holm": lambda: _holm(plain),
        "fdr": lambda: np.asarray(false_discovery_control(plain)),
        "tukey": lambda: range_tail(np.sqrt(2) * size, family.means or 2, df),
        "dunnett": lambda: _dunnett_tail(size, n, df),
    }
    return by_name[adjust](), 0.0


def critical_values(adjust: Adjustment, level: float, family: Family) -> Array:
    """What standard errors are multiplied by in simultaneous intervals; (n,).

    Stepwise adjustments have none, and Bonferroni's stand in, as in emmeans.
    """
    n, df = len(family), family.df
    sides = 2 if family.side == 0 else 1
    if adjust == "none":
        return np.asarray(stdtrit(df, 1 - (1 - level) / sides))
    if adjust == "sidak":
        return np.asarray(stdtrit(df, 1 + np.expm1(np.log(level) / n) / sides))
    if adjust in ("bonferroni", "holm", "fdr"):
        return np.asarray(stdtrit(df, 1 - (1 - level) / n / sides))
    if family.side == 0 and adjust == "tukey":
        return _over_df(lambda v: range_quantile(level, family.means or 2, v) / np.sqrt(2), df)
    tails: dict[str, Callable[[float, float], float]] = {
        "dunnett": lambda x, v: float(_dunnett_tail(np.array([x]), n, np.array([v]))[0]),
        "mvt": lambda x, v: _union(x, v, family)[0],
    }
    tail = tails[adjust]
    return _over_df(lambda v: _root(lambda x: tail(x, v), level, *_bounds(level, v, n, sides)), df)


def _bounds(level: float, df: float, n: int, sides: int) -> tuple[float, float]:
    """Critical values of one estimate, and of n by Bonferroni's inequality."""
    alpha = (1 - level) / sides
    return 0.99 * float(stdtrit(df, 1 - alpha)), 1.01 * float(stdtrit(df, 1 - alpha / n))


def check_size(adjust: Adjustment, family: Family) -> None:
    """Refuse an integral over more estimates than can be waited for."""
    if adjust == "mvt" and len(family) > _MOST:
        raise ArgumentError(
            f"adjust='mvt' integrates over up to {_MOST} estimates, and there are {len(family)}; "
            "use 'sidak' or 'holm', or 'tukey' for all pairs."
        )


def in_words(
    how: Adjustment, ends: Adjustment, n: int, means: int | None, error: float
) -> list[str]:
    """What was done for multiplicity.

    Parameters
    ----------
    how, ends : str
        The adjustments of p values and of intervals.
    n : int
        The number of estimates in the family.
    means : int or None
        The number of means that these are all differences of.
    error : float
        The largest standard error of integration.
    """
    if how == "none":
        return []
    of = f"a family of {means} means" if how == "tukey" else f"{n} tests"
    lines = [f"p values are adjusted by {how} for {of}."]
    if how in ("holm", "fdr"):
        lines.append(f"Intervals are adjusted by bonferroni for {n} estimates.")
    else:
        lines.append(f"Intervals are adjusted by {ends}.")
    if how == "mvt":
        lines.append(f"p values are integrated with a standard error of {error:.1g} at most.")
    if how == "dunnett":
        lines.append("dunnett is an approximation, emmeans' dunnettx; adjust='mvt' integrates.")
    return lines


# -- the studentised range ------------------------------------------------------------------------


def range_tail(q: Array, k: float, df: Array) -> Array:
    """The probability that the studentised range of k means exceeds q.

    Parameters
    ----------
    q : (n,) array
    k : float
        The number of means.
    df : (n,) array
        Degrees of freedom of the standard deviation.

    Returns
    -------
    (n,) array
        To eight digits or so, also far in the tail.

    Examples
    --------
    >>> import numpy as np
    >>> from bayeslmm.effects.adjust import range_tail
    >>> range_tail(np.array([3.5]), 3, np.array([20.0])).round(5).tolist()
    [0.05589]
    """
    q, df = np.broadcast_arrays(np.asarray(q, dtype=float), np.asarray(df, dtype=float))
    log_tail = _normal_range(float(k))
    out = np.empty(q.shape)
    df = np.round(df, _DECIMALS)
    for value in np.unique(df):
        rows = df == value
        scale, weight = _scales(float(value))
        w = np.multiply.outer(q[rows], scale)
        tail = np.where(w < _WIDEST, np.exp(log_tail(np.minimum(w, _WIDEST))), 0.0)
        out[rows] = np.minimum(1.0, tail @ weight)
    return out


def range_quantile(level: float, k: float, df: float) -> float:
    """The value that the studentised range of k means stays below with a probability."""
    at = np.array([df])
    return _root(lambda q: float(range_tail(np.array([q]), k, at)[0]), level)


@lru_cache(maxsize=32)
def _normal_range(k: float) -> CubicSpline:
    """Logarithm of the probability that the range of k normal variables exceeds w, for w up to 40.

    It is the integral over z, the largest, of kφ(z)[Φ(z)^(k-1) - (Φ(z) - Φ(z - w))^(k-1)].
    """
    w = np.linspace(0.0, _WIDEST, _RANGES)[:, None]
    z = -8.5 + (w / 2 + 17.5) * np.linspace(0.0, 1.0, _NODES)
    step = (w[:, 0] / 2 + 17.5) / (_NODES - 1)
    log_phi = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    ratio = np.minimum(log_ndtr(z - w) - log_ndtr(z), 0.0)
    with np.errstate(divide="ignore"):
        # 1 - (1 - x)^(k-1) for x = Φ(z - w)/Φ(z), which is (k-1)x where x is tiny
        missed = np.log(-np.expm1((k - 1) * np.log1p(-np.exp(ratio))))
    log_missed = np.where(ratio < _TINY, np.log(k - 1) + ratio, missed)
    terms = np.log(k) + log_phi + (k - 1) * log_ndtr(z) + log_missed
    top = terms.max(axis=1)
    values = top + np.log(np.exp(terms - top[:, None]).sum(axis=1) * step)
    values[0] = 0.0
    return CubicSpline(w[:, 0], np.minimum(values, 0.0))


def _scales(df: float) -> tuple[Array, Array]:
    """Values of s = sqrt(chi-squared/df) and their probabilities, by the trapezoidal rule."""
    if df > _NORMAL:
        return np.ones(1), np.ones(1)
    low = -40 / df - 9 / np.sqrt(2 * df)
    x = np.linspace(low, np.log1p(12 / np.sqrt(2 * df)), _SCALES)
    log_density = (
        np.log(2) + df / 2 * np.log(df / 2) - gammaln(df / 2) + df * (x - np.exp(2 * x) / 2)
    )
    return np.exp(x), np.exp(log_density) * (x[1] - x[0])


def _dunnett_tail(t: Array, n: int, df: Array) -> Array:
    """Approximate tail of the largest of n |t| with a common control: emmeans' "dunnettx".

    It mixes the tails of Tukey, for as many means as have n pairs, and of Šidák by (n - 1)/n.
    """
    tukey = range_tail(np.sqrt(2) * t, (1 + np.sqrt(1 + 8 * n)) / 2, df)
    sidak = -np.expm1(n * np.log1p(-2 * stdtr(df, -t)))
    return np.asarray((n - 1) / n * tukey + sidak / n)


# -- the multivariate t distribution --------------------------------------------------------


def _towards(t: Array, family: Family) -> Array:
    """Statistics such that large ones are evidence."""
    return np.abs(t) if family.side == 0 else family.side * t


def _union(x: float, df: float, family: Family) -> tuple[float, float]:
    """The probability that any |t| of a family exceeds x (or any t, one-sided), and its error.

    Each event in turn is made to happen, and what it adds is divided by the number of events that
    happen with it.
    """
    one = float(stdtr(df, -abs(x)))
    each = 2 * one if family.side == 0 else (one if x >= 0 else 1 - one)
    if family.side == 0 and x <= 0:
        return 1.0, 0.0
    n = len(family)
    if each == 0.0:
        return 0.0, 0.0
    A = _root_of(family.correlation)
    replicates = np.zeros(_REPLICATES)
    for r in range(_REPLICATES):
        size = (A.shape[1], max(64, _POINTS // n), _SEED + r)
        u, normal = _sobol(*size)
        t = -stdtrit(df, np.maximum(u * one, 1e-300)) if x >= 0 else stdtrit(df, 1 - u * each)
        scale = _scale_given(t, df, size)
        for j in range(n):
            happening = _happening(x, family.side, t, scale, A, j, normal)
            replicates[r] += each * np.mean(1 / happening)
    error = float(replicates.std(ddof=1) / np.sqrt(_REPLICATES))
    return min(1.0, float(replicates.mean())), error


def _scale_given(t: Array, df: float, size: tuple[int, int, int]) -> Array:
    """Values of sqrt(chi-squared/df), given Student's t with that denominator."""
    if df > _NORMAL:
        return np.ones(len(t))
    return np.asarray(np.sqrt(_chi_squared(df + 1, size) / (df + t**2)))


def _happening(
    x: float, side: int, t: Array, scale: Array, A: Array, j: int, normal: Array
) -> Array:
    """How many events happen, given that the j-th does, with this t."""
    own = A @ A[j]
    Z = np.outer(t * scale, own) + normal @ A.T - np.outer(normal @ A[j], own)
    T = Z / scale[:, None]
    T[:, j] = t
    return np.maximum(np.sum((np.abs(T) if side == 0 else T) >= x, axis=1), 1)


@lru_cache(maxsize=64)
def _sobol(rank: int, points: int, seed: int) -> tuple[Array, Array]:
    """Uniform and normal variables, (points,) and (points, rank)."""
    drawn = _uniform(rank, points, seed)
    return drawn[:, 0], ndtri(drawn[:, 2:])


@lru_cache(maxsize=64)
def _chi_squared(df: float, size: tuple[int, int, int]) -> Array:
    return np.asarray(chdtri(df, _uniform(*size)[:, 1]))


def _uniform(rank: int, points: int, seed: int) -> Array:
    exponent = int(np.ceil(np.log2(points)))
    drawn = qmc.Sobol(rank + 2, seed=seed).random_base2(exponent)
    return np.clip(drawn, 1e-12, 1 - 1e-12)


def _root_of(correlation: Array) -> Array:
    """A with AA' a correlation matrix that may be singular."""
    values, vectors = np.linalg.eigh(correlation)
    keep = values > 1e-10 * values.max()
    A = vectors[:, keep] * np.sqrt(values[keep])
    return np.asarray(A / np.linalg.norm(A, axis=1, keepdims=True))


# -- what they share ------------------------------------------------------------------------------


def _root(
    tail: Callable[[float], float], level: float, low: float = 1e-6, high: float = 4.0
) -> float:
    """Where a tail probability is one minus the level."""
    while tail(high) > 1 - level and high < _FARTHEST:
        high *= 2
    return float(brentq(lambda x: tail(x) - (1 - level), low, high, xtol=_CLOSE))


def _over_df(solve: Callable[[float], float], df: Array) -> Array:
    """A quantile at many degrees of freedom; between many of them a polynomial in 1/df."""
    distinct, place = np.unique(np.round(df, _DECIMALS), return_inverse=True)
    if len(distinct) <= _DFS:
        return np.array([solve(float(v)) for v in distinct])[place]
    low, high = 1 / distinct[-1], 1 / distinct[0]
    nodes = (low + high) / 2 - (high - low) / 2 * np.cos(np.pi * np.arange(_DFS) / (_DFS - 1))
    with np.errstate(divide="ignore"):
        values = np.array([solve(float(v)) for v in 1 / nodes])
    return np.asarray(BarycentricInterpolator(nodes, values)(1 / distinct)[place])


def _holm(p: Array) -> Array:
    """Holm's p values: ordered, multiplied by the number that are left, and made monotone."""
    order = np.argsort(p, kind="stable")
    out = np.empty(len(p))
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    out[order] = np.minimum(1.0, steps)
    return out
