"""The tables of a solution: coefficients, covariance parameters, random effects, matrices.

An estimate with its uncertainty is always four columns, ``estimate``, ``std_error``, ``lower`` and
``upper``. Numbers are unrounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bayeslmm.equations.linear import Estimates, Functions
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.solutions.base import LEVEL, Solution
from bayeslmm.solutions.variances import Variances
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.solutions.point import PointSolution
    from bayeslmm.solutions.posterior import PosteriorSolution

__all__ = [
    "G",
    "R",
    "Scale",
    "V",
    "beta",
    "coef",
    "fixef",
    "known_parameters",
    "point_summary",
    "posterior_summary",
    "ranef",
    "theta",
    "u",
    "varcorr",
]

Scale = Literal["sd", "variance"]


def beta(solution: Solution) -> pd.Series:
    """Estimates of the coefficients, by name."""
    index = pd.Index(solution.model.design.coef, name="coef")
    return pd.Series(solution.beta, index=index, copy=True)


def theta(solution: Solution) -> pd.Series:
    """Estimates of the covariance parameters, by the names of the summary."""
    index = pd.Index(solution.model.parameters.names, name="parameter")
    return pd.Series(solution.theta, index=index, copy=True)


def u(solution: Solution) -> dict[str, pd.DataFrame]:
    """Estimates of the random effects: by factor, a frame of levels × effects; NaN for effects of
    other strata than the level's.
    """
    return {
        factor.name: pd.DataFrame(
            values if factor.own is None else np.where(factor.own, values, np.nan),
            index=pd.Index(factor.levels, name=factor.name),
            columns=pd.Index(factor.effects, name="effect"),
            copy=True,
        )
        for factor, values in zip(solution.model.design.factors, solution.u, strict=True)
    }


def point_summary(
    solution: PointSolution, level: float = LEVEL, df: DF = "satterthwaite"
) -> pd.DataFrame:
    """Coefficients with t tests, and covariance parameters."""
    fixed, statistics = solution.tested_coefficients(level, df)
    nan = np.full(len(solution.model.parameters), np.nan)
    padded = {name: np.concatenate([values, nan]) for name, values in statistics.items()}
    return _summary(solution, fixed, level, padded)


def known_parameters(solution: Solution, given: str | Sequence[str] | None) -> list[str]:
    """Names of parameters as `summary` has them; all of them for None."""
    valid = [f"beta[{name}]" for name in solution.model.design.coef]
    valid += solution.model.parameters.names
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


def posterior_summary(solution: PosteriorSolution, level: float = LEVEL) -> pd.DataFrame:
    """Coefficients and covariance parameters, with the convergence of each."""
    return _summary(solution, solution.coefficients(level), level, solution.convergence)


def _summary(
    solution: Solution, fixed: Estimates, level: float, statistics: Mapping[str, Array]
) -> pd.DataFrame:
    names = [f"beta[{name}]" for name in solution.model.design.coef]
    random = solution.parameters(level).columns()
    columns = {
        name: np.concatenate([values, random[name]]) for name, values in fixed.columns().items()
    }
    index = pd.Index([*names, *solution.model.parameters.names], name="parameter")
    return pd.DataFrame(columns | dict(statistics), index=index)


def fixef(solution: Solution, fixed: Estimates) -> pd.DataFrame:
    """Estimates of the coefficients as a table."""
    index = pd.Index(solution.model.design.coef, name="coef")
    return pd.DataFrame(fixed.columns(), index=index)


def varcorr(solution: Solution, level: float = LEVEL, scale: Scale = "sd") -> pd.DataFrame:
    """Standard deviations and correlations of the random effects, and the parameters of R; or
    variances and covariances.
    """
    model = solution.model
    rows: list[tuple[str, str, str | None, str | None]] = []
    kind: str
    for block in model.parameters.blocks:
        for label in block.labels:
            kind = "sd" if block.kind in ("sd", "sigma") else block.name.removesuffix("_R")
            if block.factor is not None:
                kind = block.name.removesuffix(f"_{block.factor}")
            pair = (label or None, None) if isinstance(label, str) else label
            rows.append((block.factor or "Residual", kind, *pair))
    labels = pd.DataFrame(rows, columns=["group", "kind", "effect_1", "effect_2"], dtype=object)
    if scale == "sd":
        return labels.assign(**solution.parameters(level).columns())
    functions = Variances.of(model.design, model.parameters)
    labels.loc[functions.squared, "kind"] = "variance"
    labels.loc[functions.covariances, "kind"] = "cov"
    return labels.assign(**solution.variances(level).columns())


def ranef(solution: Solution, group: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """The random effects u, a row for each level and effect."""
    parts = []
    for position, factor in _positions(solution, group):
        q = len(factor.effects)
        labels = _labels(factor, np.repeat(factor.levels, q), factor.plain)
        table = labels.assign(**solution.level_effects(position, level).columns())
        parts.append(table if factor.own is None else table[factor.own.ravel()])
    return _stacked(parts)


def coef(solution: Solution, group: str | None = None, level: float = LEVEL) -> pd.DataFrame:
    """The coefficients of each level: beta plus the level's random effects of the same name."""
    design = solution.model.design
    parts = []
    for _, factor in _positions(solution, group):
        names = tuple(dict.fromkeys((*design.coef, *factor.plain)))
        levels = len(factor.levels)
        X = (np.array(names)[:, None] == np.array(design.coef)).astype(float)
        Z = (np.array(names)[:, None] == np.array(factor.plain)).astype(float)
        Z = np.tile(Z, (levels, 1))
        if factor.own is not None:
            Z *= np.repeat(factor.own, len(names), axis=0)
        functions = Functions.of(
            design.factors,
            np.tile(X.reshape(len(names), -1), (levels, 1)),
            {factor.name: np.repeat(np.arange(levels, dtype=np.int32), len(names))},
            {factor.name: Z},
        )
        labels = _labels(factor, np.repeat(factor.levels, len(names)), names)
        parts.append(labels.assign(**solution.linear(functions, level).columns()))
    return _stacked(parts)


