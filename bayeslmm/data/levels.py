"""Grouping factors: columns of any kind → levels as text, and the level of every row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayeslmm.data.frames import Column, check_told_apart, level_label
from bayeslmm.errors import DataError
from bayeslmm.support.arrays import Array


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """The levels of a grouping factor and the level of every row.

    Attributes
    ----------
    levels : tuple of str
        Levels that occur, ordered by the first column, then the second and so on; those of several
        columns are joined by ":".
    codes : ndarray of int32, shape (n,)
        Position of every row's level.
    """

    levels: tuple[str, ...]
    codes: Array


def group(columns: Sequence[Column]) -> Grouping:
    """Group rows by the combinations of columns that occur.

    Parameters
    ----------
    columns : sequence of Column
        Complete columns: no value is missing.

    Returns
    -------
    Grouping

    Raises
    ------
    DataError
        If two different levels would have the same name.
    """
    name = ":".join(column.name for column in columns)
    codes, levels = _coded(columns[0])
    for column in columns[1:]:
        inner, inner_levels = _coded(column)
        pairs, occurring = _compact(codes * len(inner_levels) + inner)
        outer_at, inner_at = np.divmod(occurring, len(inner_levels))
        levels = [f"{levels[i]}:{inner_levels[j]}" for i, j in zip(outer_at, inner_at, strict=True)]
        codes = pairs
    if len(set(levels)) < len(levels):
        duplicated = next(level for level in levels if levels.count(level) > 1)
        raise DataError(
            f"two different levels of {name!r} would both be called {duplicated!r}; rename one"
        )
    return Grouping(tuple(levels), codes.astype(np.int32))


def match(columns: Sequence[Column], levels: tuple[str, ...]) -> tuple[Array, Array]:
    """Find the levels of new rows among known ones.

    Parameters
    ----------
    columns : sequence of Column
        Complete columns of the new data.
    levels : tuple of str
        Known levels.

    Returns
    -------
    codes : ndarray of int32, shape (m,)
        Positions in `levels`; -1 for a level that is not among them.
    labels : ndarray of str objects, shape (m,)
        Level of every row.
    """
    new = group(columns)
    place = {level: i for i, level in enumerate(levels)}
    known = np.array([place.get(level, -1) for level in new.levels], dtype=np.int32)
    labels = np.array(new.levels, dtype=object)
    return known[new.codes], labels[new.codes]


def same_partition(a: Array, b: Array) -> bool:
    """Whether two codings with the same number of levels group the rows alike."""
    _, occurring = _compact(a.astype(np.int64) * (int(b.max()) + 1) + b)
    return len(occurring) == int(a.max()) + 1


def _coded(column: Column) -> tuple[Array, list[str]]:
    if column.kind == "number":
        codes, values = _compact(column.values)
        check_told_apart(_floats(values), f"column {column.name!r}")
        return codes, [level_label(value) for value in values.tolist()]
    codes = column.values.astype(np.int64)
    if np.bincount(codes, minlength=len(column.levels)).all():
        return codes, [level_label(level) for level in column.levels]
    codes, used = _compact(codes)
    return codes, [level_label(column.levels[i]) for i in used]


def _floats(values: Array) -> Array:
    """The floats among numbers of several types."""
    if values.dtype != object:
        return values
    return np.array([value for value in values if isinstance(value, float)], dtype=np.float64)


def _compact(values: Array) -> tuple[Array, Array]:
    """Codes of the sorted distinct values, without sorting all values."""
    codes, uniques = pd.factorize(values)
    uniques = np.asarray(uniques)
    order = np.argsort(uniques, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[codes], uniques[order]
