"""What draws of theta imply for other quantities: shares of variance, sds of groups' means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.correlations import NONE
from bayeslmm.frames import Array
from bayeslmm.noise import Noise

if TYPE_CHECKING:
    from bayeslmm.model import Model

__all__ = ["implied_quantities"]


def implied_quantities(model: Model, theta: Array) -> dict[str, Array]:
    """Intraclass correlations, and the standard deviation of a group's mean.

    With v the variance that a factor's random effects have where the columns of their bars are at
    the means of the data, and s² the mean variance of a residual:

    - ``icc[Subject]`` is v over the sum of all factors' v and s²;
    - ``sd of a mean of Subject`` is √(v + s²/m), with m the average number of rows of a level: how
      far the mean of a level's rows lies from that of all levels. Residuals that are correlated
      within levels have none.

    Parameters
    ----------
    model : Model
    theta : (draws, k) array

    Returns
    -------
    dict of (draws,) arrays
    """
    equations, design = model.equations, model.design
    sigma = theta[:, -1]
    if not design.factors:
        return {}
    weights = np.ones(equations.n) if design.weights is None else design.weights
    relative = Noise.of_rows(1 / weights, equations.residuals).relative(theta)
    residual = sigma**2 * relative.mean(axis=-1)
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    between = {}
    for factor, own in zip(design.factors, M, strict=True):
        at = sigma[:, None] * (factor.Z.mean(axis=0) @ own)
        between[factor.name] = (at**2).sum(axis=-1)
    total = np.sum(list(between.values()), axis=0) + residual
    found = {f"icc[{name}]": value / total for name, value in between.items()}
    rows = equations.residuals
    if rows is None or rows.code == NONE.code:
        for factor in design.factors:
            size = equations.n / len(factor.levels)
            sd = np.sqrt(between[factor.name] + residual / size)
            found[f"sd of a mean of {factor.name}"] = sd
    return found
