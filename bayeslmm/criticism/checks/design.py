"""Checks of the design: columns, rows and times, before anything is estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.base import Needs
from bayeslmm.criticism.checks.words import count
from bayeslmm.criticism.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.solutions.base import Solution

__all__ = ["dropped_columns", "dropped_rows", "not_identified", "unequal_lags"]

_EQUAL = 1e-6
"""Distances of times that differ by less, relative to the largest, are equal but for rounding."""


def not_identified(solution: Solution) -> Iterator[Finding]:
    """Parameters that the design does not identify, where the user switched the check off."""
    model = solution.model
    if not model.check and model.unidentified:
        what, _, remedy = model.unidentified.rpartition("; ")
        remedy = remedy[:1].upper() + remedy[1:]
        yield Finding("error", what or remedy, "", remedy if what else "")


def dropped_columns(solution: Solution) -> Iterator[Finding]:
    """Columns of X that depend linearly on others."""
    dropped = solution.model.design.dropped
    if dropped:
        yield Finding(
            "warning",
            "columns of X that others determine were left out",
            ", ".join(dropped),
            "Leave out a term; the coefficients that remain depend on which",
        )


def dropped_rows(solution: Solution) -> Iterator[Finding]:
    """Rows with missing values."""
    design = solution.model.design
    if design.n_dropped:
        missing = ", ".join(f"{name} {number}" for name, number in design.missing.items())
        what = f"{count(design.n_dropped, 'row')} with missing values dropped"
        yield Finding("note", what, f"missing: {missing}", "")


def unequal_lags(solution: Solution) -> Iterator[Finding]:
    """Correlations of residuals by lag over times that are not equally far apart."""
    residuals = solution.model.design.residuals
    if residuals is None or residuals.structure.correlation.needs is not Needs.LAGS:
        return
    try:
        times = np.array([float(occasion) for occasion in residuals.occasions])
    except ValueError:
        return
    distances = np.diff(times)
    if np.ptp(distances) <= _EQUAL * distances.max():
        return
    structure = residuals.structure
    what = (
        f"{structure.name} counts lags in occasions: neighbours in {structure.time!r} count as "
        f"one apart, and are {distances.min():.4g} to {distances.max():.4g} apart"
    )
    yield Finding("note", what, "", "For correlations by distance use CAR1 or Exp")
