"""Draws of parameters from their priors, and of responses from the model at these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.inference.prior_draws import draw_priors
from bayeslmm.solutions.labelled import labelled_draws, labelled_rows

if TYPE_CHECKING:
    from xarray import DataTree

    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["prior_predictive"]


def prior_predictive(
    model: Specification, draws: int = 500, random_seed: int | None = None
) -> DataTree:
    """Draw parameters from their priors, and a response of the data's rows at each.

    Parameters
    ----------
    model : Specification
    draws : int
    random_seed : int, optional

    Returns
    -------
    xarray.DataTree
    """
    import arviz_base

    theta, beta, rng = draw_priors(model, draws, random_seed)
    u = _random_effects(model, theta, rng)
    y = functions_of_rows(model).values(beta, u) + _residuals(model, theta, rng)
    effects = np.concatenate(
        [np.empty((len(theta), 0)), *(v.reshape(len(v), -1) for v in u)], axis=1
    )
    variables, dims, coords = labelled_draws(model, theta[None], beta[None], effects[None])
    data, own, rows = labelled_rows(model)
    groups: dict[str, Any] = {"prior": variables, "prior_predictive": {"y": y[None]}, **data}
    attributes = {"/": {"formula": model.formula, "response": model.design.response}}
    return arviz_base.from_dict(groups, dims=dims | own, coords=coords | rows, attrs=attributes)


def _random_effects(
    model: Specification, theta: Array, rng: np.random.Generator
) -> tuple[Array, ...]:
    """u (draws, levels, effects) of each factor."""
    equations = model.equations
    M = equations.split_M(np.stack([equations.relative_factors(row) for row in theta]))
    return tuple(
        theta[:, -1, None, None]
        * np.einsum("sij,slj->sli", factor, own.standard(rng, (len(theta),)))
        for factor, own in zip(M, model.design.factors, strict=True)
    )


def _residuals(model: Specification, theta: Array, rng: np.random.Generator) -> Array:
    """Residuals (draws, n)."""
    z = rng.standard_normal((len(theta), model.equations.n))
    noise = model.equations.residual_noise
    e = np.stack([noise(row, own) for row, own in zip(theta, z, strict=True)]) * theta[:, -1:]
    weights = model.design.weights
    return np.asarray(e if weights is None else e / np.sqrt(weights))
