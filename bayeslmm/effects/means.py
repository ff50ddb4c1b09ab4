"""Estimated marginal means: averages of the reference grid over the factors that are not named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import pandas as pd

from bayeslmm.data.frames import level_label
from bayeslmm.effects.grid import ReferenceGrid, grid_variables, interacting, reference_grid
from bayeslmm.effects.residuals import row_variances
from bayeslmm.effects.result import Effects
from bayeslmm.effects.transforms import Scale, transform_of
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.solutions.base import LEVEL
from bayeslmm.solutions.degrees_of_freedom.methods import df_method
from bayeslmm.support.arguments import one_of, probability, truth_value

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.effects.grid import Rows
    from bayeslmm.solutions.base import Solution
    from bayeslmm.solutions.degrees_of_freedom.methods import DF
    from bayeslmm.support.arrays import Array

__all__ = [
    "Weights",
    "averages",
    "chosen",
    "emmeans",
    "notes_on_averages",
    "read_names",
    "scale_of",
]

Weights = Literal["equal", "proportional", "cells"]


def emmeans(
    solution: Solution,
    specs: object,
    by: object = None,
    at: Mapping[str, object] | None = None,
    weights: Weights = "equal",
    df: DF = "satterthwaite",
    level: float = LEVEL,
    type: Literal["link", "response"] = "link",
    bias_adjust: bool = False,
    sigma: float | None = None,
) -> Effects:
    """Estimated marginal means; see `Fit.emmeans`."""
    weights = cast("Weights", one_of("weights", weights, ("equal", "proportional", "cells")))
    names, groups = read_names(specs, by, grid_variables(solution.model.design))
    grid = reference_grid(solution.model, at)
    names, groups, notes = _with_nests(grid, names, groups)
    labels, rows = averages(grid, (*names, *groups), weights)
    return Effects(
        solution,
        labels,
        rows,
        names,
        groups,
        "mean",
        probability(level),
        df_method(df),
        scale=scale_of(solution, type, bias_adjust, sigma),
        notes=(
            *grid.notes,
            *notes,
            *notes_on_averages(solution.model.design, grid, names + groups, weights),
        ),
    )


def notes_on_averages(
    design: Design, grid: ReferenceGrid, names: Sequence[str], weights: Weights, *others: str
) -> list[str]:
    """What readers should know where a grid is averaged over all its variables but some.

    Parameters
    ----------
    design : Design
    grid : ReferenceGrid
    names : sequence of str
        The variables that are kept.
    weights : {"equal", "proportional", "cells"}
    *others : str
        Further variables that results are about.
    """
    over = [name for name, own in grid.values.items() if len(own) > 1 and name not in names]
    if not over:
        return []
    how = "" if weights == "equal" else f", weighted by {weights}"
    notes = [f"Results are averaged over the levels of {', '.join(over)}{how}."]
    if interacting(design, [*others, *names], over):
        notes.append("Results may be misleading due to involvement in interactions.")
    return notes


def read_names(
    specs: object, by: object, variables: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The variables that means are of, and those within which they are compared.

    ``"Sex"``, ``["Sex", "age"]``, and emmeans' ``"~ Sex * age"`` and ``"Sex | age"``.
    """
    groups = chosen(by, variables, "by")
    if isinstance(specs, str) and specs not in variables:
        text, _, within = specs.strip().removeprefix("~").partition("|")
        names = chosen([n for n in _split(text) if n != "1"], variables, "specs")
        if within:
            groups = (*groups, *chosen(_split(within), variables, "specs"))
    else:
        names = chosen(specs, variables, "specs")
    names = tuple(name for name in names if name not in groups)
    if groups and not names:
        raise ArgumentError("`specs` has no variable but those of `by`; name one more to compare.")
    return names, tuple(dict.fromkeys(groups))


