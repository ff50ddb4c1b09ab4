"""The reference grid: combinations of values of the predictors, as linear functions of beta.

The predictors of the fixed effects and offsets are taken at their levels, or, where they are
numbers, at their means (at both values, if there are two); the grid is all their combinations. The
formula is evaluated there with what its transforms learned. What follows, means, contrasts and
slopes, are combinations of these rows, hence linear functions of beta:

    data, at → `ReferenceGrid` → `means.py`, `slopes.py` → `Effects` → `contrasts.py` → `Effects`

The rules are those of emmeans (Lenth 2023, R package, version 1.8.4) so that results agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.data.frames import level_label
from bayeslmm.design.new_rows import NewDesign, evaluate_new
from bayeslmm.effects.rows import used_columns
from bayeslmm.errors import ArgumentError, ArgumentTypeError, DataError, unknown_name
from bayeslmm.formula.grammar import check_expression
from bayeslmm.formula.parsing import columns_of
from bayeslmm.formula.tokens import tokenize

if TYPE_CHECKING:
    from bayeslmm.data.frames import Column
    from bayeslmm.design.design import Design
    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = [
    "ReferenceGrid",
    "Rows",
    "datagrid",
    "grid_variables",
    "interacting",
    "reference_grid",
    "rows_of",
]

_MOST = 100_000
"""Rows that a grid can have."""
_TWO = 2
"""Values of a number up to which they are all kept; emmeans' ``cov.keep``."""
_LOOSE = 1e-8
"""Share of a function that the fitted columns do not determine, from which it is not estimable."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows where a formula is evaluated, as linear functions of beta.

    Attributes
    ----------
    X : (m, p) array
    offset : (m,) array
    loose : (m, d) array
        By how much the columns that were left out of X differ from what the others make of them in
        the data. A combination of rows is estimable where this is zero.
    """

    X: Array
    offset: Array
    loose: Array

    def combined(self, weights: Array) -> Rows:
        """Combinations of the rows; weights are (k, m)."""
        loose = weights @ self.loose
        size = np.abs(weights) @ np.abs(self.loose) + 1.0
        loose = np.where(np.abs(loose) > _LOOSE * size, loose, 0.0)
        return Rows(weights @ self.X, weights @ self.offset, loose)

    @property
    def estimable(self) -> Array:
        """Which rows the data determine; (m,) bool."""
        return ~(self.loose != 0).any(axis=1)


@dataclass(frozen=True, eq=False)
class ReferenceGrid:
    """All combinations of values of the predictors, the first changing fastest.

    Attributes
    ----------
    values : dict of str to tuple
        The values of each predictor: levels as the data have them, or numbers.
    frame : pandas.DataFrame
        A row for each combination.
    rows : Rows
        The fixed effects there.
    frequency : (m,) array
        How many rows of data have these levels, or the sum of their weights.
    nested : dict of str to tuple of str
        Factors that are nested in others, by the rule of emmeans: each level occurs with one level
        of the other only.
    notes : tuple of str
    """

    values: dict[str, tuple[Any, ...]]
    frame: pd.DataFrame
    rows: Rows
    frequency: Array
    nested: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]


def grid_variables(design: Design) -> tuple[str, ...]:
    """The columns of the fixed effects and offsets."""
    names = [*columns_of(design.formula.fixed)]
    for text in design.formula.offsets:
        names += check_expression(tokenize(text), text)
    return tuple(dict.fromkeys(names))


def rows_of(model: Specification, frame: pd.DataFrame, used: Mapping[str, Column]) -> Rows:
    """Rows of a frame of predictors as linear functions of beta."""
    new = evaluate_new(model.design, frame, ())
    loose = new.left_out
    if loose.shape[1]:
        loose = new.left_out - new.X @ _determined(model, used)
        loose = np.where(np.abs(loose) > _LOOSE * (1 + np.abs(new.left_out)), loose, 0.0)
    offset = np.zeros(len(new.X)) if new.offset is None else new.offset
    return Rows(new.X, offset, loose)


def _determined(model: Specification, used: Mapping[str, Column]) -> Array:
    """What the columns of X make of those that were left out, in the data; (p, d)."""
    names = grid_variables(model.design)
    data = pd.DataFrame({name: _levels_of(used[name]) for name in names})
    fitted: NewDesign = evaluate_new(model.design, data, ())
    return np.asarray(np.linalg.lstsq(fitted.X, fitted.left_out, rcond=None)[0])


