"""Checks of estimates by REML or ML on the boundary of the parameter space, or near it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.base import NUGGET
from bayeslmm.covariance.correlations.factor_analytic import LOADING
from bayeslmm.criticism.checks.words import combination
from bayeslmm.criticism.findings import Finding
from bayeslmm.design.parameters import bars_together
from bayeslmm.estimation.optimum import Status
from bayeslmm.support import scales

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bayeslmm.design.blocks import Block
    from bayeslmm.design.factors import BarBlock, GroupingFactor
    from bayeslmm.solutions.point import LikelihoodSolution
    from bayeslmm.support.arrays import Array

__all__ = [
    "residual_heywood",
    "residual_parameters_at_bounds",
    "residual_sds_at_zero",
    "singular_directions",
    "structures_at_bounds",
    "uniquenesses_near_zero",
]

_SINGULAR = 1e-4
"""A direction of G is singular when its sd is below this fraction of the largest one's."""
_INVOLVED = 0.01
"""The weight in a direction, which has length 1, from which an effect is part of it."""
_NEAR = 2.0
"""The number of standard errors within which a uniqueness is near zero."""


def singular_directions(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Combinations of the effects of unrestricted and diagonal bars that do not vary."""
    if solution.status is not Status.SINGULAR:
        return
    for factor in solution.model.design.factors:
        G = solution.moments[0][factor.name]
        for bar in factor.bars:
            if bar.shape is None:
                yield from _singular_bar(factor, bar, G)


def _singular_bar(factor: GroupingFactor, bar: BarBlock, G: Array) -> Iterator[Finding]:
    columns = bar.slice
    effects = np.array(factor.effects[columns], dtype=object)
    # in units of the response, in which effects can be compared
    scale = np.sqrt(np.mean(factor.Z[:, columns] ** 2, axis=0))
    values, vectors = np.linalg.eigh(np.outer(scale, scale) * G[columns, columns])
    sds = np.sqrt(np.maximum(values, 0.0))
    smallest = _SINGULAR * np.sqrt(max(values[-1], 1e-300))
    for direction in vectors.T[sds <= smallest]:
        involved = np.abs(direction) > _INVOLVED
        weights = (direction * scale)[involved]
        yield _singular_direction(factor, bar, weights, list(effects[involved]))


def _singular_direction(
    factor: GroupingFactor, bar: BarBlock, weights: Array, effects: list[str]
) -> Finding:
    if len(effects) == 1:
        name = effects[0]
        return Finding(
            "warning",
            f"the variance of {name} over {factor.name} is zero",
            bar.text,
            f"Leave {name} out of {bar.text}, or fit by 'nuts' with a prior for "
            f"sd_{factor.name}[{name}]",
        )
    if len(effects) == 2:
        sign = "-1" if weights[0] * weights[1] > 0 else "1"
        what = f"the correlation of {effects[0]} and {effects[1]} over {factor.name} is {sign}"
    else:
        sum_of_effects = combination(weights, effects)
        what = f"a combination of effects over {factor.name} does not vary: {sum_of_effects}"
    return Finding(
        "warning",
        what,
        bar.text,
        f"Leave an effect out of {bar.text}, write it with ||, or fit by 'nuts' with a prior for "
        f"corr_{factor.name}",
    )


def structures_at_bounds(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Parameters at a bound, of structures of G other than unrestricted and diagonal."""
    if not solution.status.ok:
        return
    for factor in solution.model.design.factors:
        for number, bar in enumerate(factor.bars):
            if bar.shape is not None and bar.like is None:
                yield from _bar_at_bounds(solution, factor, number, bar)


def _bar_at_bounds(
    solution: LikelihoodSolution, factor: GroupingFactor, number: int, bar: BarBlock
) -> Iterator[Finding]:
    optimum = solution.optimum
    sds, others = bars_together(solution.model.parameters, factor, number)
    zero = all(optimum.boundary[block.slice].all() for block in sds)
    # where all standard deviations are zero, the other parameters have no meaning
    for block in sds if zero else [*sds, *others]:
        bounded = optimum.boundary[block.slice]
        if not bounded.any() or (block.parameter is NUGGET and not optimum.singular):
            continue
        names = [name for name, at_bound in zip(block.names, bounded, strict=True) if at_bound]
        what = "zero" if block.parameter is None else block.parameter.bound
        yield Finding(
            "warning",
            f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} {what}",
            bar.text,
            f"Use a simpler structure than {bar.covariance.name}, or fit by 'nuts' with a prior "
            f"for {names[0]}",
        )


