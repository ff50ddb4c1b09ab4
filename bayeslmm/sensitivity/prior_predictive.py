"""Draws of parameters from their priors, and of responses from the model at these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslmm.covariance.correlations.kernels import correlation
from bayeslmm.effects.rows import functions_of_rows
from bayeslmm.errors import PriorError
from bayeslmm.priors.families import Flat
from bayeslmm.solutions.labelled import labelled_draws, labelled_rows
from bayeslmm.support.arguments import GREATEST_SEED, whole_number
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from xarray import DataTree

    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["draw_priors", "prior_predictive"]

_ATTEMPTS = 50
"""Times as many candidates as draws, of priors that allow what is no correlation matrix."""


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


def draw_priors(
    model: Specification, draws: int, random_seed: int | None
) -> tuple[Array, Array, np.random.Generator]:
    """Draw theta (draws, k) and beta (draws, p) from their priors; what continues the random
    numbers.

    Raises
    ------
    PriorError
        For a flat prior, and priors that hardly ever make a covariance matrix.
    """
    draws = whole_number("draws", draws)
    numbers = len(model.parameters) + 4 * model.equations.n + 2 * model.equations.n_random
    require_memory(
        draws * numbers,
        f"draws={draws} from the priors, each with {model.equations.n:,} rows,",
        "ask for fewer",
    )
    if random_seed is not None:
        random_seed = whole_number("random_seed", random_seed, 0, GREATEST_SEED)
    for row in model.priors.rows:
        if isinstance(row.prior, Flat):
            raise PriorError(
                f"{row.parameter!r} has a flat prior, from which nothing can be drawn; give it a "
                f"proper one, such as model.with_priors({{{row.parameter!r}: bl.Normal(0, 10)}}), "
                "or leave it out for the default."
            )
    rng = np.random.default_rng(random_seed)
    theta, beta = np.empty((0, len(model.parameters))), np.empty((0, len(model.design.coef)))
    for _ in range(_ATTEMPTS):
        new_theta, new_beta = _candidates(model, draws, rng)
        valid = np.array([_has_R(model, row) for row in new_theta])
        theta = np.concatenate([theta, new_theta[valid]])[:draws]
        beta = np.concatenate([beta, new_beta[valid]])[:draws]
        if len(theta) == draws:
            return theta, beta, rng
    raise PriorError(
        f"of {_ATTEMPTS * draws} draws from the priors of R's correlations {len(theta)} made a "
        f"correlation matrix, fewer than the {draws} asked for; narrow these priors, for example "
        "to bl.Uniform(-0.3, 0.3), or use a structure with fewer parameters."
    )


def _candidates(model: Specification, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Independent draws of all parameters."""
    import pymc as pm
    from pytensor.compile.mode import Mode

    from bayeslmm.pymc_models.parameters import covariance_variables
    from bayeslmm.pymc_models.split_variables import split_variables
    from bayeslmm.pymc_models.textbook import coefficients

    with pm.Model(coords={"coef": model.design.coef}):
        joint = split_variables(model.priors)
        beta = coefficients(model.design, model.priors, joint)
        theta = covariance_variables(model.parameters, model.priors, joint).theta
    # a few hundred evaluations are made sooner than anything is compiled
    mode = Mode(linker="py", optimizer=None)
    seed = int(rng.integers(2**32))
    drawn = pm.draw([theta, beta], draws=draws, random_seed=seed, mode=mode)
    thetas, betas = (np.asarray(values, dtype=np.float64).reshape(draws, -1) for values in drawn)
    return thetas, betas


def _has_R(model: Specification, theta: Array) -> bool:
    """Whether the parameters of R are those of correlation matrices."""
    rows = model.equations.residuals
    if rows is None:
        return True
    first = len(theta) - rows.n_parameters
    params = theta[first : first + rows.n_strata * rows.n_corr].reshape(rows.n_strata, rows.n_corr)
    # parameters are checked against their bounds, and those of all occasions together
    sets = rows.n_strata
    return correlation(rows.correlation, params, np.zeros((sets, 1)), np.ones((sets, 1, 1)))[1]


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
