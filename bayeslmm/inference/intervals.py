"""Confidence intervals of a solution, by whichever way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.effects.tables import known_parameters, point_summary
from bayeslmm.errors import ArgumentError
from bayeslmm.inference.bootstrap import bootstrap
from bayeslmm.inference.profile.profile import profile
from bayeslmm.support.arguments import one_of, probability

if TYPE_CHECKING:
    from bayeslmm.solutions.point import LikelihoodSolution, PointSolution
    from bayeslmm.support.arrays import Array

__all__ = ["confint", "known_parameters", "refits_of", "wald_intervals"]

_METHODS = ("profile", "wald", "bootstrap")
_REFITS = 1000


def wald_intervals(
    solution: PointSolution, level: float, parameters: str | Sequence[str] | None
) -> pd.DataFrame:
    """The intervals of `summary`, with the estimates."""
    names = known_parameters(solution, parameters)
    return point_summary(solution, level).loc[names, ["estimate", "lower", "upper"]]


def confint(
    solution: LikelihoodSolution,
    method: str,
    level: float,
    parameters: str | Sequence[str] | None,
    n: int | None,
    random_seed: int | None,
) -> pd.DataFrame:
    """Confidence intervals; see `LikelihoodFit.confint`."""
    level = probability(level)
    method = one_of("method", method, _METHODS)
    names = known_parameters(solution, parameters)
    if method != "bootstrap":
        _refuse_options_of_bootstrap(method, n, random_seed)
    if method == "profile":
        return profile(solution, names, level).intervals(level)
    table = wald_intervals(solution, level, names)
    if method == "wald":
        return table
    theta, beta = refitted(solution, n, random_seed)
    ends = np.quantile(np.column_stack([beta, theta]), [(1 - level) / 2, (1 + level) / 2], axis=0)
    every = pd.DataFrame(ends.T, index=known_parameters(solution, None), columns=["lower", "upper"])
    return table.assign(**every.loc[names])


def refitted(
    solution: LikelihoodSolution, n: int | None, random_seed: int | None
) -> tuple[Array, Array]:
    """Estimates of theta (refits, k) and beta (refits, p) from a parametric bootstrap.

    Parameters
    ----------
    solution : LikelihoodSolution
    n : int, optional
        How many refits; 1000 by default.
    random_seed : int, optional
    """
    tree = bootstrap(solution, _REFITS if n is None else n, "parametric", random_seed, None)
    draws = tree["posterior"]
    beta = draws["beta"].to_numpy()[0]
    parts = [
        values.to_numpy()[0].reshape(len(beta), -1)
        for name, values in draws.data_vars.items()
        if name != "beta"
    ]
    return np.column_stack(parts), beta


def refits_of(
    solution: LikelihoodSolution, method: str, n: int | None, random_seed: int | None
) -> tuple[Array, Array] | None:
    """The refits that intervals of derived quantities are made of; None for the delta method.

    Raises
    ------
    ArgumentError
        For another method, and for `n` or `random_seed` where nothing is drawn.
    """
    method = one_of("method", method, ("delta", "bootstrap"))
    if method == "bootstrap":
        return refitted(solution, n, random_seed)
    _refuse_options_of_bootstrap(method, n, random_seed)
    return None


def _refuse_options_of_bootstrap(method: str, n: int | None, random_seed: int | None) -> None:
    if n is not None or random_seed is not None:
        raise ArgumentError(
            f"`n` and `random_seed` are for method='bootstrap'; method={method!r} draws nothing."
        )