def _levels_of(column: Column) -> Array:
    if column.kind == "number":
        return column.values
    return np.array(column.levels, dtype=object)[column.values]


def reference_grid(
    model: Specification, at: Mapping[str, object] | None = None, several: Sequence[str] = ()
) -> ReferenceGrid:
    """The reference grid of a model.

    Parameters
    ----------
    model : Specification
    at : mapping, optional
        Values of some of the predictors, in place of their levels or means.
    several : sequence of str
        Numbers of which all values are taken, not the mean, unless `at` has them.

    Returns
    -------
    ReferenceGrid

    Raises
    ------
    ArgumentError
        For an unknown variable or level in `at`, and a grid of more than 100,000 rows.
    """
    design, used = model.design, used_columns(model)
    names = grid_variables(design)
    given = _checked(at, names)
    categories = _as_categories(design)
    values, notes = {}, []
    for name in names:
        every = name in several or name in categories
        own, note = _values(used[name], given.get(name), every=every)
        values[name] = own
        notes += [note] if note else []
    size = prod(map(len, values.values()))
    if size > _MOST:
        raise ArgumentError(
            f"the reference grid has {size:,} rows, more than {_MOST:,}: give fewer values by "
            "`at`, such as one level of factors that do not matter."
        )
    combinations = [row[::-1] for row in product(*reversed(values.values()))]
    index = pd.RangeIndex(len(combinations))
    frame = pd.DataFrame(combinations, columns=list(names), index=index)
    factors = [name for name in names if used[name].kind != "number" or len(values[name]) > 1]
    factors = [name for name in factors if used[name].kind != "number" or name not in given]
    frequency = _frequency(model, used, values, frame, factors)
    nested = _nested(frame, frequency, [name for name in factors if len(values[name]) > 1])
    keep = np.ones(len(frame), dtype=bool)
    for name, others in nested.items():
        pairs = frame[[name, *others]].apply(tuple, axis=1)
        keep &= pairs.isin(set(pairs[frequency > 0])).to_numpy()
    frame, frequency = frame[keep].reset_index(drop=True), frequency[keep]
    return ReferenceGrid(
        values, frame, rows_of(model, frame, used), frequency, nested, tuple(notes)
    )


def _checked(at: object, names: Sequence[str]) -> dict[str, object]:
    if at is None:
        return {}
    if not isinstance(at, Mapping):
        raise ArgumentTypeError(
            f"`at` should be a dict of variables and values such as {{'x': [0, 1]}}, got {at!r}."
        )
    for name in at:
        if name not in names:
            raise ArgumentError(unknown_name("variable of the fixed effects", name, names))
    return dict(at)


def _as_categories(design: Design) -> set[str]:
    """Numbers that the formula makes categories of."""
    return {
        name
        for term in design.learned.fixed.terms
        for component in term.components
        if component.coding is not None and component.name not in design.learned.levels
        for name in columns_of(component.name)
    }


def _values(column: Column, given: object, *, every: bool) -> tuple[tuple[Any, ...], str]:
    """The values of one predictor, and a note where they lie beyond the data."""
    if column.kind != "number":
        known = {level_label(level): level for level in column.levels}
        if given is None:
            return tuple(column.levels), ""
        labels = [level_label(value) for value in _listed(given)]
        for label in labels:
            if label not in known:
                raise ArgumentError(unknown_name(f"level of {column.name!r}", label, list(known)))
        return tuple(known[label] for label in dict.fromkeys(labels)), ""
    data = column.values.astype(np.float64)
    if given is None:
        distinct = np.unique(data)
        kept = every or len(distinct) <= _TWO
        return tuple(distinct.tolist() if kept else [float(data.mean())]), ""
    numbers = []
    for value in _listed(given):
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise ArgumentTypeError(
                f"the values of {column.name!r} in `at` should be finite numbers, got {value!r}."
            )
        numbers.append(value)
    low, high = float(data.min()), float(data.max())
    beyond = [value for value in numbers if not low <= float(value) <= high]
    shown = ", ".join(f"{float(value):g}" for value in beyond[:3])
    note = f"{column.name} = {shown} lies outside of the data, {low:g} to {high:g}."
    return tuple(dict.fromkeys(numbers)), note if beyond else ""


