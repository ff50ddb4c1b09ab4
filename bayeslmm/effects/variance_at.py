"""The variance of responses at given covariates, and the correlation of two of one level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.covariance.correlations.kernels import correlation
from bayeslmm.data.frames import level_label, read
from bayeslmm.data.levels import match
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.effects.response_variance import relative_factors
from bayeslmm.equations.noise import Noise
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.formula.parsing import columns_of

if TYPE_CHECKING:
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["VarianceAt", "variance_at", "variance_columns"]


@dataclass(frozen=True, slots=True, eq=False)
class VarianceAt:
    """Responses at m points of covariates, of weight one and of levels with 1 on the diagonal of K.

    Attributes
    ----------
    model : Specification
    index : pandas.Index, length m
        The covariates.
    Z : dict of (m, q) arrays
        The effects at each point, by grouping factor.
    noise : Noise
        The residuals.
    pairs : (r, 2) int array
        The pairs of points, the first before the second.
    points : (r, 2) int array
        The occasions of R of each pair; zeros where it has none.
    between : (r, 2, 2) array
        Distances, or known correlations, of each pair.
    stratum : (r,) int array
        Whose parameters of R's correlation hold for a pair; -1 where residuals do not correlate.
    """

    model: Specification
    index: pd.Index
    Z: dict[str, Array]
    noise: Noise
    pairs: Array
    points: Array
    between: Array
    stratum: Array

    def random(self, theta: Array) -> dict[str, Array]:
        """Covariances (s, m, m) between points of the effects of one level, by grouping factor, in
        units of σ².
        """
        factors = self.model.design.factors
        found = {}
        for factor, M in zip(factors, relative_factors(self.model, theta), strict=True):
            roots = self.Z[factor.name] @ M
            found[factor.name] = roots @ np.swapaxes(roots, -1, -2)
        return found

    def residual(self, theta: Array) -> Array:
        """Variances (s, m) of the residuals, in units of σ²."""
        return self.noise.relative(theta)

    def residual_covariances(self, theta: Array) -> Array:
        """Covariances (s, m, m) of two residuals of one subject at two points; zero between two at
        the same point.
        """
        sds = np.sqrt(self.residual(theta))
        C = np.zeros((len(theta), len(self.index), len(self.index)))
        rows, own = self.model.equations.residuals, np.flatnonzero(self.stratum >= 0)
        if rows is None or not len(own):
            return C
        first = theta.shape[1] - rows.n_parameters + rows.n_corr * self.stratum[own]
        parameters = theta[:, first[:, None] + np.arange(rows.n_corr)]
        shape = (len(theta), len(own))
        values, _ = correlation(
            rows.correlation,
            parameters.reshape(-1, rows.n_corr),
            np.broadcast_to(self.points[own], (*shape, 2)).reshape(-1, 2),
            np.broadcast_to(self.between[own], (*shape, 2, 2)).reshape(-1, 2, 2),
        )
        i, j = self.pairs[own].T
        C[:, i, j] = C[:, j, i] = values[:, 0, 1].reshape(shape) * sds[:, i] * sds[:, j]
        return C


def variance_columns(model: Specification) -> list[str]:
    """The columns that the variance of a response, or the correlation of two, depends on."""
    design = model.design
    names = [name for bar in design.formula.bars for name in columns_of(bar.effects)]
    names += [name for strata in design.learned.strata for name in strata.columns]
    if design.residuals is not None:
        names += design.residuals.structure.times
        names += design.residuals.variance_columns
    return list(dict.fromkeys(names))


def variance_at(model: Specification, at: object) -> VarianceAt:
    """Responses at all combinations of values of covariates.

    Parameters
    ----------
    model : Specification
    at : dict of str to a value or a list of values
        Other numbers that the variance depends on are at their means.

    Raises
    ------
    ArgumentTypeError
        If it is no dict.
    ArgumentError
        For a column that the variance does not depend on, and categories that it depends on and
        that have no value.
    DataError
        For levels and occasions that fitting did not see.
    """
    known = variance_columns(model)
    if not isinstance(at, Mapping):
        raise ArgumentTypeError(
            f"`at` should be a dict such as {{'Days': [0, 9]}}, got {type(at).__name__}."
        )
    if not known:
        raise ArgumentError(
            f"the variance of a response of {model.formula} is the same everywhere, so that there "
            "is nothing to give `at`; leave it out."
        )
    for name in at:
        if name not in known:
            raise ArgumentError(unknown_name("column of the variance", name, known))
    values = [list(v) if np.ndim(v) else [v] for v in at.values()]
    if not at or not all(values):
        raise ArgumentError(f"`at` has no values; give some of {', '.join(known)}.")
    grid = list(product(*values))
    names = list(at)
    frame = _rows(model, known, names, grid)
    index: pd.Index = pd.Index([row[0] for row in grid], name=names[0])
    if len(names) > 1:
        index = pd.MultiIndex.from_tuples(grid, names=names)
    new = evaluate_new(model.design, frame)
    Z = {factor.name: factor.Z for factor in new.factors}
    return VarianceAt(model, index, Z, _noise(model, frame), *_pairs(model, frame))


def _rows(
    model: Specification, known: list[str], names: list[str], grid: list[tuple[Any, ...]]
) -> pd.DataFrame:
    """Rows of data with these values, whose levels are such as to have them."""
    data = model.data.dropna()
    missing = [name for name in known if name not in names and data[name].nunique() > 1]
    category = [name for name in missing if not pd.api.types.is_numeric_dtype(data[name])]
    if category:
        name = category[0]
        shown = [level_label(level) for level in data[name].unique()[:2]]
        raise ArgumentError(
            f"the variance depends on {name!r} too, which is no number, so that it has no mean; "
            f"give its values as well, such as at={{..., {name!r}: {shown}}}."
        )
    strata = {name for each in model.design.learned.strata for name in each.columns}
    rows = []
    for values in grid:
        fitting = np.ones(len(data), dtype=bool)
        for name, value in zip(names, values, strict=True):
            if name in strata:
                fitting &= (data[name].map(level_label) == level_label(value)).to_numpy()
                if not fitting.any():
                    valid = sorted(map(level_label, data[name].unique()))
                    raise ArgumentError(unknown_name(f"level of {name!r} here", value, valid))
        rows.append(int(np.argmax(fitting)))
    frame = data.iloc[rows].reset_index(drop=True)
    for name in missing:
        frame[name] = float(data[name].mean())
    for position, name in enumerate(names):
        column = pd.Series([values[position] for values in grid])
        numeric = pd.api.types.is_numeric_dtype(data[name])
        frame[name] = column if numeric else column.astype(data[name].dtype)
    return frame


def _noise(model: Specification, frame: pd.DataFrame) -> Noise:
    residuals = model.design.residuals
    if residuals is None:
        return Noise.plain(np.ones(len(frame)))
    table = read(frame, residuals.variance_columns, "the residual variance depends on")
    sigma, covariates = residuals.variance_of(table)
    return Noise(np.ones(len(frame)), sigma, covariates, len(residuals.sigmas))


def _pairs(model: Specification, frame: pd.DataFrame) -> tuple[Array, Array, Array, Array]:
    """Pairs of points, and what the correlation of their residuals depends on."""
    m = len(frame)
    pairs = np.column_stack(np.triu_indices(m, 1))
    points, stratum = np.zeros(m, dtype=np.int64), np.zeros(m, dtype=np.int64)
    residuals = model.design.residuals
    between = np.zeros((len(pairs), 2, 2))
    if residuals is None or residuals.rows.correlation.independent:
        return pairs, points[pairs], between, np.full(len(pairs), -1)
    structure = residuals.structure
    names = [*structure.times, *([structure.by] if structure.by is not None else [])]
    table = read(frame, names, "the correlation of residuals depends on")
    if structure.by is not None and residuals.strata != ("",):
        stratum = _known([table.columns[structure.by]], residuals.strata, structure.by)
    times = [table.columns[name] for name in structure.times]
    apart = np.ones(len(pairs), dtype=bool)
    if structure.correlation.of_distance:
        place = np.column_stack([column.values.astype(np.float64) for column in times])
        distance = np.sqrt(((place[pairs[:, 0]] - place[pairs[:, 1]]) ** 2).sum(axis=1))
        between[:, 0, 1] = between[:, 1, 0] = distance
        apart = distance > 0
    elif times:
        points = _known(times, residuals.occasions, " and ".join(structure.times))
        apart = points[pairs[:, 0]] != points[pairs[:, 1]]
    if residuals.rows.known.size:
        own = points[pairs]
        between = residuals.rows.known[own[:, :, None], own[:, None, :]]
    same = stratum[pairs[:, 0]] == stratum[pairs[:, 1]]
    return pairs, points[pairs], between, np.where(apart & same, stratum[pairs[:, 0]], -1)


def _known(columns: list[Any], levels: tuple[str, ...], name: str) -> Array:
    """The positions of rows among levels that fitting saw."""
    codes, labels = match(columns, levels)
    if (codes < 0).any():
        given = labels[np.argmin(codes)]
        raise ArgumentError(unknown_name(f"value of {name} here", str(given), levels))
    return codes.astype(np.int64)
