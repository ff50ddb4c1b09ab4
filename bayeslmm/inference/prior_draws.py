"""Draws of parameters from their priors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.correlations.kernels import correlation
from bayeslmm.errors import PriorError
from bayeslmm.support.arguments import GREATEST_SEED, whole_number
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["draw_priors"]

_ATTEMPTS = 50
"""Times as many candidates as draws, of priors that allow what is no correlation matrix."""


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
        if not row.prior.proper:
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
