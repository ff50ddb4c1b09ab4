"""Intraclass correlations and R² of a solution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.effects.derived import derived, intervals_in_words
from bayeslmm.effects.quantity_table import QuantityTable
from bayeslmm.effects.response_variance import (
    SHARE,
    icc_quantities,
    level_quantities,
    r2_quantities,
    response_variance,
)
from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.base import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeslmm.effects.derived import Function, Refits
    from bayeslmm.solutions.base import Solution
    from bayeslmm.support.arrays import Array

__all__ = ["icc", "r2"]

_ICC = """\
adjusted = random / (random + residual), the correlation of two responses that share all levels,
given the fixed effects; unadjusted = random / (fixed + random + residual)."""
_ICC_OF_FACTORS = """
Rows of grouping factors: the share of each in random + residual."""
_ICC_OF_ONE = """\
adjusted = {name} / (random + residual); unadjusted = {name} / (fixed + random + residual)."""
_R2 = """\
marginal = fixed / (fixed + random + residual); conditional = (fixed + random) / the same
(Nakagawa and Schielzeth 2013)."""
_R2_OF_LEVELS = """\
The share of the fixed effects in the variance within the levels of {name}, and between them
(Rights and Sterba 2019): of rows about their level's mean, and of these means."""
_PARTS = """
fixed: the variance of Xb over the rows; random: z'Gz, a mean over the rows (Johnson 2014);
residual: a mean over the rows."""


def icc(
    solution: Solution,
    group: str | None = None,
    level: float = LEVEL,
    refits: Refits | None = None,
) -> QuantityTable:
    """Intraclass correlations of a solution; see `Fit.icc`."""
    model = solution.model
    if not model.design.factors:
        raise ArgumentError(
            f"{model.formula} has no random effects, so that there is no share of them; R² is "
            "`r2()`, and correlations of residuals are in `R(level)`."
        )
    if group is None:
        text = _ICC + (_ICC_OF_FACTORS if len(model.design.factors) > 1 else "")

        def function(theta: Array, beta: Array) -> Mapping[str, Array]:
            return icc_quantities(response_variance(model, theta, beta))

    else:
        name = model.design.factor(group).name
        text = _ICC_OF_ONE.format(name=name)

        def function(theta: Array, beta: Array) -> Mapping[str, Array]:
            parts = response_variance(model, theta, beta)
            own, around = parts.random[name], parts.all_random + parts.residual
            return {"adjusted": own / around, "unadjusted": own / parts.total}

    title = "Intraclass correlation" if group is None else f"Intraclass correlation of {group}"
    return _table(solution, function, level, refits, "icc", title, text + _PARTS)


def r2(
    solution: Solution,
    group: str | None = None,
    level: float = LEVEL,
    refits: Refits | None = None,
) -> QuantityTable:
    """R² of a solution; see `Fit.r2`."""
    model = solution.model
    if group is None:

        def function(theta: Array, beta: Array) -> Mapping[str, Array]:
            return r2_quantities(response_variance(model, theta, beta))

        return _table(solution, function, level, refits, "r2", "R²", _R2 + _PARTS)
    factor = model.design.factor(group)

    def by_level(theta: Array, beta: Array) -> Mapping[str, Array]:
        return level_quantities(model, theta, beta, factor)

    text = _R2_OF_LEVELS.format(name=factor.name)
    title = f"R² by level of {factor.name}"
    return _table(solution, by_level, level, refits, "r2", title, text)


def _table(
    solution: Solution,
    function: Function,
    level: float,
    refits: Refits | None,
    name: str,
    title: str,
    definition: str,
) -> QuantityTable:
    """Estimates of shares of variance, which lie between 0 and 1."""
    found = derived(solution, function, np.array([SHARE]), level, refits)
    index = pd.Index(found.names, name="quantity")
    return QuantityTable.of(
        pd.DataFrame(found.estimates.columns(), index=index),
        name=name,
        title=title,
        definition=f"{definition}\n{intervals_in_words(solution, refits, 'logit')}",
        method=solution.method,
        draws=found.draws,
    )
