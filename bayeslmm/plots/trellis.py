"""What a trellis shows, computed from fits: which groups, which horizontal axis, and the lines."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayeslmm.data.frames import level_label
from bayeslmm.design.new_rows import evaluate_new
from bayeslmm.drawing.groups import Panel, Trellis
from bayeslmm.effects.pooling import common_coefficients, own_line
from bayeslmm.effects.predictions import predict
from bayeslmm.effects.rows import used_columns
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.formula.parsing import columns_of
from bayeslmm.support.arguments import whole_number
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.data.frames import Column
    from bayeslmm.design.design import Design
    from bayeslmm.design.factors import GroupingFactor
    from bayeslmm.solutions.base import Solution
    from bayeslmm.specification import Specification

__all__ = ["LINES", "axis_of", "trellis_of"]

LINES = ("no pooling", "complete pooling")
_GRID = 50


def trellis_of(
    fits: dict[str, Solution],
    factor: GroupingFactor,
    x: str | None,
    levels: int | Sequence[object] | None,
    lines: Sequence[str],
    most: int = 30,
) -> Trellis:
    """Compute a trellis of fits of one model.

    Parameters
    ----------
    fits : dict of str to Solution
        By the name of their lines.
    factor : GroupingFactor
        Its levels are the groups.
    x : str, optional
        Column of the horizontal axis.
    levels : int or sequence, optional
        How many levels, or which.
    lines : sequence of str
        Which of `LINES` are drawn besides those of the fits.
    most : int
        How many levels, where `levels` does not say.

    Returns
    -------
    Trellis
    """
    for name in lines:
        if name not in LINES:
            raise ArgumentError(unknown_name("line", name, LINES))
    fit = next(iter(fits.values()))
    design = fit.model.design
    columns = used_columns(fit.model)
    shown, note = _chosen_levels(fit, factor, levels, most)
    axis = _axis(design, columns, factor, x)
    values, categories = _places(columns[axis]) if axis else (None, ())
    common = common_coefficients(design)
    counted = [other.name for other in design.factors if _within(factor, other)]
    panels, averaged = [], set()
    for level in shown:
        rows = np.flatnonzero(factor.codes == level)
        here = np.arange(1, len(rows) + 1) if values is None else values[rows]
        grid = _grid(here, values, categories)
        data, varying = _new_rows(columns, rows, axis, grid)
        averaged |= varying & set(design.formula.predictor_columns)
        drawn = {
            name: predict(one, data, groups=counted)["estimate"].to_numpy()
            for name, one in fits.items()
        }
        if lines:
            new = evaluate_new(design, data, ())
            offset = 0.0 if new.offset is None else new.offset
            by_name = {
                "no pooling": own_line(design, rows, new.X) + offset,
                "complete pooling": new.X @ common + offset,
            }
            drawn |= {name: by_name[name] for name in lines}
        panels.append(Panel(factor.levels[level], here, design.y[rows], grid, drawn))
    if averaged:
        names = ", ".join(sorted(averaged))
        note = " ".join(
            [note, f"Lines are at each group's mean or most frequent value of {names}."]
        )
    label = axis or f"row within {factor.name}"
    return Trellis(tuple(panels), label, design.response, note.strip(), categories)


def axis_of(model: Specification, factor: GroupingFactor) -> tuple[str, Array] | None:
    """The column that a picture of a model by group has on its axis: its name, and what it has in
    each row.
    """
    columns = used_columns(model)
    name = _axis(model.design, columns, factor, None)
    if name is None:
        return None
    column = columns[name]
    labels = [
        value if column.kind == "number" else column.levels[value]
        for value in column.values.tolist()
    ]
    return name, np.array([level_label(label) for label in labels], dtype=object)


def _chosen_levels(
    solution: Solution, factor: GroupingFactor, levels: int | Sequence[object] | None, most: int
) -> tuple[list[int], str]:
    """Choose levels to show, and say which are left out.

    Parameters
    ----------
    solution : Solution
    factor : GroupingFactor
    levels : int or sequence, optional
        How many, or which.
    most : int
        How many by default.

    Returns
    -------
    positions : list of int
    note : str
        Empty when all levels are shown.
    """
    count, design = len(factor.levels), solution.model.design
    if levels is None:
        levels = most
    if isinstance(levels, Real):
        most = whole_number("levels", levels)
        if count <= most:
            return list(range(count)), ""
        value = f"mean {design.response}"
        means = np.bincount(factor.codes, design.y) / np.bincount(factor.codes)
        if factor.effects:
            value, means = factor.effects[0], solution.u[design.factors.index(factor)][:, 0]
        order = np.argsort(means, kind="stable")
        at = np.unique(np.linspace(0, count - 1, most).round().astype(int))
        note = (
            f"{len(at)} of {count:,} levels of {factor.name}, evenly from the lowest to the "
            f"highest {value}; choose others with levels=."
        )
        return sorted(order[at].tolist()), note
    if isinstance(levels, str | bytes) or not isinstance(
        levels, Sequence | pd.Index | pd.Series | np.ndarray
    ):
        raise ArgumentTypeError(
            "`levels` is a number of levels to show, or a list of their names, not "
            f"{type(levels).__name__}."
        )
    positions = []
    for level in levels:
        label = level_label(level)
        if label not in factor.levels:
            raise ArgumentError(unknown_name(f"level of {factor.name}", label, factor.levels))
        positions.append(factor.levels.index(label))
    positions = list(dict.fromkeys(positions))
    if not positions:
        raise ArgumentError("`levels` is empty; name at least one level.")
    left = count - len(positions)
    return (
        positions,
        f"{left:,} of {count:,} levels of {factor.name} are not shown." if left else "",
    )


def _axis(
    design: Design, columns: dict[str, Column], factor: GroupingFactor, x: str | None
) -> str | None:
    """The column of the horizontal axis: one that varies within groups, if possible of the bars."""
    bars = [bar for bar in design.formula.bars if bar.factor == factor.columns]
    slopes = [name for bar in bars for name in columns_of(bar.effects)]
    fixed = columns_of(design.formula.fixed)
    others = [name for name in design.formula.grouping_columns if name not in factor.columns]
    R = None if design.residuals is None else design.residuals.structure
    times = R.times if R is not None and len(R.times) == 1 and not factor.effects else ()
    predictors = design.formula.predictor_columns
    usable = list(dict.fromkeys([*times, *slopes, *fixed, *predictors, *others]))
    if x is not None:
        if x not in usable:
            raise ArgumentError(unknown_name("column for x", x, usable))
        return x
    varying = [name for name in usable if _varies(columns[name].values, factor)]
    preferred = [
        (name not in times, name in others, columns[name].kind != "number", name not in slopes, i)
        for i, name in enumerate(varying)
    ]
    return varying[min(preferred)[-1]] if varying else None


def _varies(values: Array, factor: GroupingFactor) -> bool:
    """Whether values differ within any level."""
    first = np.empty(len(factor.levels), dtype=values.dtype)
    first[factor.codes] = values
    return bool(np.any(values != first[factor.codes]))


def _within(factor: GroupingFactor, other: GroupingFactor) -> bool:
    """Whether the level of a factor determines that of another, as in nested factors."""
    return not _varies(other.codes, factor)


def _places(column: Column) -> tuple[Array, tuple[str, ...]]:
    """Where rows stand on the horizontal axis, and the names of the places of categories."""
    if column.kind == "number":
        return column.values.astype(np.float64), ()
    return column.values.astype(np.float64), tuple(level_label(level) for level in column.levels)


def _grid(here: Array, values: Array | None, categories: Sequence[str]) -> Array:
    """Where the lines of a group are drawn: over its range, or over all when it has no range."""
    if categories:
        return np.arange(len(categories), dtype=np.float64)
    if np.ptp(here) > 0 or values is None:
        return np.linspace(here.min(), here.max(), _GRID if np.ptp(here) > 0 else 1)
    return np.linspace(values.min(), values.max(), _GRID)


def _new_rows(
    columns: dict[str, Column], rows: Array, axis: str | None, grid: Array
) -> tuple[pd.DataFrame, set[str]]:
    """Rows along the grid with a group's typical values otherwise, and what varies in it."""
    data: dict[str, Any] = {}
    varying: set[str] = set()
    for name, column in columns.items():
        values = column.values[rows]
        if name != axis and np.any(values != values[0]):
            varying.add(name)
        if column.kind == "number":
            data[name] = grid if name == axis else np.full(len(grid), values.mean())
            if name != axis and name not in varying:
                data[name] = np.full(len(grid), values[0])
            continue
        codes = grid.astype(int) if name == axis else [np.bincount(values).argmax()] * len(grid)
        data[name] = [column.levels[code] for code in codes]
    return pd.DataFrame(data), varying
