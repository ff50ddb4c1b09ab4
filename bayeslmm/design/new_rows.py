"""New rows evaluated with what a design learned from the rows it was fitted to."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.data.frames import Column, Table, level_label, read, where
from bayeslmm.data.levels import match
from bayeslmm.errors import DataError
from bayeslmm.formula.grammar import check_expression
from bayeslmm.formula.parsing import columns_of
from bayeslmm.formula.terms import Columns
from bayeslmm.formula.tokens import tokenize
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor


@dataclass(frozen=True, slots=True, eq=False)
class NewFactor:
    """A grouping factor on new rows.

    Attributes
    ----------
    name : str
        As in `GroupingFactor`.
    codes : ndarray of int32, shape (m,)
        Level of every row among those of fitting; -1 for a level that fitting did not see.
    labels : ndarray of str objects, shape (m,)
        Level of every row.
    Z : ndarray of float64, shape (m, q)
        Values of the effects.
    """

    name: str
    codes: Array
    labels: Array
    Z: Array = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class NewDesign:
    """The right side of a formula on new rows.

    Attributes
    ----------
    X : ndarray of float64, shape (m, p)
        The columns that the fitted X has.
    left_out : ndarray of float64, shape (m, d)
        The columns that were left out of the fitted X, because others determine them there.
    offset : ndarray of float64, shape (m,), or None
        Sum of the offsets.
    factors : tuple of NewFactor
        The factors that were asked for, in the order of the design.
    index : pandas.Index, length m
        Row labels.
    """

    X: Array = field(repr=False)
    left_out: Array = field(repr=False)
    offset: Array | None = field(repr=False)
    factors: tuple[NewFactor, ...]
    index: pd.Index


def evaluate_new(
    design: "Design", data: object, factors: Collection[str] | None = None
) -> NewDesign:
    """Evaluate the right side of a formula on new data, with what was learned in fitting.

    Parameters
    ----------
    design : Design
    data : data frame
        New rows; the response is not needed.
    factors : collection of str, optional
        Names of the grouping factors to evaluate; all by default. Columns that only the others need
        can be absent.

    Returns
    -------
    NewDesign

    Raises
    ------
    DataError
        For a missing column or value, a level of a fixed effect that fitting did not see, or a
        column of another kind than in fitting. A new level of a grouping factor is no error; its
        code is -1.
    """
    names = None if factors is None else {design.factor(name).name for name in factors}
    wanted = [factor for factor in design.factors if names is None or factor.name in names]
    formula, learned = design.formula, design.learned
    bars = [
        (bar, terms, strata)
        for bar, terms, strata in zip(formula.bars, learned.bars, learned.strata, strict=True)
        if bar.factor in {factor.columns for factor in wanted}
    ]
    predictors = [*columns_of(formula.fixed)]
    predictors += [name for bar, *_ in bars for name in columns_of(bar.effects)]
    predictors += [name for text in formula.offsets for name in _expression_columns(text)]
    predictors = list(dict.fromkeys(predictors))
    grouping = dict.fromkeys(name for factor in wanted for name in factor.columns)
    grouping |= dict.fromkeys(name for *_, strata in bars for name in strata.columns)

    remedies = {
        name: ("Add it.", f"Without random effects, groups='none', {name!r} is not needed.")
        for name in grouping
    } | dict.fromkeys(predictors, ("Add it.",))
    table = read(data, [*predictors, *grouping], "the model needs", remedies)
    _check_complete(table)
    used = table.take(np.ones(len(table.index), dtype=bool))
    known = {
        name: _as_in_fitting(used.columns[name], learned.levels[name], used.index)
        for name in predictors
    }
    frame = expression_frame(Table(known, used.index), predictors)

    n = len(used.index)
    offset = None
    if learned.offsets:
        offset = sum((term.values(frame, used.index) for term in learned.offsets), np.zeros(n))
    matrices: dict[tuple[str, ...], list[Array]] = {}
    for bar, terms, strata in bars:
        Z = terms.new(frame, used.index)
        codes = strata.codes(used)
        parts = [Z * (codes == i)[:, None] for i in range(len(strata.combinations))]
        matrices.setdefault(bar.factor, []).extend(parts)
    found = tuple(
        NewFactor(
            factor.name,
            *match([used.columns[name] for name in factor.columns], factor.levels),
            np.hstack(matrices[factor.columns]),
        )
        for factor in wanted
    )
    for factor, new in zip(wanted, found, strict=True):
        if factor.own is not None:
            _check_strata(factor, new, used.index)
    columns = learned.fixed.new(frame, used.index)
    return NewDesign(
        X=np.ascontiguousarray(columns[:, learned.kept]),
        left_out=np.delete(columns, learned.kept, axis=1),
        offset=offset,
        factors=found,
        index=used.index,
    )


def _check_strata(factor: "GroupingFactor", new: NewFactor, index: pd.Index) -> None:
    """Refuse levels that were fitted in another stratum."""
    assert factor.own is not None
    astray = (new.codes >= 0) & ((new.Z != 0) & ~factor.own[new.codes]).any(axis=1)
    if astray.any():
        raise DataError(
            f"the level {new.labels[astray][0]!r} of {factor.name!r} lies in another stratum in "
            f"the new data than in those fitted, in {where(astray, index)}; correct the column of "
            "strata, or give it another name, which is that of a new level"
        )


def expression_frame(table: Table, names: Collection[str]) -> Columns:
    """Columns as formulae evaluates them: numbers as float64, categories in their order."""
    frame: dict[str, Any] = {}
    exact: dict[str, Array] = {}
    for name in dict.fromkeys(names):
        column = table.columns[name]
        if column.kind == "date":
            raise DataError(
                f"column {name!r} holds dates or durations, which have no unit as an effect; "
                "compute a number in the data first, such as days since the start"
            )
        if column.kind == "number":
            # Whole numbers would overflow silently in powers and products.
            frame[name] = column.values.astype(np.float64, copy=False)
            if column.values.dtype.kind != "f" and np.abs(frame[name]).max(initial=0.0) >= 2.0**53:
                exact[name] = column.values
        else:
            try:
                levels = pd.Index(column.levels)
            except UnicodeEncodeError:
                raise DataError(
                    f"column {name!r} holds half a character (a surrogate without its pair), which "
                    "is no text in UTF-8; correct it, or read the data with the right encoding"
                ) from None
            categories = pd.Categorical.from_codes(column.values, categories=levels, ordered=True)
            frame[name] = pd.Series(categories, copy=False)
    return Columns(frame, len(table.index), exact)


def _expression_columns(text: str) -> tuple[str, ...]:
    return check_expression(tokenize(text), text)


def _check_complete(table: Table) -> None:
    gaps = [
        f"{name!r} in {where(column.missing, table.index)}"
        for name, column in table.columns.items()
        if column.missing.any()
    ]
    if gaps:
        raise DataError(
            f"the new data have missing values: {'; '.join(gaps)}. Fill them in or drop these rows"
        )


def _as_in_fitting(column: Column, levels: tuple[Any, ...] | None, index: pd.Index) -> Column:
    """Express a column of new data in the kind and the levels of fitting."""
    if levels is None:
        if column.kind != "number":
            raise DataError(
                f"column {column.name!r} was numeric in fitting and now holds text, categories or "
                "dates; convert it to numbers"
            )
        return column
    labels = tuple(level_label(level) for level in levels)
    codes, given = match([column], labels)
    if (codes < 0).any():
        unseen = ", ".join(repr(label) for label in dict.fromkeys(given[codes < 0]))
        raise DataError(
            f"column {column.name!r} has levels that fitting did not see: {unseen} in "
            f"{where(codes < 0, index)}; known: {', '.join(map(repr, labels))}"
        )
    return Column(column.name, "category", codes, levels, column.missing)
