"""Residuals and predicted random effects against the quantiles of a normal distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import betaincinv, ndtri

from bayeslmm.drawing.residuals import Quantiles
from bayeslmm.effects.residuals import residuals

if TYPE_CHECKING:
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.support.arrays import Array

__all__ = ["Quantiles", "normal_quantiles", "quantiles_of_fit"]

_NONE = 1e-6
"""The share of a variance that is numerically zero."""


def normal_quantiles(name: str, values: Array, labels: Array, level: float) -> Quantiles:
    """Put values beside normal quantiles.

    Parameters
    ----------
    name : str
    values : (m,) array
    labels : (m,) array of str
    level : float
        Probability of the band, for each place by itself.
    """
    order = np.argsort(values, kind="stable")
    m, place = len(values), np.arange(1, len(values) + 1)
    normal = ndtri((place - 0.5) / m)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    edges = [
        mean + sd * ndtri(betaincinv(place, m + 1 - place, tail))
        for tail in ((1 - level) / 2, (1 + level) / 2)
    ]
    ordered = tuple(str(labels[i]) for i in order)
    return Quantiles(name, ordered, normal, values[order], mean + sd * normal, *edges)


def quantiles_of_fit(solution: Solution, level: float) -> tuple[list[Quantiles], list[str]]:
    """Normalized residuals, and predicted random effects over their standard deviations, by effect;
    and which effects do not vary.

    Parameters
    ----------
    solution : Solution
    level : float
    """
    design = solution.model.design
    residual = residuals(solution, "normalized", marginal=False)
    found, left = [], []
    if np.isfinite(residual).all():
        labels = design.index.astype(str).to_numpy()
        found.append(normal_quantiles("normalized residuals", residual, labels, level))
    else:
        left.append("residuals")
    for position, factor in enumerate(design.factors):
        G = solution.moments[0][factor.name]
        error = _prediction_variances(solution, position)
        for j, effect in enumerate(factor.effects):
            # û varies by what prediction does not leave open
            # levels of another stratum do not have the effect
            has = slice(None) if factor.own is None else factor.own[:, j]
            before = (G[j, j] * factor.own_variances)[has]
            variance = before - error[has, j]
            name = f"{factor.name}: {effect}"
            if len(before) < 3 or not (variance > _NONE * before).all():
                left.append(name)
                continue
            values = solution.u[position][has, j] / np.sqrt(variance)
            levels = np.array(factor.levels, dtype=object)[has]
            found.append(normal_quantiles(name, values, levels, level))
    return found, left


def _prediction_variances(solution: Solution, position: int) -> Array:
    """Var(u - û) of a factor, by level and effect."""
    factor = solution.model.design.factors[position]
    if solution.method == "nuts":
        error: Array = solution.level_effects(position, 0.95).std_error ** 2
        return error.reshape(len(factor.levels), -1)
    own = cast("PointSolution", solution)
    blocks = own.equations.var_u(own.optimum.M, own.optimum.sigma, beta_known=False)
    return np.diagonal(blocks[factor.name], axis1=1, axis2=2)
