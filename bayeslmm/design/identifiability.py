"""Models that the data cannot identify, refused before any fitting with the remedy said."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.data.frames import Array
from bayeslmm.data.levels import same_partition
from bayeslmm.design.rank import dependent_columns
from bayeslmm.errors import DesignError, DesignWarning

if TYPE_CHECKING:
    from bayeslmm.design.design import BarBlock, GroupingFactor

_EXACT = 1e-8


def full_rank_columns(X: Array, coef: Sequence[str]) -> Array:
    """Positions of the columns of X to keep, with a warning that names the others.

    Raises
    ------
    DesignError
        If X has as many independent columns as rows, or more columns than rows.
    """
    n, p = X.shape
    if p > n:
        raise DesignError(
            f"X has {p} columns and {n} rows, so the coefficients cannot be estimated; use fewer "
            "terms or more data"
        )
    dependences = dependent_columns(X)
    if p - len(dependences) == n:
        raise DesignError(
            f"X has as many independent columns as rows ({n}), so nothing is left to estimate the "
            "residual variance from; use fewer terms or more data"
        )
    if dependences:
        reasons = []
        for dependence in dependences:
            others = ", ".join(repr(coef[k]) for k in dependence.on[:5])
            more = ", ..." if len(dependence.on) > 5 else ""
            why = f"a combination of {others}{more}" if dependence.on else "zero in every row"
            reasons.append(f"{coef[dependence.column]!r} ({why})")
        warnings.warn(
            f"X has {p} columns and rank {p - len(dependences)}; dropped {'; '.join(reasons)}",
            DesignWarning,
            stacklevel=4,
        )
    dropped = {dependence.column for dependence in dependences}
    return np.array([j for j in range(p) if j not in dropped], dtype=np.int64)


def check_factors(factors: Sequence["GroupingFactor"], weights: Array | None, X: Array) -> None:
    """Refuse factors whose covariance the data cannot tell from another part of the model.

    Raises
    ------
    DesignError
        For a factor with one level, an effect that is zero or determined by others of its bar, a
        term that cannot be told from the residual, and two factors that group the rows alike.

    Warns
    -----
    DesignWarning
        For covariances that rest on few levels only.
    """
    equal_weights = weights is None or bool(np.ptp(weights) == 0)
    for factor in factors:
        if len(factor.levels) < 2:
            raise DesignError(
                f"the grouping factor {factor.name!r} has one level only, {factor.levels[0]!r}, so "
                "its variance cannot be estimated; leave out its terms, which the fixed effects "
                "cover"
            )
        for bar in factor.bars:
            part = _stratum(factor, bar)
            if part.Z is not X:  # which has full rank
                _check_effects(part, bar)
            _check_constant(part, bar)
            if equal_weights and bar.shape is None and not _related(factor):
                _check_residual(part, bar, np.bincount(part.codes))
    for a, b in combinations(factors, 2):
        if (_related(a) or _related(b)) and not _same_relationship(a, b):
            continue
        shared = [effect for effect in a.effects if effect in b.effects]
        if shared and len(a.levels) == len(b.levels) and same_partition(a.codes, b.codes):
            raise DesignError(
                f"the grouping factors {a.name!r} and {b.name!r} group the rows alike, so the "
                f"variances of {shared[0]!r} over the two cannot be told apart; leave one out"
            )


def _stratum(factor: "GroupingFactor", bar: "BarBlock") -> "GroupingFactor":
    """The levels that have the effects of a bar, and their rows."""
    if factor.own is None:
        return factor
    rows = factor.has(bar.start)
    used, codes = np.unique(factor.codes[rows], return_inverse=True)
    return replace(
        factor,
        levels=tuple(factor.levels[i] for i in used),
        codes=codes.astype(np.int32),
        Z=factor.Z[rows],
        own=None,
    )


def _related(factor: "GroupingFactor") -> bool:
    """Whether the levels are otherwise related than independent ones are."""
    return factor.related is not None and not factor.related.independent


def _same_relationship(a: "GroupingFactor", b: "GroupingFactor") -> bool:
    """Whether both have the levels related in the same way."""
    return a.related is not None and b.related is not None and a.related.known is b.related.known


def _check_effects(factor: "GroupingFactor", bar: "BarBlock") -> None:
    Z = factor.Z[:, bar.start : bar.stop]
    effects = factor.effects[bar.start : bar.stop]
    for effect, column in zip(effects, Z.T, strict=True):
        if not column.any():
            raise DesignError(f"the effect {effect!r} in {bar.text} is zero in every row")
    if bar.structure != "un":
        return
    for dependence in dependent_columns(Z):
        others = ", ".join(repr(effects[k]) for k in dependence.on)
        raise DesignError(
            f"in {bar.text} the effect {effects[dependence.column]!r} is a combination of "
            f"{others}, so their covariances cannot be estimated; leave one out"
        )


def _check_constant(factor: "GroupingFactor", bar: "BarBlock") -> None:
    """Warn of covariances that rest on too few means of levels.

    Effects whose columns are constant within levels leave one number for each level. When the same
    q effects are fixed, J - q of them are left, whose (J - q)(J - q + 1)/2 covariances must tell
    q (q + 1)/2 parameters.
    """
    q, levels = bar.stop - bar.start, len(factor.levels)
    if bar.structure != "un" or q == 1 or levels >= 2 * q:
        return
    Z = factor.Z[:, bar.start : bar.stop]
    first = np.unique(factor.codes, return_index=True)[1]
    if np.array_equal(Z[first][factor.codes], Z):
        effects = ", ".join(repr(e) for e in factor.effects[bar.start : bar.stop])
        warnings.warn(
            f"in {bar.text} the effects {effects} are constant within every level of "
            f"{factor.name!r}, and {levels} levels cannot tell their {q * (q + 1) // 2} variances "
            f"and covariances apart, for which {2 * q} or more are needed if the effects are fixed "
            f"too; use (1 | {factor.name})",
            DesignWarning,
            stacklevel=5,
        )


def _check_residual(factor: "GroupingFactor", bar: "BarBlock", counts: Array) -> None:
    q, levels, n = bar.stop - bar.start, len(factor.levels), len(factor.codes)
    remedy = "leave out effects, or use data with more rows per level"
    if counts.max() <= q and (bar.structure == "un" or _holds_identity(factor, bar)):
        if q == 1:
            raise DesignError(
                f"the grouping factor {factor.name!r} has as many levels as there are rows ({n}), "
                f"so the variance of {bar.text} cannot be told from the residual variance; "
                "the number of levels must be less than the number of rows"
            )
        raise DesignError(
            f"{bar.text} has {q} effects on each of {levels} levels, and no level has more than "
            f"{counts.max()} rows, so their covariances cannot be told from the residual variance "
            f"({q * levels} random effects, {n} rows); {remedy}"
        )
    if bar.structure == "un" and q * levels >= n:
        warnings.warn(
            f"{bar.text} has {q * levels} random effects for {n} rows; only the levels with more "
            f"than {q} rows tell its covariances from the residual variance; {remedy}",
            DesignWarning,
            stacklevel=5,
        )


def _holds_identity(factor: "GroupingFactor", bar: "BarBlock") -> bool:
    """Whether Z S Z' = I within every level for a diagonal (one-valued for "id") S.

    Then the residual covariance is one that the term can take, and the two cannot be told apart.
    """
    Z = factor.Z[:, bar.start : bar.stop]
    order = np.argsort(factor.codes, kind="stable")
    Z, codes = Z[order], factor.codes[order]
    products, targets = [Z * Z], [np.ones(len(Z))]
    for lag in range(1, bar.stop - bar.start):
        together = codes[lag:] == codes[:-lag]
        products.append((Z[lag:] * Z[:-lag])[together])
        targets.append(np.zeros(int(together.sum())))
    A, b = np.vstack(products), np.concatenate(targets)
    if bar.structure == "id":
        A = A.sum(axis=1, keepdims=True)
    s = np.linalg.lstsq(A, b, rcond=None)[0]
    return bool(np.abs(A @ s - b).max() < _EXACT)
