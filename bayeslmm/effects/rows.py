"""Rows of data, old or new, as linear functions of (beta, u)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bayeslmm.data.frames import Column, Table, read, where
from bayeslmm.data.weights import read_weights
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.equations.linear import Functions, Relatives
from bayeslmm.equations.noise import Noise
from bayeslmm.errors import ArgumentError, ArgumentTypeError, DataError

if TYPE_CHECKING:
    from bayeslmm.covariance.relationship import Relationship
    from bayeslmm.design.new_rows import NewDesign
    from bayeslmm.specification import Specification

__all__ = ["NEW_LEVELS", "functions_of_data", "functions_of_rows", "used_columns"]

NEW_LEVELS = ("error", "zero", "sample")


def functions_of_rows(
    model: Specification, groups: str | Sequence[str] = "all", *, noise: bool = False
) -> Functions:
    """The linear predictor of the rows that the model was fitted to.

    Parameters
    ----------
    model : Specification
    groups : "all", "none" or sequence of str
        The grouping factors whose effects count.
    noise : bool
        Whether a new residual is added.

    Returns
    -------
    Functions
    """
    design = model.design
    m = len(design.y)
    wanted = _groups(model, groups)
    chosen = [factor for factor in design.factors if factor.name in wanted]
    functions = Functions.of(
        design.factors,
        design.X,
        {factor.name: factor.codes for factor in chosen},
        {factor.name: factor.Z for factor in chosen},
    )
    weights = np.ones(m) if design.weights is None else design.weights
    return replace(
        functions,
        offset=functions.offset if design.offset is None else design.offset,
        noise=Noise.of_rows(1 / weights, model.equations.residuals) if noise else functions.noise,
    )


def functions_of_data(
    model: Specification,
    data: object,
    groups: str | Sequence[str],
    new_levels: str,
    *,
    noise: bool,
    weights: object | None,
) -> tuple[Functions, pd.Index]:
    """The linear predictor of new rows.

    Parameters
    ----------
    model : Specification
    data : data frame
    groups : "all", "none" or sequence of str
    new_levels : {"error", "zero", "sample"}
    noise : bool
    weights : str, array_like or None

    Returns
    -------
    Functions
    pandas.Index
        The labels of the rows.
    """
    design = model.design
    new = evaluate_new(design, data, _groups(model, groups))
    found = {factor.name: factor for factor in new.factors}
    m = len(new.X)
    nowhere = np.zeros(m)
    unseen = {name: factor.codes < 0 for name, factor in found.items()}
    relatives, left = {}, {}
    for name, rows in unseen.items():
        related = design.factor(name).related
        if related is not None and rows.any():
            relatives[name], left[name] = _relatives(related, found[name].labels, rows)
            rows &= relatives[name].which < 0
            if new_levels == "sample" and rows.any():
                raise DataError(_unrelated(name, found[name].labels[rows], rows, new.index))
        if new_levels == "error" and rows.any():
            raise DataError(_unseen(name, found[name].labels[rows], rows, new.index))
    functions = Functions.of(
        design.factors,
        new.X,
        {name: factor.codes for name, factor in found.items()},
        {name: factor.Z for name, factor in found.items()},
    )
    if new_levels == "sample":
        left = {name: rows.astype(float) for name, rows in unseen.items()} | left
    complete = replace(
        functions,
        offset=functions.offset if new.offset is None else new.offset,
        new=tuple(left.get(f.name, nowhere) for f in design.factors),
        relatives=tuple(relatives.get(f.name) for f in design.factors),
        noise=_noise(model, data, weights, new) if noise else functions.noise,
    )
    return complete, new.index


def used_columns(model: Specification) -> dict[str, Column]:
    """The columns of a model's data, in the rows that were fitted."""
    data = model.data
    table = read(data, tuple(map(str, data.columns)))
    weights = read_weights(model.weights, data, table)
    whole = Table(table.columns | ({weights.name: weights} if weights else {}), table.index)
    return whole.take(whole.complete()).columns


