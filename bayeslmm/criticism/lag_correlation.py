"""Correlation within subjects by how far apart two rows are: as fitted, and of the residuals.

The residuals are those about the fixed effects, y - Xβ, each divided by its standard deviation
under V = ZGZ' + R; with them goes the correlation of V. Residuals about the random effects too
would not have the correlation of R, since predicted effects are shrunken. The empirical
correlation at a lag is the mean product of the pairs that far apart, divided by the mean square of
all residuals, as in nlme's ``ACF``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.data.frames import from_least
from bayeslmm.drawing.correlation import LagCorrelation
from bayeslmm.effects.residuals import residuals
from bayeslmm.errors import ArgumentError, unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.solutions.base import Solution
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = ["LagCorrelation", "Pairs", "Subjects", "lag_correlation", "subjects_of"]

_MOST_LAGS = 15
"""Of which each stands for itself; more are put into bins."""


@dataclass(frozen=True, eq=False)
class Subjects:
    """Whose rows are correlated, and where in time they are.

    Attributes
    ----------
    group : str
        The column of subjects.
    levels : tuple of str
    codes : (n,) array
        The subject of each row.
    time : str
        What lags are in; empty where there is no time.
    at : (n, d) array
        The place of each row; lags are distances.
    labels : (n,) array of str
        The occasion of each row.
    """

    group: str
    levels: tuple[str, ...]
    codes: Array
    time: str
    at: Array
    labels: Array


def subjects_of(
    model: Specification, group: str | None = None, time: str | None = None
) -> Subjects:
    """The subjects of R unless others are named, and the times that R is over.

    Parameters
    ----------
    model : Specification
    group : str, optional
        A grouping factor.
    time : str, optional
        A column of the data that the model uses.

    Raises
    ------
    ArgumentError
        For an unknown group or column, and a model without groups.
    """
    design, own = model.design, model.design.residuals
    if group is None and own is not None and own.subjects is not None:
        group = own.structure.group
    factor = design.grouping(group)
    levels, codes, name = factor.levels, factor.codes, factor.name
    if time is not None:
        at, labels = _column(model, time)
        return Subjects(name, levels, codes, time, at, labels)
    if own is None or own.structure.time is None:
        labels = np.array([str(label) for label in design.index], dtype=object)
        return Subjects(name, levels, codes, "", np.zeros((len(codes), 0)), labels)
    unit = " and ".join(own.structure.times)
    point = own.rows.point
    distant = own.structure.correlation.of_distance
    at = own.rows.place if distant else point[:, None].astype(float)
    unit = unit if distant else f"occasions of {unit}"
    return Subjects(name, levels, codes, unit, at, np.array(own.occasions, dtype=object)[point])


def _column(model: Specification, time: str) -> tuple[Array, Array]:
    """A column of the rows that are used, as numbers (or positions in order) and as labels."""
    data = model.data
    if not isinstance(time, str) or time not in data.columns:
        raise ArgumentError(
            unknown_name("column that the model uses", time, list(map(str, data.columns)))
        )
    column: pd.Series = data[time][data.notna().all(axis=1).to_numpy()]
    labels = column.astype(str).to_numpy(dtype=object)
    if column.dtype.kind in "iuf":
        return from_least(column.to_numpy())[:, None], labels
    order = column.astype("category").cat.codes.to_numpy(dtype=float)
    return order[:, None], labels


def lag_correlation(solution: Solution, subjects: Subjects) -> LagCorrelation:
    """The fitted and the empirical correlation of a fit by lag.

    Parameters
    ----------
    solution : Solution
    subjects : Subjects
        With a time.

    Raises
    ------
    ArgumentError
        If there is no time, or no subject has two rows at different times.
    """
    scaled = residuals(solution, "standardized", marginal=True)
    pairs = Pairs.of(solution, subjects)
    square = float(np.mean(scaled**2))
    return LagCorrelation(
        subjects.time,
        pairs.mean(pairs.lag),
        pairs.mean(pairs.correlation),
        pairs.mean(scaled[pairs.first] * scaled[pairs.second]) / square,
        pairs.count,
    )


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows of one subject at different times, with what V says of them.

    Attributes
    ----------
    first, second : (m,) int arrays
        Rows.
    lag : (m,) array
        How far apart they are.
    correlation : (m,) array
        In V.
    bin : (m,) int array
        Which lags are taken together.
    """

    first: Array
    second: Array
    lag: Array
    correlation: Array
    bin: Array

    @classmethod
    def of(cls, solution: Solution, subjects: Subjects) -> Pairs:
        """All pairs; an `ArgumentError` where there is no time, or are none."""
        if not subjects.time:
            raise ArgumentError(
                "lags are differences in time, and R has none: give `time`, a column that the "
                "model uses."
            )
        first, second, lags, fitted = [], [], [], []
        order = np.argsort(subjects.codes, kind="stable")
        for rows in np.split(order, np.cumsum(np.bincount(subjects.codes))[:-1]):
            V = solution.V(rows)
            sd = np.sqrt(np.diag(V))
            i, j = np.triu_indices(len(rows), 1)
            first.append(rows[i])
            second.append(rows[j])
            apart = subjects.at[rows[i]] - subjects.at[rows[j]]
            lags.append(np.sqrt((apart**2).sum(axis=1)))
            fitted.append((V / np.outer(sd, sd))[i, j])
        lag = np.concatenate(lags)
        apart = lag > 0
        if not apart.any():
            raise ArgumentError(
                f"no {subjects.group!r} has rows at different {subjects.time!r}, so that there is "
                "no lag to show."
            )
        one, other, correlation = (np.concatenate(part)[apart] for part in (first, second, fitted))
        return cls(one, other, lag[apart], correlation, _bins(lag[apart]))

    @property
    def count(self) -> Array:
        """The number of pairs in each bin that has some."""
        count = np.bincount(self.bin)
        return count[count > 0]

    def mean(self, values: Array) -> Array:
        """The mean of what is of each pair, by bin."""
        every = np.bincount(self.bin)
        return np.bincount(self.bin, values)[every > 0] / self.count


def _bins(lag: Array) -> Array:
    """The bin of each lag: one for each that occurs, or of equal width where they are many."""
    values, codes = np.unique(np.round(lag, 9), return_inverse=True)
    if len(values) <= _MOST_LAGS:
        return codes
    edges = np.linspace(0, values[-1], _MOST_LAGS + 1)[1:-1]
    return np.searchsorted(edges, lag)