def _split(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[*+:]", text) if part.strip()]


def chosen(given: object, variables: Sequence[str], argument: str) -> tuple[str, ...]:
    """Names of variables, checked."""
    if given is None:
        return ()
    if isinstance(given, str):
        given = [given]
    if isinstance(given, bytes) or not isinstance(given, Sequence):
        raise ArgumentTypeError(
            f"`{argument}` should be the name of a variable or a list of them, got {given!r}."
        )
    for name in given:
        if name not in variables:
            hint = "Means are of variables of the fixed effects."
            raise ArgumentError(unknown_name(f"variable in `{argument}`", name, variables, hint))
    return tuple(dict.fromkeys(given))


def _with_nests(
    grid: ReferenceGrid, names: tuple[str, ...], groups: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Put the factors that others are nested in among the groups, and say so."""
    notes = tuple(
        f"A nesting structure was detected: {name} in {', '.join(outer)}."
        for name, outer in grid.nested.items()
    )
    for name in names + groups:
        outer = grid.nested.get(name, ())
        groups = (*groups, *(own for own in outer if own not in groups))
    return tuple(name for name in names if name not in groups), groups, notes


def averages(
    grid: ReferenceGrid, names: Sequence[str], weights: Weights
) -> tuple[pd.DataFrame, Rows]:
    """Averages of the grid for each combination of some of its variables.

    Parameters
    ----------
    grid : ReferenceGrid
    names : sequence of str
        The first changes fastest.
    weights : {"equal", "proportional", "cells"}

    Returns
    -------
    labels : pandas.DataFrame
    rows : Rows
    """
    over = [name for name in grid.values if name not in names]
    each = _weights(grid, over, weights)
    if not names:
        labels, place = pd.DataFrame({"mean": ["overall"]}), np.zeros(len(each), dtype=np.int64)
    else:
        codes = [_codes(grid, name) for name in names]
        key = np.lexsort(codes)
        stacked = np.stack(codes, axis=1)[key]
        new = np.r_[True, (stacked[1:] != stacked[:-1]).any(axis=1)]
        place = np.empty(len(each), dtype=np.int64)
        place[key] = np.cumsum(new) - 1
        labels = grid.frame[list(names)].iloc[key[new]].reset_index(drop=True)
        labels = pd.DataFrame({name: _shown(labels[name]) for name in names})
    total = np.bincount(place, each)
    W = np.zeros((len(total), len(each)))
    with np.errstate(divide="ignore", invalid="ignore"):
        W[place, np.arange(len(each))] = each / total[place]
    empty = ~np.isfinite(W).all(axis=1)
    W[empty] = 0.0
    rows = grid.rows.combined(W)
    rows.X[empty], rows.offset[empty] = np.nan, np.nan
    return labels, rows


def _codes(grid: ReferenceGrid, name: str) -> Array:
    place = {value: i for i, value in enumerate(grid.values[name])}
    return grid.frame[name].map(place).to_numpy(dtype=np.int64)


def _shown(values: pd.Series) -> pd.Series:
    """Levels as text, numbers as they are."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        return values
    return values.map(level_label).astype(object)


def _weights(grid: ReferenceGrid, over: Sequence[str], weights: Weights) -> Array:
    """The weight of each row of the grid in the average over some variables."""
    if weights == "cells":
        return grid.frequency
    if weights == "proportional":
        if not over:
            return np.ones(len(grid.frame))
        codes = grid.frame.groupby(list(over), sort=False).ngroup().to_numpy()
        return np.bincount(codes, grid.frequency)[codes]
    each = np.ones(len(grid.frame))
    for name in over:  # a nested factor's levels share the weight of the level they are in
        outer = list(grid.nested.get(name, ()))
        if outer:
            each = each / grid.frame.groupby(outer)[name].transform("nunique").to_numpy()
    return each


def scale_of(
    solution: Solution, type: object, bias_adjust: object = False, sigma: object = None
) -> Scale:
    """The scale of results, from what users say."""
    type = one_of("type", type, ("link", "response"))
    bias = truth_value("bias_adjust", bias_adjust)
    response = solution.model.design.response
    if type == "link":
        if bias or sigma is not None:
            raise ArgumentError(
                "`bias_adjust` and `sigma` are for type='response'; add that, or leave them out."
            )
        try:
            return Scale(transform_of(response))
        except ArgumentError:  # one that is not taken back, on whose scale results are anyway
            return Scale()
    transform = transform_of(response)
    if transform is None or not bias:
        return Scale(transform, transform is not None)
    if sigma is None:
        return Scale(transform, True, float(np.mean(row_variances(solution, marginal=True))))
    value = float(cast("float", sigma))
    if not value >= 0:
        raise ArgumentError(f"`sigma` should be a standard deviation, zero or more, got {sigma!r}.")
    return Scale(transform, True, value**2)
