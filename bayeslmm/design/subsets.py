"""Sets of rows of a design, and a design without some rows, as its formula was evaluated on all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.covariance.relationship import resolve_relationship
from bayeslmm.data.levels import Grouping
from bayeslmm.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.residuals import Residuals
    from bayeslmm.support.arrays import Array

__all__ = ["rows_of_design", "sets_of_rows"]


def sets_of_rows(design: Design, by: object, argument: str) -> tuple[pd.Index, list[Array]]:
    """Rows one by one, or those of each level of a grouping factor or subject of R.

    Parameters
    ----------
    design : Design
    by : str
        "row", or the name of a factor.
    argument : str
        What users know `by` as.

    Returns
    -------
    pandas.Index and list of int arrays
        The labels, and the rows of each.

    Raises
    ------
    ArgumentError
        For another name.
    """
    groups = {factor.name: (factor.levels, factor.codes) for factor in design.factors}
    own = design.residuals
    if own is not None and own.subjects is not None:
        subjects = (own.subjects.levels, own.subjects.codes)
        groups.setdefault(str(own.structure.group), subjects)
    if by == "row":
        if "row" in groups:
            raise ArgumentError(
                f"{argument}='row' is for single rows of data, and the model has a grouping factor "
                "'row'; rename its column."
            )
        return design.index, list(np.arange(len(design.y))[:, None])
    if not isinstance(by, str) or by not in groups:
        raise ArgumentError(unknown_name(f"`{argument}`", by, ["row", *groups]))
    levels, codes = groups[by]
    order = np.argsort(codes, kind="stable")
    sets = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return pd.Index(levels, name=by, dtype=object), sets


def rows_of_design(design: Design, rows: Array) -> Design:
    """Some rows of a design.

    Columns of X and Z, occasions, strata and what was learned from the data stay; levels of
    grouping factors without rows go.

    Parameters
    ----------
    design : Design
    rows : int array
        The rows to keep.

    Returns
    -------
    Design
    """
    return replace(
        design,
        y=design.y[rows],
        X=np.ascontiguousarray(design.X[rows]),
        weights=None if design.weights is None else design.weights[rows],
        offset=None if design.offset is None else design.offset[rows],
        factors=tuple(_of_factor(factor, rows) for factor in design.factors),
        residuals=None if design.residuals is None else _of_residuals(design.residuals, rows),
        index=design.index[rows],
    )


def _of_factor(factor: GroupingFactor, rows: Array) -> GroupingFactor:
    used, codes = np.unique(factor.codes[rows], return_inverse=True)
    levels, related = tuple(factor.levels[i] for i in used), factor.related
    if related is not None and len(levels) < len(factor.levels):
        related = resolve_relationship(related.known, factor.name, levels)
    return replace(
        factor,
        levels=levels,
        related=related,
        own=None if factor.own is None else factor.own[used],
        codes=codes.astype(np.int32),
        Z=np.ascontiguousarray(factor.Z[rows]),
    )


def _of_residuals(residuals: Residuals, rows: Array) -> Residuals:
    own, subjects = residuals.rows, residuals.subjects
    kept = replace(
        own,
        block=np.unique(own.block[rows], return_inverse=True)[1].astype(np.int64),
        point=own.point[rows],
        place=own.place[rows],
        stratum=own.stratum[rows],
        sigma=own.sigma[rows],
        covariates=own.covariates[rows],
    )
    if subjects is not None:
        used, codes = np.unique(subjects.codes[rows], return_inverse=True)
        levels = tuple(subjects.levels[i] for i in used)
        subjects = Grouping(levels, codes.astype(np.int32))
    return replace(residuals, rows=kept, subjects=subjects)
