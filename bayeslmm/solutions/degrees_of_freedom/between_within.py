"""Between-within degrees of freedom: those of the stratum in which a coefficient is estimated.

Grouping factors that are nested divide the rows into strata: between the levels of the outermost
factor, between those of the next within it, and so on, and within the innermost. A coefficient
belongs to the stratum of the outermost factor within whose levels its column of X is constant, and
each stratum has as many degrees of freedom as it has levels less those of the strata outside it and
less its own coefficients. With one factor these are SAS's DDFM=BW; with several, those of nlme,
which differs only in giving the intercept to the innermost stratum.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import ArgumentError

if TYPE_CHECKING:
    from bayeslmm.data.frames import Array
    from bayeslmm.design.design import Design

__all__ = ["between_within"]

_SAME = 1e-10
"""Differences within a level, relative to the column, that are rounding."""


def between_within(design: Design) -> Array:
    """Degrees of freedom of each coefficient; (p,).

    All columns of a term go with the innermost of them.

    Raises
    ------
    ArgumentError
        If there are no groups, or some are crossed; if a stratum has no degrees of freedom left.
    """
    strata = _strata(design)
    home = np.full(len(design.coef), len(strata))
    for i in reversed(range(len(strata))):
        home[_constant(design.X, strata[i][1])] = i
    kept = np.array(design.learned.kept)
    for term in design.learned.fixed.terms:
        own = (term.start <= kept) & (kept < term.stop)
        home[own] = home[own].max(initial=0)
    sizes = [0, *(int(codes.max()) + 1 for _, codes in strata), len(design.y)]
    counts = np.bincount(home, minlength=len(strata) + 1)
    df = np.diff(sizes) - counts
    for i in np.unique(home):
        if df[i] < 1:
            where = f"between levels of {strata[i][0]!r}" if i < len(strata) else "within groups"
            raise ArgumentError(
                f"between-within degrees of freedom {where} are {df[i]}: {counts[i]} coefficients "
                "are estimated there. Use df='satterthwaite', or a model with fewer coefficients."
            )
    return df[home].astype(np.float64)


def _strata(design: Design) -> list[tuple[str, Array]]:
    """Names and codes of the grouping factors and the subjects of R, the outermost first."""
    found = {factor.name: factor.codes for factor in design.factors}
    residuals = design.residuals
    if residuals is not None and residuals.subjects is not None:
        found.setdefault(str(residuals.structure.group), residuals.subjects.codes)
    if not found:
        raise ArgumentError(
            "between-within degrees of freedom are for rows in groups, and the model has no random "
            "effects and no subjects; use df='residual'."
        )
    ordered = sorted(found.items(), key=lambda item: int(item[1].max()))
    for (outer, codes), (inner, within) in pairwise(ordered):
        home = np.zeros(int(within.max()) + 1, dtype=codes.dtype)
        home[within] = codes
        if (home[within] != codes).any():
            raise ArgumentError(
                f"between-within degrees of freedom are for nested groups, and the levels of "
                f"{inner!r} do not lie within those of {outer!r}; use df='satterthwaite' or "
                "'kenward-roger'."
            )
    return ordered


def _constant(X: Array, codes: Array) -> Array:
    """Which columns of X are the same in all rows of a level."""
    first = np.zeros(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    largest = np.abs(X).max(axis=0, initial=0.0)
    return np.asarray((np.abs(X - X[first[codes]]) <= _SAME * largest).all(axis=0))
