"""Checks of priors: where a parameter has little meaning, and modes on the boundary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.structures import VarIdent, VarPower
from bayeslmm.criticism.checks.words import listed
from bayeslmm.criticism.findings import Finding
from bayeslmm.priors.defaults import growth_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.point import MapSolution
    from bayeslmm.support.arrays import Array

__all__ = ["growth_far_from_zero", "mode_at_zero", "mode_on_boundary"]


def growth_far_from_zero(solution: Solution) -> Iterator[Finding]:
    """Standard deviations that grow with a covariate and refer to a value of it that is far from
    the data.
    """
    parameters = solution.model.parameters
    growth = growth_of(parameters, solution.model.design)
    distances = np.abs(growth.weights * growth.units)
    for j in np.flatnonzero(growth.far.any(axis=0)):
        i, name = int(np.argmax(distances[:, j])), parameters.names[j]
        zero, remedy = "0", "Take the mean off the column"
        exponent = parameters.block_at(int(j)).exponent
        if exponent == VarPower.exponent:
            zero, remedy = "1", "Divide the column by its mean"
        elif exponent == VarIdent.exponent:
            remedy = "Make a level with more rows the first"
        what = (
            f"{parameters.names[i]} is the standard deviation where the covariate of {name} "
            f"is {zero}, {distances[i, j]:.0f} standard deviations from its mean: its estimate "
            "and interval say nothing of the data"
        )
        yield Finding("warning", what, "", remedy)


def mode_at_zero(solution: MapSolution) -> Iterator[Finding]:
    """Standard deviations whose mode is zero."""
    zero = _sds_at_zero(solution)
    if zero.any():
        yield Finding(
            "warning",
            "the mode of a standard deviation is zero, where its prior has density",
            listed(_names(solution, zero)),
            "Give it a prior that is zero there, such as bl.Gamma(2, rate) with a small rate, "
            "or leave the effect out",
        )


def mode_on_boundary(solution: MapSolution) -> Iterator[Finding]:
    """Other parameters whose mode is on the boundary, where no standard deviation is zero."""
    boundary = solution.optimum.boundary
    if solution.status.ok and boundary.any() and not _sds_at_zero(solution).any():
        yield Finding(
            "warning",
            "the mode is at the boundary, where standard errors do not exist",
            listed(_names(solution, boundary)),
            "A correlation is kept off ±1 by bl.LKJ(eta) with eta above 1; or simplify the model",
        )


def _sds_at_zero(solution: MapSolution) -> Array:
    """Which parameters are standard deviations whose mode is zero; none without a mode."""
    optimum, kinds = solution.optimum, np.array(solution.model.parameters.kinds)
    return optimum.boundary & (optimum.theta == 0.0) & (kinds == "sd") & solution.status.ok


def _names(solution: MapSolution, which: Array) -> list[str]:
    names = solution.model.parameters.names
    return [name for name, chosen in zip(names, which, strict=True) if chosen]