def G(solution: Solution, group: str | None = None) -> pd.DataFrame:
    """Covariance matrix of the random effects of one level."""
    factor = solution.model.design.factor_or_only(group)
    matrix = solution.moments[0][factor.name]
    return pd.DataFrame(matrix, factor.effects, factor.effects, copy=True)


def R(solution: Solution, level: object, group: str | None = None) -> pd.DataFrame:
    """Covariance matrix of the residuals of the rows of one level."""
    rows = solution.rows_of(level, group)
    return _square(solution, solution.R(rows), rows)


def V(solution: Solution, level: object, group: str | None = None) -> pd.DataFrame:
    """Covariance matrix ZGZ' + R of the responses of the rows of one level."""
    rows = solution.rows_of(level, group)
    return _square(solution, solution.V(rows), rows)


def _square(solution: Solution, matrix: Array, rows: Array) -> pd.DataFrame:
    index = _labels_of(solution, rows)
    return pd.DataFrame(matrix, index=index, columns=index)


def _labels_of(solution: Solution, rows: Array) -> pd.Index:
    """Labels of some rows: occasions where they are of one subject of R, else those of the data."""
    design, own = solution.model.design, solution.model.design.residuals
    if own is None or own.subjects is None or len(own.structure.times) != 1:
        return design.index[rows]
    if len(np.unique(own.subjects.codes[rows])) > 1:
        return design.index[rows]
    occasions = [own.occasions[point] for point in own.rows.point[rows]]
    return pd.Index(occasions, name=own.structure.times[0], dtype=object)


def _positions(solution: Solution, group: str | None) -> list[tuple[int, GroupingFactor]]:
    factors = solution.model.design.factors
    if group is None:
        return list(enumerate(factors))
    factor = solution.model.design.factor(group)
    return [(factors.index(factor), factor)]


def _labels(factor: GroupingFactor, levels: Array, effects: Sequence[str]) -> pd.DataFrame:
    """The label columns of a table with a row for each level and effect."""
    return pd.DataFrame(
        {
            "group": pd.Series([factor.name] * len(levels), dtype=object),
            "level": pd.Series(levels, dtype=object),
            "effect": pd.Series(list(effects) * len(factor.levels), dtype=object),
        }
    )


def _stacked(parts: list[pd.DataFrame]) -> pd.DataFrame:
    if parts:
        return pd.concat(parts, ignore_index=True)
    labels = pd.DataFrame({name: pd.Series(dtype=object) for name in ("group", "level", "effect")})
    empty = np.empty(0)
    return labels.assign(**Estimates(empty, empty, empty, empty).columns())