def _groups(model: Specification, groups: str | Sequence[str]) -> tuple[str, ...]:
    """The names of the grouping factors that count."""
    names = tuple(factor.name for factor in model.design.factors)
    if isinstance(groups, str):
        if groups not in ("all", "none"):
            raise ArgumentError(
                "`groups` should be 'all', 'none' or a list of grouping factors such as "
                f"{list(names)}, got {groups!r}."
            )
        return names if groups == "all" else ()
    if not isinstance(groups, Sequence):
        raise ArgumentTypeError(
            "`groups` should be 'all', 'none' or a list of grouping factors, got "
            f"{type(groups).__name__}."
        )
    wanted = {model.design.factor(name).name for name in groups}
    return tuple(name for name in names if name in wanted)


def _unseen(name: str, labels: np.ndarray, rows: np.ndarray, index: pd.Index) -> str:
    distinct = list(dict.fromkeys(labels))
    shown = ", ".join(map(repr, distinct[:5])) + (", ..." if len(distinct) > 5 else "")
    return (
        f"the new data have levels of {name!r} that fitting did not see: {shown} in "
        f"{where(rows, index)}. Use new_levels='zero' for the average level, or 'sample' to add "
        "the variance between levels"
    )


def _relatives(
    related: Relationship, labels: np.ndarray, rows: np.ndarray
) -> tuple[Relatives, np.ndarray]:
    """What some rows touch of levels that the relationship has and the data lack, and the variance
    that this leaves, in units of G.
    """
    others = set(related.others)
    names = list(dict.fromkeys(label for label in labels[rows] if label in others))
    place = {name: i for i, name in enumerate(names)}
    which = np.full(len(labels), -1)
    which[rows] = [place.get(label, -1) for label in labels[rows]]
    weights, variance = related.conditional(names)
    left = np.zeros(len(labels))
    left[which >= 0] = variance[which[which >= 0]]
    return Relatives(which, weights), left


def _unrelated(name: str, labels: np.ndarray, rows: np.ndarray, index: pd.Index) -> str:
    shown = ", ".join(map(repr, list(dict.fromkeys(labels))[:5]))
    return (
        f"the relationship of {name!r} has no row for {shown} in {where(rows, index)}, so that how "
        "these levels vary is not known; make the model with a relationship that has them, or use "
        "new_levels='zero' for the average level"
    )


def _noise(model: Specification, data: object, weights: object | None, new: NewDesign) -> Noise:
    """New residuals."""
    base = _relative_to_weight(model, data, weights, new)
    residuals = model.design.residuals
    if residuals is None:
        return Noise.plain(base)
    table = read(data, residuals.variance_columns, "the residual variance depends on")
    missing = [name for name, column in table.columns.items() if column.missing.any()]
    if missing:
        raise DataError(
            f"the residual variance of the new rows depends on {', '.join(map(repr, missing))}, "
            "which have missing values; fill them in"
        )
    sigma, covariates = residuals.variance_of(table)
    return Noise(base, sigma, covariates, len(residuals.sigmas))


def _relative_to_weight(
    model: Specification, data: object, weights: object | None, new: NewDesign
) -> np.ndarray:
    """One over the weights of new rows."""
    if weights is None:
        if model.weights is None:
            return np.ones(len(new.X))
        if not isinstance(model.weights, str):
            raise ArgumentError(
                "this model has weights, so the variance of a new observation depends on its "
                "weight: give `weights=`, a column of the data or one number per row."
            )
        weights = model.weights
    column = read_weights(weights, data, Table({}, new.index))
    assert column is not None
    if column.missing.any():
        raise DataError(
            f"the weights {column.name!r} are missing in {where(column.missing, new.index)}; "
            "give every new row a weight"
        )
    return 1 / column.values.astype(np.float64)
