"""What is wrong with a solution, in plain words, and what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bayeslmm.criticism.checks import boundary, convergence, design, priors
from bayeslmm.criticism.findings import SEVERITIES, Diagnosis
from bayeslmm.solutions.base import Solution
from bayeslmm.solutions.point import LikelihoodSolution, MapSolution, PointSolution
from bayeslmm.solutions.posterior import PosteriorSolution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bayeslmm.criticism.findings import Finding

__all__ = ["diagnose"]

_CHECKS: tuple[tuple[type[Solution], Callable[[Any], Iterable[Finding]]], ...] = (
    (Solution, priors.growth_far_from_zero),
    (Solution, design.unequal_lags),
    (Solution, design.not_identified),
    (Solution, design.dropped_columns),
    (Solution, design.dropped_rows),
    (PointSolution, convergence.no_maximum),
    (PointSolution, convergence.rounding),
    (LikelihoodSolution, boundary.singular_directions),
    (LikelihoodSolution, boundary.structures_at_bounds),
    (LikelihoodSolution, boundary.uniquenesses_near_zero),
    (LikelihoodSolution, boundary.residual_parameters_at_bounds),
    (LikelihoodSolution, boundary.residual_sds_at_zero),
    (LikelihoodSolution, boundary.residual_heywood),
    (MapSolution, priors.mode_at_zero),
    (MapSolution, priors.mode_on_boundary),
    (PosteriorSolution, convergence.interrupted),
    (PosteriorSolution, convergence.divergences),
    (PosteriorSolution, convergence.not_mixed),
    (PosteriorSolution, convergence.few_effective_draws),
    (PosteriorSolution, convergence.long_paths),
)
"""Checks, in the order of their findings, each with the kind of solution that it applies to."""


def diagnose(solution: Solution) -> Diagnosis:
    """Say what is wrong with a solution, and what to try.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    Diagnosis
        The most serious finding first.
    """
    findings = [
        finding
        for kind, check in _CHECKS
        if isinstance(solution, kind)
        for finding in check(solution)
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Diagnosis(tuple(findings))
