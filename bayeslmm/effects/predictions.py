"""Predictions, fitted values and simulated responses of a solution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from bayeslmm.effects.rows import NEW_LEVELS, functions_of_data, functions_of_rows
from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.base import LEVEL, Solution
from bayeslmm.solutions.posterior import PosteriorSolution
from bayeslmm.support.arguments import GREATEST_SEED, one_of, probability, whole_number
from bayeslmm.support.arrays import Array
from bayeslmm.support.memory import require_memory

__all__ = ["fitted", "predict", "replicates", "simulate"]


def predict(
    solution: Solution,
    data: object | None = None,
    groups: str | Sequence[str] = "all",
    new_levels: Literal["error", "zero", "sample"] = "error",
    interval: Literal["mean", "new"] | None = None,
    level: float = LEVEL,
    weights: object | None = None,
) -> pd.DataFrame:
    """Predictions for rows old or new; see `Fit.predict`."""
    level = probability(level)
    if interval is not None:
        hint = "None gives no interval."
        interval = cast("Any", one_of("interval", interval, ("mean", "new"), hint))
    new_levels = cast("Any", one_of("new_levels", new_levels, NEW_LEVELS))
    _check_options(data, new_levels, interval, level, weights)
    noise = interval == "new"
    if data is None:
        functions = functions_of_rows(solution.model, groups, noise=noise)
        index = solution.model.design.index
    else:
        functions, index = functions_of_data(
            solution.model, data, groups, new_levels, noise=noise, weights=weights
        )
    if interval is None:
        return pd.DataFrame({"estimate": functions.values(solution.beta, solution.u)}, index=index)
    return pd.DataFrame(solution.linear(functions, level).columns(), index=index)


def _check_options(
    data: object, new_levels: object, interval: object, level: float, weights: object
) -> None:
    if interval is None and level != LEVEL:
        raise ArgumentError(
            f"`level` is the probability of an interval, and none is asked for: give "
            f"interval='mean' or 'new' too, or leave out level={level:g}."
        )
    if data is None and new_levels != "error":
        raise ArgumentError(
            "`new_levels` is for new `data`; the rows fitted have no new levels. Give `data`, "
            f"or leave out new_levels={new_levels!r}."
        )
    if weights is not None and data is None:
        raise ArgumentError("`weights` are for new `data`; the rows fitted have theirs.")
    if weights is not None and interval != "new":
        raise ArgumentError(
            "`weights` are for the residual variance of new observations: give "
            "interval='new' too, or leave them out."
        )


def fitted(solution: Solution) -> pd.Series:
    """Fitted values, with all random effects and offsets."""
    values = functions_of_rows(solution.model).values(solution.beta, solution.u)
    return pd.Series(values, index=solution.model.design.index, name="fitted")


def simulate(solution: Solution, n: int = 1, random_seed: int | None = None) -> pd.DataFrame:
    """Responses of the rows that were fitted, with new random effects and residuals."""
    n = whole_number("n", n)
    if random_seed is not None:
        random_seed = whole_number("random_seed", random_seed, 0, GREATEST_SEED)
    design = solution.model.design
    require_memory(
        n * (4 * len(design.y) + 2 * solution.model.equations.n_random),
        f"n={n} simulations of {len(design.y):,} rows",
        "ask for fewer, or for some at a time with another random_seed",
    )
    y = replicates(solution, n, np.random.default_rng(random_seed), new_groups=True)
    index = pd.RangeIndex(n, name="simulation")
    return pd.DataFrame(y, index=index, columns=design.index)


def replicates(solution: Solution, n: int, rng: np.random.Generator, *, new_groups: bool) -> Array:
    """Responses (n, rows) of the rows that were fitted, with new residuals.

    Parameters
    ----------
    solution : Solution
        Of a posterior each response is at another draw.
    n : int
    rng : numpy.random.Generator
    new_groups : bool
        Whether random effects are drawn anew; otherwise they are those of these groups: BLUPs, or
        those of the draw.
    """
    design = solution.model.design
    if new_groups:
        beta, M, theta = solution.drawn(n, rng)
        sigma = theta[:, -1]
        u = tuple(
            sigma[:, None, None] * np.einsum("sij,slj->sli", m, factor.standard(rng, (n,)))
            for factor, m in zip(design.factors, M, strict=True)
        )
    elif isinstance(solution, PosteriorSolution):
        every_theta, every_beta, every_u = solution.flat
        chosen = rng.choice(len(every_theta), size=n, replace=n > len(every_theta))
        beta, theta = every_beta[chosen], every_theta[chosen]
        u = tuple(own[chosen] for own in every_u)
    else:
        beta, _, theta = solution.drawn(n, rng)
        u = tuple(np.broadcast_to(own, (n, *own.shape)) for own in solution.u)
    y = functions_of_rows(solution.model).values(beta, u)
    z = np.asarray(rng.standard_normal(y.shape))
    noise = solution.model.equations.residual_noise
    e = np.stack([noise(t, own) for t, own in zip(theta, z, strict=True)]) * theta[:, -1:]
    y += e if design.weights is None else e / np.sqrt(design.weights)
    return y