def _listed(given: object) -> list[Any]:
    if isinstance(given, str | bytes) or not isinstance(
        given, Sequence | np.ndarray | pd.Series | pd.Index | range
    ):
        return [given]
    values = list(given)
    if not values:
        raise ArgumentError(
            "`at` has no values for a variable; give at least one, or leave it out."
        )
    return values


def _frequency(
    model: Specification,
    used: Mapping[str, Column],
    values: Mapping[str, tuple[Any, ...]],
    frame: pd.DataFrame,
    factors: Sequence[str],
) -> Array:
    """How many rows of data, by weight, each combination of levels has."""
    weights = model.design.weights
    if not factors:
        return np.ones(len(frame))
    data, cells = (
        np.zeros(len(model.design.y), dtype=np.int64),
        np.zeros(len(frame), dtype=np.int64),
    )
    inside = np.ones(len(data), dtype=bool)
    for name in factors:
        column, own = used[name], values[name]
        place = {value: i for i, value in enumerate(own)}
        if column.kind == "number":
            codes = pd.Index(np.array(own, dtype=float)).get_indexer(
                pd.Index(column.values.astype(float))
            )
        else:
            codes = np.array([place.get(level, -1) for level in column.levels])[column.values]
        inside &= codes >= 0
        data = data * len(own) + codes
        cells = cells * len(own) + frame[name].map(place).to_numpy()
    kept = None if weights is None else weights[inside]
    size = prod(len(values[name]) for name in factors)
    return np.bincount(data[inside], kept, minlength=size)[cells].astype(float)


def _nested(
    frame: pd.DataFrame, frequency: Array, factors: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Which factors are nested in which: each level occurs with one level of the other only."""
    seen = frame.loc[frequency > 0, list(factors)]
    nested: dict[str, tuple[str, ...]] = {}
    for name in factors:
        others = [o for o in factors if o != name and name not in nested.get(o, ())]
        inside = tuple(o for o in others if seen.groupby(name)[o].nunique().max() == 1)
        if inside:
            nested[name] = inside
    return nested


def interacting(design: Design, names: Sequence[str], averaged: Sequence[str]) -> bool:
    """Whether a term has one of some variables together with one of others."""
    levels = design.learned.levels
    for term in design.learned.fixed.terms:
        own: set[str] = set()
        for component in term.components:
            known = component.name in levels
            own |= {component.name} if known else set(columns_of(component.name))
        if len(term.components) > 1 and own & set(names) and own & set(averaged):
            return True
    return False


def datagrid(fit: Any, **values: object) -> pd.DataFrame:
    """Rows of predictors for predictions: all combinations of some values, the rest typical.

    Parameters
    ----------
    fit : Fit or Model
        What has the data.
    **values
        Values of predictors or grouping factors, one or a list: ``Days=[0, 9]``.

    Returns
    -------
    pandas.DataFrame
        A column for each predictor, and for each grouping factor that was named. Others are at
        their mean, or at their most frequent level.

    Raises
    ------
    ArgumentError
        For a variable that the model does not use.

    Notes
    -----
    ``datagrid`` of marginaleffects, with its rule for what is not named.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> fit = model.fit("reml")
    >>> fit.predict(bl.datagrid(fit, Days=[0, 9]), groups="none").round(1)["estimate"].to_list()
    [251.4, 345.6]
    """
    model: Specification = getattr(fit, "model", fit)
    formula, used = model.design.formula, used_columns(model)
    names = tuple(dict.fromkeys((*formula.predictor_columns, *formula.grouping_columns)))
    for name in values:
        if name not in names:
            raise ArgumentError(unknown_name("variable", name, names))
    columns: dict[str, list[Any]] = {}
    for name in names:
        column = used[name]
        if name in values and name in formula.predictor_columns:
            columns[name] = list(_values(column, values[name], every=False)[0])
        elif name in values:
            columns[name] = _listed(values[name])
        elif name in formula.predictor_columns:
            columns[name] = [_typical(column)]
    if not columns:
        raise DataError("the model has no predictors, so that a grid of them has no columns")
    rows = list(product(*columns.values()))
    return pd.DataFrame(rows, columns=list(columns))


def _typical(column: Column) -> Any:
    if column.kind == "number":
        return float(column.values.astype(np.float64).mean())
    return column.levels[int(np.bincount(column.values).argmax())]
