"""Confidence intervals of a fit, by whichever way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.support.arguments import one_of, real_number

if TYPE_CHECKING:
    from bayeslmm.api.likelihood_fit import LikelihoodFit
    from bayeslmm.api.point_fit import PointFit

__all__ = ["confint", "known_parameters", "wald_intervals"]

_METHODS = ("profile", "wald", "bootstrap")
_REFITS = 1000


def known_parameters(fit: PointFit, given: str | Sequence[str] | None) -> list[str]:
    """Names of parameters as `summary` has them; all of them for None."""
    valid = [f"beta[{name}]" for name in fit.model.design.coef]
    valid += fit.model.parameters.names
    if given is None:
        return valid
    names: object = [given] if isinstance(given, str) else given
    if not isinstance(names, Iterable) or isinstance(names, bytes) or not (names := list(names)):
        raise ArgumentTypeError(
            f"`parameters` should be names of parameters, such as {valid[0]!r}, or None for all of "
            f"them, got {given!r}."
        )
    for name in names:
        if name not in valid:
            raise ArgumentError(unknown_name("parameter", name, valid))
    return names


def wald_intervals(
    fit: PointFit, level: float, parameters: str | Sequence[str] | None
) -> pd.DataFrame:
    """The intervals of `summary`, with the estimates."""
    names = known_parameters(fit, parameters)
    return fit.summary(level).loc[names, ["estimate", "lower", "upper"]]


def confint(
    fit: LikelihoodFit,
    method: str,
    level: float,
    parameters: str | Sequence[str] | None,
    n: int | None,
    random_seed: int | None,
) -> pd.DataFrame:
    """Confidence intervals; see `LikelihoodFit.confint`."""
    level = real_number("level", level, 0, 1, "the probability of the intervals, ")
    method = one_of("method", method, _METHODS)
    names = known_parameters(fit, parameters)
    if method != "bootstrap" and (n is not None or random_seed is not None):
        raise ArgumentError(
            f"`n` and `random_seed` are for method='bootstrap'; method={method!r} draws nothing."
        )
    if method == "profile":
        return fit.profile(names, level=level).intervals(level)
    table = wald_intervals(fit, level, names)
    if method == "wald":
        return table
    draws = fit.bootstrap(_REFITS if n is None else n, random_seed=random_seed)["posterior"]
    parts = [draws["beta"].to_numpy()[0]]
    parts += [
        values.to_numpy()[0].reshape(draws.sizes["draw"], -1)
        for name, values in draws.data_vars.items()
        if name != "beta"
    ]
    ends = np.quantile(np.column_stack(parts), [(1 - level) / 2, (1 + level) / 2], axis=0)
    every = pd.DataFrame(ends.T, index=known_parameters(fit, None), columns=["lower", "upper"])
    return table.assign(**every.loc[names])