def uniquenesses_near_zero(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Uniquenesses that the data do not distinguish from zero."""
    if not solution.status.ok:
        return
    for block in solution.model.parameters.blocks:
        near = _near_zero(solution, block) if block.parameter is LOADING else []
        if near:
            yield Finding(
                "note",
                "a uniqueness is less than two standard errors from zero (nearly a Heywood "
                "case), so that Wald intervals of its loadings are far too wide",
                f"{block.name}, {'; '.join(near)}",
                "Use confint('profile') or confint('bootstrap')",
            )


def _near_zero(solution: LikelihoodSolution, block: Block) -> list[str]:
    """The rows of loadings whose uniqueness is near zero, with its estimate."""
    optimum = solution.optimum
    slopes = scales.slopes(optimum.theta, solution.model.parameters.bounds)
    of_row: dict[str, list[int]] = {}
    for index, label in enumerate(map(str, block.labels), start=block.start):
        of_row.setdefault(label.rpartition(", ")[0], []).append(index)
    near = []
    for row, indices in of_row.items():
        loadings = optimum.theta[indices]
        uniqueness = 1.0 - loadings @ loadings
        gradient = -2.0 * loadings * slopes[indices]
        variance = gradient @ optimum.vcov[np.ix_(indices, indices)] @ gradient
        if uniqueness < _NEAR * np.sqrt(variance):
            near.append(f"{row}: {uniqueness:.2g}")
    return near


def residual_parameters_at_bounds(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Parameters of R at a bound, other than standard deviations and loadings, and what R is
    there.
    """
    for block, name, index, words in _residual_bounds(solution):
        if block.kind != "sigma" and block.parameter is not LOADING:
            bound, meaning = _bound_and_meaning(block, solution.optimum.theta[index])
            yield Finding(
                "warning",
                f"{name} is at its bound {bound:.3g}: {meaning}; it has no standard error",
                words,
                f"Use a structure without {name}, or fit by 'nuts' with a prior for {name}",
            )


def residual_sds_at_zero(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Residual standard deviations of some rows that are zero."""
    for block, name, _, words in _residual_bounds(solution):
        if block.kind == "sigma":
            yield Finding(
                "warning",
                f"{name} is numerically zero: fixed and random effects reproduce these rows; it "
                "has no standard error",
                words,
                f"Let these rows have the variance of others, or fit by 'nuts' with a prior for "
                f"{name}",
            )


def residual_heywood(solution: LikelihoodSolution) -> Iterator[Finding]:
    """Loadings of R where a uniqueness is zero."""
    for block, name, _, words in _residual_bounds(solution):
        if block.parameter is LOADING:
            what = f"{name} is {LOADING.bound}; it has no standard error"
            yield Finding("note", what, words, "Use fewer factors, or fit by 'nuts'")


def _residual_bounds(solution: LikelihoodSolution) -> Iterator[tuple[Block, str, int, str]]:
    """The parameters of a structured R on the boundary: block, name, index in theta, and the
    structure in words.
    """
    residuals = solution.model.design.residuals
    if residuals is None or solution.status is Status.ZERO_RESIDUAL:
        return
    for block in solution.model.parameters.blocks:
        if block.factor is None:
            for index, name in enumerate(block.names, start=block.start):
                if solution.optimum.boundary[index]:
                    yield block, name, index, residuals.structure.words


def _bound_and_meaning(block: Block, value: float) -> tuple[float, str]:
    """The bound that a parameter of R is at, and what R is there."""
    middle = np.median(block.typical) if np.isinf(block.upper) else (block.lower + block.upper) / 2
    assert block.parameter is not None
    upper = value > middle
    meaning = block.parameter.at_upper if upper else block.parameter.at_lower
    return block.upper if upper else block.lower, meaning
