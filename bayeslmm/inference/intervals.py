"""Confidence intervals of a fit, by whichever way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.effects.tables import known_parameters, point_summary
from bayeslmm.errors import ArgumentError
from bayeslmm.inference.bootstrap import bootstrap
from bayeslmm.inference.profile.profile import profile
from bayeslmm.support.arguments import one_of, real_number

if TYPE_CHECKING:
    from bayeslmm.solutions.point import LikelihoodSolution, PointSolution

__all__ = ["confint", "known_parameters", "wald_intervals"]

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
    level = real_number("level", level, 0, 1, "the probability of the intervals, ")
    method = one_of("method", method, _METHODS)
    names = known_parameters(solution, parameters)
    if method != "bootstrap" and (n is not None or random_seed is not None):
        raise ArgumentError(
            f"`n` and `random_seed` are for method='bootstrap'; method={method!r} draws nothing."
        )
    if method == "profile":
        return profile(solution, names, level).intervals(level)
    table = wald_intervals(solution, level, names)
    if method == "wald":
        return table
    tree = bootstrap(solution, _REFITS if n is None else n, "parametric", random_seed, None)
    draws = tree["posterior"]
    parts = [draws["beta"].to_numpy()[0]]
    parts += [
        values.to_numpy()[0].reshape(draws.sizes["draw"], -1)
        for name, values in draws.data_vars.items()
        if name != "beta"
    ]
    ends = np.quantile(np.column_stack(parts), [(1 - level) / 2, (1 + level) / 2], axis=0)
    every = pd.DataFrame(ends.T, index=known_parameters(solution, None), columns=["lower", "upper"])
    return table.assign(**every.loc[names])
