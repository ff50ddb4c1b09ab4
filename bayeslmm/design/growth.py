"""Standard deviations that grow with covariates: what exponents add to their logarithms where the
covariates have their means.

Sigma of `VarPower` and `VarExp` is the standard deviation where the covariate is one or zero, which
may lie far from all data. At the means it hardly depends on the exponents, which is why default
priors and the sampler's coordinates are about it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.design.residual_rows import ResidualRows
    from bayeslmm.support.arrays import Array

__all__ = ["Growth", "exponent_places"]

_FAR = 20.0
"""A mean of a covariate, in its standard deviations, at which nothing is known of zero."""
_ROUNDING = 1e-6
"""A mean of a covariate, in its standard deviations, that is numerically zero."""


@dataclass(frozen=True, eq=False)
class Growth:
    """How the standard deviations of a model grow.

    Attributes
    ----------
    weights : (k, k) array
        What is added to the logarithm of each standard deviation at the means of the covariates is
        the product with theta; zero for what is no exponent.
    units : (k,) array
        One over the standard deviations of the covariates; one for what is no exponent.
    """

    weights: Array
    units: Array

    @property
    def far(self) -> Array:
        """Which standard deviations (k, k) are so far from the data by which exponents that their
        size there says nothing.
        """
        return np.abs(self.weights * self.units) > _FAR

    @classmethod
    def of(
        cls,
        parameters: Parameters,
        factors: Sequence[GroupingFactor],
        rows: ResidualRows | None,
    ) -> Growth:
        """The growth of random effects, by the rows of data of each occasion, and of residuals.

        Parameters
        ----------
        parameters : Parameters
        factors : sequence of GroupingFactor
        rows : ResidualRows or None
        """
        k = len(parameters)
        weights, units = np.zeros((k, k)), np.ones(k)
        for factor in factors:
            for block in parameters.blocks:
                if block.factor != factor.name or block.kind not in ("sd", "power"):
                    continue
                shape = factor.bars[block.bar].shape
                if shape is None or not shape.exponents:
                    continue
                places = exponent_places(parameters, factor, block.bar)
                means, spreads = _moments(factor, block.bars, block.kind == "sd" and shape.several)
                if block.kind == "sd":
                    weights[block.slice, places] = means
                else:
                    units[places] = _inverse(spreads[0])
        if rows is not None and rows.covariates.shape[1]:
            first = k - rows.n_sigmas
            own = slice(first - rows.covariates.shape[1], first)
            for number in range(rows.n_sigmas):
                weights[first + number, own] = rows.covariates[rows.sigma == number].mean(axis=0)
            strata = int(rows.stratum.max()) + 1
            units[own] = [
                _inverse(np.std(column[rows.stratum == j % strata]))
                for j, column in enumerate(rows.covariates.T)
            ]
        # of covariates that have mean zero, but for rounding, nothing
        return cls(np.where(np.abs(weights * units) > _ROUNDING, weights, 0.0), units)


def exponent_places(parameters: Parameters, factor: GroupingFactor, bar: int) -> list[int]:
    """Where the exponents of a bar with a shape stand in theta, in the order of its covariates."""
    shape = factor.bars[bar].shape
    assert shape is not None
    found = {b.name: b.start for b in parameters.of_bar(factor.name, bar) if b.kind == "power"}
    names = [f"{own.variable}_{factor.name}" for own in shape.exponents]
    return [found[name] + names[:i].count(name) for i, name in enumerate(names)]


def _moments(factor: GroupingFactor, bars: Sequence[int], each: bool) -> tuple[Array, Array]:
    """Means and standard deviations of the covariates of bars over the rows of data, for each
    effect (q, c) or for all of them (1, c).
    """
    own = [factor.bars[i] for i in bars]
    counts = np.array([(factor.Z[:, bar.start : bar.stop] != 0).sum(axis=0) for bar in own])
    covariates = np.array([bar.shape.covariates for bar in own if bar.shape is not None])
    over = (0,) if each else (0, 1)
    share = counts / np.maximum(counts.sum(axis=over, keepdims=True), 1)
    means = (share[..., None] * covariates).sum(axis=over, keepdims=True)
    spreads = (share[..., None] * (covariates - means) ** 2).sum(axis=over, keepdims=True)
    return means[0], np.sqrt(spreads[0])


def _inverse(spread: Array) -> Array:
    return 1.0 / np.where(spread > 0, spread, 1.0)
