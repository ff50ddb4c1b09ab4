"""Rows of data that are correlated with each other, directly or through random effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.residual_rows import ResidualRows
    from bayeslmm.support.arrays import Array

__all__ = ["connected_rows", "residual_blocks", "residual_pattern"]


def connected_rows(design: Design) -> list[Array]:
    """The rows of each set that no random effect and no structure of R joins to other rows.

    Parameters
    ----------
    design : Design

    Returns
    -------
    list of int arrays
        In each, rows are in the order of the data.
    """
    n = len(design.y)
    # levels that are related join all rows
    groups = [f.codes if f.related is None else np.zeros(n, dtype=int) for f in design.factors]
    if design.residuals is not None:
        groups.append(design.residuals.rows.block)
    if not groups:
        return list(np.arange(n)[:, None])
    incidence = sparse.hstack(
        [sparse.csr_array((np.ones(n), (np.arange(n), codes))) for codes in groups], format="csr"
    )
    graph = sparse.block_array([[None, incidence], [incidence.T, None]], format="csr")
    return _by_code(connected_components(graph, directed=False)[1][:n])


def residual_blocks(rows: ResidualRows) -> list[Array]:
    """The rows of each block of R, in the order of their occasions."""
    order = rows.order
    ends = np.flatnonzero(np.diff(rows.block[order])) + 1
    return np.split(order, ends)


def residual_pattern(own: ResidualRows, rows: Array) -> bytes:
    """What R of some rows depends on."""
    block = np.unique(own.block[rows], return_inverse=True)[1]
    columns = (block, own.point[rows], own.stratum[rows], own.sigma[rows])
    numbers = np.column_stack([own.place[rows], own.covariates[rows]])
    return np.column_stack([*columns, numbers]).astype(np.float64).tobytes()


def _by_code(codes: Array) -> list[Array]:
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.cumsum(np.bincount(codes))[:-1])
