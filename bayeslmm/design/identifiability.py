"""Columns of X and effects of bars that say what others say: left out, refused or warned of."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.data.levels import same_partition
from bayeslmm.design.rank import dependent_columns
from bayeslmm.errors import DesignError, DesignWarning
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.factors import BarBlock, GroupingFactor
    from bayeslmm.design.residuals import Residuals


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


def check_factors(factors: Sequence[GroupingFactor], X: Array) -> None:
    """Refuse effects that say nothing or what others of their bar say.

    Whether covariances can be told apart is another question (`residual_identifiability`).

    Raises
    ------
    DesignError
        For an effect that is zero or determined by others of its bar.

    Warns
    -----
    DesignWarning
        For covariances that rest on few levels only.
    """
    for factor in factors:
        for bar in factor.bars:
            part = stratum_of(factor, bar)
            if part.Z is not X:  # which has full rank
                _check_effects(part, bar)
            _check_constant(part, bar)
            if bar.shape is None and not related(factor):
                _check_residual(part, bar, np.bincount(part.codes))


def same_levels(a: GroupingFactor, b: GroupingFactor) -> bool:
    """Whether two factors group the rows alike."""
    return len(a.levels) == len(b.levels) and same_partition(a.codes, b.codes)


def stratum_of(factor: GroupingFactor, bar: BarBlock) -> GroupingFactor:
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


def related(factor: GroupingFactor) -> bool:
    """Whether the levels are otherwise related than independent ones are."""
    return factor.related is not None and not factor.related.independent


def same_relationship(a: GroupingFactor, b: GroupingFactor) -> bool:
    """Whether both have the levels related in the same way."""
    return a.related is not None and b.related is not None and a.related.known is b.related.known


def _check_effects(factor: GroupingFactor, bar: BarBlock) -> None:
    Z = factor.Z[:, bar.slice]
    effects = factor.effects[bar.slice]
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


def _check_constant(factor: GroupingFactor, bar: BarBlock) -> None:
    """Warn of covariances that rest on too few means of levels.

    Effects whose columns are constant within levels leave one number for each level. When the same
    q effects are fixed, J - q of them are left, whose (J - q)(J - q + 1)/2 covariances must tell
    q (q + 1)/2 parameters.
    """
    q, levels = bar.stop - bar.start, len(factor.levels)
    if bar.structure != "un" or q == 1 or levels >= 2 * q:
        return
    Z = factor.Z[:, bar.slice]
    first = np.unique(factor.codes, return_index=True)[1]
    if np.array_equal(Z[first][factor.codes], Z):
        effects = ", ".join(repr(e) for e in factor.effects[bar.slice])
        warnings.warn(
            f"in {bar.text} the effects {effects} are constant within every level of "
            f"{factor.name!r}, and {levels} levels cannot tell their {q * (q + 1) // 2} variances "
            f"and covariances apart, for which {2 * q} or more are needed if the effects are fixed "
            f"too; use (1 | {factor.name})",
            DesignWarning,
            stacklevel=5,
        )


def _check_residual(factor: GroupingFactor, bar: BarBlock, counts: Array) -> None:
    """Warn of covariances that few levels tell from the residual variance."""
    q, levels, n = bar.stop - bar.start, len(factor.levels), len(factor.codes)
    if bar.structure == "un" and q * levels >= n and counts.max() > q:
        warnings.warn(
            f"{bar.text} has {q * levels} random effects for {n} rows; only the levels with more "
            f"than {q} rows tell its covariances from the residual variance; leave out effects, or "
            "use data with more rows per level",
            DesignWarning,
            stacklevel=5,
        )


def check_maximum(residuals: Residuals) -> None:
    """Refuse to maximise a likelihood that an unrestricted R makes infinite.

    The residuals of S subjects span S dimensions at most. R can be close to singular in all others,
    and if a subject has more than S rows the density of these grows without bound. A posterior is
    proper nonetheless: what is close to singular has little volume.

    Raises
    ------
    DesignError
        Naming the numbers of occasions, parameters and subjects.
    """
    structure, rows = residuals.structure, residuals.rows
    if not structure.correlation.unrestricted or "occasion" not in structure.variances:
        return
    T = len(residuals.occasions)
    for stratum, label in enumerate(residuals.strata):
        sizes = np.bincount(rows.block[rows.stratum == stratum])
        subjects, most = int((sizes > 0).sum()), int(sizes.max())
        if subjects < most:
            where = f" in the stratum {label!r}" if label else ""
            raise DesignError(
                f"{structure.name} over {T} occasions of {structure.time!r} has {T * (T + 1) // 2} "
                f"parameters, too many for {subjects} levels of {structure.group!r}{where}: with "
                f"fewer of them than the {most} rows that one has, the likelihood has no maximum. "
                "Use AR1, Toep, Ante1 or FA(1), which have fewer parameters, or fit by 'nuts'"
            )
