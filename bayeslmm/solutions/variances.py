"""Variances and covariances as functions of theta, whose elements are standard deviations and
correlations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bayeslmm.covariance.cholesky import lower_triangle
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.blocks import Block
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.design.residuals import Residuals

__all__ = ["Variances"]


@dataclass(frozen=True, slots=True, eq=False)
class Variances:
    """Theta with variances for standard deviations and covariances for correlations.

    A correlation becomes a covariance where it belongs to one pair of standard deviations. It stays
    a correlation where its pair has several, as with strata that share it or a variance function;
    parameters of other kinds stay what they are.

    Attributes
    ----------
    squared : (k,) array of bool
        Which parameters are standard deviations.
    pairs : (k, 2) array of int
        For each correlation that becomes a covariance, the positions of its standard deviations;
        -1 for any other parameter.
    """

    squared: Array
    pairs: Array

    @classmethod
    def of(cls, design: Design, parameters: Parameters) -> Self:
        """The functions of the covariance parameters of a design."""
        pairs = np.full((len(parameters), 2), -1)
        for block in parameters.blocks:
            if block.kind == "corr":
                pairs[block.slice] = _sds_of(block, design, parameters)
        return cls(np.isin(parameters.kinds, ("sd", "sigma")), pairs)

    @property
    def covariances(self) -> Array:
        """Which parameters become covariances; (k,) bool."""
        return self.pairs[:, 0] >= 0

    def values(self, theta: Array) -> Array:
        """The functions at one or many theta; (..., k)."""
        values = np.where(self.squared, theta**2, theta)
        here = self.covariances
        first, second = self.pairs[here].T
        values[..., here] *= theta[..., first] * theta[..., second]
        return values

    def jacobian(self, theta: Array) -> Array:
        """Derivatives (k, k) of the functions, a row each, in theta (k,)."""
        jacobian = np.diag(np.where(self.squared, 2 * theta, 1.0))
        here = np.flatnonzero(self.covariances)
        first, second = self.pairs[here].T
        jacobian[here, here] = theta[first] * theta[second]
        # added, because both may be the same standard deviation
        np.add.at(jacobian, (here, first), theta[here] * theta[second])
        np.add.at(jacobian, (here, second), theta[here] * theta[first])
        return jacobian

    @property
    def arguments(self) -> Array:
        """Which parameters each function depends on; (k, k) bool."""
        arguments = np.eye(len(self.squared), dtype=bool)
        here = np.flatnonzero(self.covariances)
        arguments[here[:, None], self.pairs[here]] = True
        return arguments


def _sds_of(block: Block, design: Design, parameters: Parameters) -> Array:
    """Positions (m, 2) of the standard deviations of correlations, row by row of their lower
    triangle; -1 where a pair has several.
    """
    if block.factor is None:
        assert design.residuals is not None
        sds = _sds_of_occasions(block, design.residuals, parameters)
    else:
        sds = _sds_of_effects(block, design.factor(block.factor), parameters)
    if sds is None:
        return np.full((len(block.labels), 2), -1)
    rows, columns = lower_triangle(block.size, -1)
    return np.column_stack([sds[columns], sds[rows]])


def _sds_of_effects(block: Block, factor: GroupingFactor, parameters: Parameters) -> Array | None:
    """The position of the standard deviation of each effect of a bar; None if it has several."""
    shape, sds = factor.bars[block.bar].shape, parameters.find(factor.name, block.bar, "sd")
    if sds is None or block.sharing or (shape is not None and shape.exponents):
        return None
    return np.broadcast_to(np.arange(sds.start, sds.stop), (block.size,))


def _sds_of_occasions(block: Block, residuals: Residuals, parameters: Parameters) -> Array | None:
    """The position of the standard deviation of each occasion of a stratum of R, which has all of
    them; None where standard deviations depend on other columns.
    """
    structure, sigma = residuals.structure, parameters.blocks[-1]
    if structure.growing or structure.leading not in (None, "occasion"):
        return None
    several = block.size if structure.leading else 1
    strata = [b for b in parameters.blocks if b.factor is None and b.kind == "corr"]
    first = sigma.start + several * strata.index(block)
    return np.broadcast_to(np.arange(first, first + several), (block.size,))
