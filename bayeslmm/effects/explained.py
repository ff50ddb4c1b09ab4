"""Intraclass correlations and R² of a solution."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

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
from bayeslmm.effects.variance_at import variance_at
from bayeslmm.errors import ArgumentError
from bayeslmm.solutions.base import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bayeslmm.effects.derived import Function, Refits
    from bayeslmm.solutions.base import Solution
    from bayeslmm.support.arrays import Array

__all__ = ["CorrelationTable", "icc", "r2", "variance_partition"]

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
_R2_OF_DRAWS = """
Another R², bayes_R2 of brms (Gelman et al. 2019), is of the fitted values of these groups."""
_R2_OF_LEVELS = """\
The share of the fixed effects in the variance within the levels of {name}, and between them
(Rights and Sterba 2019): of rows about their level's mean, and of these means."""
_PARTS = """
fixed: the variance of Xb over the rows; random: z'Gz, a mean over the rows (Johnson 2014);
residual: a mean over the rows."""
_AT = """\
The correlation of two responses of one level{of} at the same covariates, given the fixed effects:
z'Gz / (z'Gz + residual), residuals being independent; `.matrix` and `.pairs` have it for different
covariates, with the correlation of residuals."""
_PARTS_AT = """\
Around the fixed effects, at each point: z'Gz of random effects, and the variance of a residual."""


def icc(
    solution: Solution,
    group: str | None = None,
    at: object | None = None,
    level: float = LEVEL,
    refits: Refits | None = None,
) -> QuantityTable:
    """Intraclass correlations of a solution; see `Fit.icc`."""
    model = solution.model
    if at is not None:
        return _icc_at(solution, at, group, level, refits)
    if not model.design.factors:
        raise ArgumentError(
            f"{model.formula} has no random effects, so that there is no share of them; R² is "
            "`r2()`, and the correlation of residuals of one subject `icc(at=...)`."
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

        text = _R2 + _PARTS + (_R2_OF_DRAWS if solution.method == "nuts" else "")
        return _table(solution, function, level, refits, "r2", "R²", text)
    factor = model.design.factor(group)

    def by_level(theta: Array, beta: Array) -> Mapping[str, Array]:
        return level_quantities(model, theta, beta, factor)

    text = _R2_OF_LEVELS.format(name=factor.name)
    title = f"R² by level of {factor.name}"
    return _table(solution, by_level, level, refits, "r2", title, text)


def _icc_at(
    solution: Solution, at: object, group: str | None, level: float, refits: Refits | None
) -> CorrelationTable:
    """The correlation of two responses of one level at given covariates."""
    model = solution.model
    points = variance_at(model, at)
    shared = [factor.name for factor in model.design.factors]
    residuals = model.design.residuals
    subjects = None if residuals is None else residuals.structure.group
    if group is not None:
        shared = [name for name in shared if name == group]
        if not shared and group != subjects:
            model.design.factor(group)  # which says what there is
    i, j = np.triu_indices(len(points.index))

    def function(theta: Array, beta: Array) -> Mapping[str, Array]:
        random = points.random(theta)
        total = points.residual(theta)
        for own in random.values():
            total = total + np.diagonal(own, axis1=1, axis2=2)
        covariance = np.sum([random[name] for name in shared], axis=0)
        if group in (None, subjects):
            covariance = covariance + points.residual_covariances(theta)
        values = np.broadcast_to(covariance, (len(theta), len(points.index), len(points.index)))
        found = values[:, i, j] / np.sqrt(total[:, i] * total[:, j])
        return dict(zip(map(str, range(len(i))), found.T, strict=True))

    bounds = np.where((i == j)[:, None], SHARE, (-1.0, 1.0))
    found = derived(solution, function, bounds, level, refits)
    frame = pd.DataFrame(found.estimates.columns())
    at_points = points.index.to_list()
    labels = [(at_points[a], at_points[b]) for a, b in zip(i, j, strict=True)]
    words = intervals_in_words(solution, refits, "logit or Fisher's z")
    of = f" of {group}" if group is not None else ""
    definition = f"{_AT.format(of=of)}\n{words}"
    same = i == j
    table = CorrelationTable.of(
        frame[same].set_index(points.index),
        name="icc",
        title=f"Intraclass correlation{of}",
        definition=definition,
        method=solution.method,
        draws=None if found.draws is None else found.draws[..., same],
    )
    table._pairs = QuantityTable.of(
        frame.set_index(pd.MultiIndex.from_tuples(labels, names=["first", "second"])),
        name="correlation",
        title=f"Correlation of two responses of one level{of}",
        definition=definition,
        method=solution.method,
        draws=found.draws,
    )
    return table


class CorrelationTable(QuantityTable):
    """Intraclass correlations at points of covariates, and the correlations between points.

    Attributes
    ----------
    pairs : QuantityTable
        A row for each pair of points: the correlation of two responses of one level, the
        ``first`` at one and the ``second`` at the other.
    matrix : pandas.DataFrame
        The estimates of these, point × point.
    """

    _metadata: ClassVar[list[str]] = [*QuantityTable._metadata, "_pairs"]
    _pairs: QuantityTable

    @property
    def pairs(self) -> QuantityTable:
        """The correlation of two responses of one level, for each pair of points."""
        return self._pairs

    @property
    def matrix(self) -> pd.DataFrame:
        """The correlations, point × point."""
        m = len(self)
        C = np.empty((m, m))
        i, j = np.triu_indices(m)
        C[i, j] = C[j, i] = self._pairs["estimate"]
        return pd.DataFrame(C, index=self.index, columns=self.index)


def variance_partition(
    solution: Solution, at: object | None = None, level: float = LEVEL
) -> QuantityTable:
    """The parts of the variance of a response; see `Fit.variance_partition`."""
    model = solution.model
    if at is None:

        def means(theta: Array, beta: Array) -> Mapping[str, Array]:
            parts, unit = response_variance(model, theta, beta), theta[:, -1] ** 2
            own = {"fixed": parts.fixed, **parts.random, "residual": parts.residual}
            return {name: unit * values for name, values in own.items()}

        function, text = means, _PARTS.strip()
    else:
        points = variance_at(model, at)

        def by_point(theta: Array, beta: Array) -> Mapping[str, Array]:
            own = {
                name: np.diagonal(values, axis1=1, axis2=2)
                for name, values in points.random(theta).items()
            }
            own["residual"] = points.residual(theta)
            unit = theta[:, -1] ** 2
            return {
                f"{i} {name}": unit * values[:, i]
                for i in range(len(points.index))
                for name, values in own.items()
            }

        function, text = by_point, _PARTS_AT
    found = derived(solution, function, np.array([(0.0, np.inf)]), level)
    index: pd.Index = pd.Index(found.names, name="part")
    if at is not None:
        parts = [factor.name for factor in model.design.factors] + ["residual"]
        labels = [
            (*(point if isinstance(point, tuple) else (point,)), part)
            for point in points.index
            for part in parts
        ]
        index = pd.MultiIndex.from_tuples(labels, names=[*points.index.names, "part"])
    return QuantityTable.of(
        pd.DataFrame(found.estimates.columns(), index=index),
        name="variance",
        title="Parts of the variance of a response",
        definition=f"{text}\n{intervals_in_words(solution, None, 'log')}",
        method=solution.method,
        draws=found.draws,
    )


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
