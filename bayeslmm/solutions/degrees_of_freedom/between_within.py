"""Between-within degrees of freedom: those of the stratum in which a function is estimated.

Grouping factors that are nested divide the rows into strata: between the levels of the outermost
factor, between those of the next within it, and so on, and within the innermost. Of the fixed
effects Xβ, those that are constant within the levels of a factor are a space W_i, whatever the
columns of X; a stratum has as many degrees of freedom as it has levels less those of the strata
outside it, and less the dimensions that W_i adds. A contrast of the coefficients belongs to the
outermost stratum whose W_i it depends on.

So a contrast has the same degrees of freedom in every coding. A mean, which changes when a constant
is added to the response, depends on all strata. It has those of the outermost coefficient in it,
whose stratum is that within whose levels its column is constant, as in SAS's DDFM=BW and in nlme.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.degrees_of_freedom.wald import Strata

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.support.arrays import Array

__all__ = ["between_within"]

_SAME = 1e-10
"""Differences within a level, relative to the column, that are rounding."""
_CONSTANT = 1e-8
"""The same of an orthonormal combination of columns."""


def between_within(design: Design) -> Strata:
    """The strata of a model with nested groups, and their degrees of freedom.

    Raises
    ------
    ArgumentError
        If there are no groups, or some are crossed; if a stratum has no degrees of freedom left.
    """
    factors, X = _nested(design), design.X
    n, p = X.shape
    basis, triangle = np.linalg.qr(X)
    to_basis = np.linalg.inv(triangle)
    home = np.full(p, len(factors))
    spaces: list[Array] = []
    for i, (_, codes) in reversed(list(enumerate(factors))):
        within = X - X[_first_rows(codes)]
        unchanged = np.abs(within) <= _SAME * np.abs(X).max(axis=0, initial=0.0)
        home[unchanged.all(axis=0)] = i
        spaces.insert(0, _null_space(within @ to_basis))
    ones = np.full(n, n**-0.5)
    means = basis.T @ ones
    if np.linalg.norm(ones - basis @ means) > _CONSTANT:
        means = np.zeros(p)
    df = np.diff([0, *(int(codes.max()) + 1 for _, codes in factors), n])
    counts = np.diff([0, *(space.shape[1] for space in spaces), p])
    for i in np.flatnonzero((counts > 0) & (df - counts < 1)).tolist():
        where = f"between levels of {factors[i][0]!r}" if i < len(factors) else "within groups"
        raise ArgumentError(
            f"between-within degrees of freedom {where} are {df[i] - counts[i]}: {counts[i]} "
            "coefficients are estimated there. Use df='satterthwaite', or a model with fewer "
            "coefficients."
        )
    return Strata((df - counts).astype(np.float64), to_basis, tuple(spaces), means, home)


def _nested(design: Design) -> list[tuple[str, Array]]:
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


def _first_rows(codes: Array) -> Array:
    """For each row, the first one of its level."""
    first = np.zeros(int(codes.max()) + 1, dtype=np.int64)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    return first[codes]


def _null_space(A: Array) -> Array:
    """Orthonormal vectors, one a column, that a matrix with orthonormal columns less their first
    rows maps to zero.
    """
    _, values, rows = np.linalg.svd(np.linalg.qr(A, mode="r"))
    size = np.zeros(A.shape[1])
    size[: len(values)] = values
    return np.asarray(rows[size <= _CONSTANT].T)
