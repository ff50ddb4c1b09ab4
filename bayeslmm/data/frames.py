"""A data frame of any kind → its used columns as numbers or categories, and the rows to keep.

A frame is read once: every used column becomes a `Column`, either numbers or categories with their
levels in order, and the rows with a missing value in any of them are counted by variable.
"""

import datetime
import decimal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

from bayeslmm.errors import ArgumentTypeError, DataError, did_you_mean

type Array = np.ndarray[Any, Any]

_COPY_ON_WRITE = int(pd.__version__.partition(".")[0]) >= 3
"""Whether writing to a frame leaves the columns alone that were taken from it."""
_SHOWN_ROWS = 5
_SHOWN_NAMES = 30
_NO_REMEDIES: Mapping[str, Sequence[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of the data.

    Attributes
    ----------
    name : str
        Name of the column.
    kind : str
        "number", "category" or "date"; a date has the fields of a category.
    values : ndarray, shape (n,)
        The numbers, or for a category the codes of the levels, -1 where missing.
    levels : tuple
        Levels in order; empty for numbers. Text is sorted by code point (R's C locale), numbers by
        value, the levels of a pandas Categorical or a polars Enum as they are.
    missing : ndarray of bool, shape (n,)
        Where the value is missing.
    """

    name: str
    kind: str
    values: Array
    levels: tuple[Any, ...]
    missing: Array


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The used columns of a data frame.

    Attributes
    ----------
    columns : dict of str to Column
        The columns, all with n rows.
    index : pandas.Index, length n
        Row labels: the index of a pandas frame, otherwise 0, 1, ...
    """

    columns: dict[str, Column]
    index: pd.Index

    @property
    def missing(self) -> dict[str, int]:
        """Number of missing values of every column that has some."""
        counts = {name: int(np.count_nonzero(c.missing)) for name, c in self.columns.items()}
        return {name: count for name, count in counts.items() if count}

    def complete(self) -> Array:
        """Rows without a missing value in any column, as a mask."""
        keep = np.ones(len(self.index), dtype=bool)
        for name in self.missing:
            keep &= ~self.columns[name].missing
        return keep

    def take(self, keep: Array) -> "Table":
        """Keep the rows of a mask, and of every category the levels that are left."""
        if keep.all():
            columns = {name: _drop_unused(column) for name, column in self.columns.items()}
            return Table(columns, self.index)
        columns = {
            name: _drop_unused(
                Column(name, column.kind, column.values[keep], column.levels, column.missing[keep])
            )
            for name, column in self.columns.items()
        }
        return Table(columns, self.index[keep])


class Taken:
    """Columns of a pandas frame, each taken when it is first asked for, as it is then.

    One by one they are there sooner than a frame of them.

    Parameters
    ----------
    frame : pandas.DataFrame
        A label that is no text is known by its text.

    Attributes
    ----------
    index : pandas.Index
        Row labels.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.index = frame.index
        self._frame = frame
        self._labels = frame.columns.tolist()
        self._present = list(map(str, self._labels))
        self._taken: dict[str, pd.Series[Any]] = {}

    def columns(
        self,
        names: Iterable[str],
        what: str,
        remedies: Mapping[str, Sequence[str]] = _NO_REMEDIES,
    ) -> dict[str, "pd.Series[Any]"]:
        """Columns by their names; `what` and `remedies` as for `read`."""
        wanted = list(names)
        _check_names(wanted, self._present, what, remedies)
        return {name: self._column(name) for name in wanted}

    def _column(self, name: str) -> "pd.Series[Any]":
        if name not in self._taken:
            place = self._present.index(name)
            text = type(self._labels[place]) is str
            column = self._frame[name] if text else self._frame.iloc[:, place]
            self._taken[name] = column if _COPY_ON_WRITE else column.copy()
        return self._taken[name]


def read(
    data: object,
    names: Iterable[str],
    what: str = "the formula uses",
    remedies: Mapping[str, Sequence[str]] = _NO_REMEDIES,
) -> Table:
    """Read columns of a data frame.

    Parameters
    ----------
    data : data frame, or mapping of str to sequence
        pandas, polars, a pyarrow Table, or anything else that narwhals reads; a lazy frame is
        collected after its columns are chosen.
    names : iterable of str
        Columns to read.
    what : str
        For messages: who wants the columns.
    remedies : mapping of str to sequence of str, optional
        For messages: sentences that say what to do where a column is absent.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        For a column that is not there, is there twice, holds infinite values, or holds neither
        numbers nor categories.
    ArgumentTypeError
        If `data` is not a data frame.
    """
    names = list(dict.fromkeys(names))
    if isinstance(data, pd.DataFrame):
        data = Taken(data)
    if isinstance(data, Taken):
        series = data.columns(names, what, remedies)
        return Table({name: _column(name, series[name], False) for name in names}, data.index)
    frame, sort = to_pandas(data, names, what, remedies)
    return Table({name: _column(name, frame[name], name in sort) for name in names}, frame.index)


def number_label(value: float) -> str:
    """Write a number as a level: 308 rather than 308.0."""
    number = float(value)
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    return repr(number)


def level_label(level: object) -> str:
    """Write a level as text."""
    if type(level) is str:
        return level
    if isinstance(level, (bool, np.bool_)):
        return str(bool(level))
    if isinstance(level, (int, np.integer)):
        return str(int(level))
    if isinstance(level, (float, np.floating)):
        return number_label(float(level))
    if isinstance(level, (pd.Timestamp, datetime.datetime)):
        stamp = pd.Timestamp(level)
        return str(stamp.date()) if stamp == stamp.normalize() else str(stamp)
    return str(level)


def where(rows: Array, index: pd.Index) -> str:
    """Name the rows of a mask: "3 rows (4, 7, 12)"."""
    at = np.flatnonzero(rows)
    shown = ", ".join(str(index[i]) for i in at[:_SHOWN_ROWS])
    more = ", ..." if len(at) > _SHOWN_ROWS else ""
    return f"{len(at)} row{'s' * (len(at) != 1)} ({shown}{more})"


def to_pandas(
    data: object, names: list[str], what: str, remedies: Mapping[str, Sequence[str]] = _NO_REMEDIES
) -> tuple[pd.DataFrame, set[str]]:
    """Choose columns as a pandas frame, and say which categoricals have no order of their own."""
    if isinstance(data, pd.DataFrame):
        return framed(Taken(data).columns(names, what, remedies), data.index), set()
    if isinstance(data, Mapping):
        _check_names(names, [str(name) for name in data], what, remedies)
        return _from_mapping({name: data[name] for name in names}), set()
    try:
        frame = nw.from_native(data)  # type: ignore[call-overload]
    except TypeError:
        raise ArgumentTypeError(
            "data is a data frame (pandas, polars, pyarrow or another that narwhals reads) or a "
            f"dictionary of columns, not {type(data).__name__}"
        ) from None
    schema = frame.collect_schema()
    _check_names(names, schema.names(), what, remedies)
    frame = frame.select(names)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    # The order of a polars Categorical is that of first appearance anywhere in the process.
    unordered = frame.implementation.is_polars()
    sort = {name for name in names if unordered and schema[name] == nw.Categorical}
    return frame.to_pandas(), sort


def framed(series: Mapping[str, "pd.Series[Any]"], index: pd.Index) -> pd.DataFrame:
    """Columns side by side, copied."""
    return pd.DataFrame({name: column.array for name, column in series.items()}, index=index)


def _from_mapping(columns: dict[str, Any]) -> pd.DataFrame:
    series = {}
    for name, column in columns.items():
        native = nw.from_native(column, series_only=True, pass_through=True)
        values = native.to_pandas() if isinstance(native, nw.Series) else column
        if np.ndim(values) != 1:
            raise DataError(
                f"{name!r} is not a column: a dictionary of columns holds one-dimensional arrays "
                "or lists of equal length"
            )
        # Series of a dictionary stand side by side by position, whatever index they carry.
        series[name] = pd.Series(values, copy=False).reset_index(drop=True)
    lengths = {name: len(column) for name, column in series.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"the columns have different lengths: {lengths}")
    return pd.DataFrame(series, copy=False)


def _check_names(
    wanted: list[str], present: list[str], what: str, remedies: Mapping[str, Sequence[str]]
) -> None:
    for name in wanted:
        count = present.count(name)
        if count > 1:
            raise DataError(f"{count} columns are called {name!r}; rename all but one")
    missing = [name for name in wanted if name not in present]
    if not missing:
        return
    there = ", ".join(map(repr, present[:_SHOWN_NAMES])) or "none"
    if len(present) > _SHOWN_NAMES:
        there += f" and {len(present) - _SHOWN_NAMES} more"
    questions = [(name, did_you_mean(name, present)) for name in missing]
    parts = [
        f"the data have no column{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}, which "
        f"{what}; their columns: {there}.",
        *(
            question if len(missing) == 1 else f"For {name!r}: {question[0].lower()}{question[1:]}"
            for name, question in questions
            if question
        ),
        *dict.fromkeys(sentence for name in missing for sentence in remedies.get(name, ())),
    ]
    raise DataError(" ".join(parts))


def _column(name: str, series: "pd.Series[Any]", sort: bool) -> Column:
    if isinstance(series.dtype, pd.ArrowDtype):
        arrow_type = series.dtype.pyarrow_dtype
        if pa.types.is_dictionary(arrow_type):
            series = pa.chunked_array(series.array.__arrow_array__()).to_pandas()
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(name, series, sort)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        return _numbers(name, series.to_numpy(), series.index)
    missing = series.isna().to_numpy(dtype=bool)
    if is_bool_dtype(dtype):
        return _booleans(name, series, missing)
    if is_complex_dtype(dtype):
        raise DataError(f"column {name!r} holds complex numbers; choose its real part or modulus")
    if is_numeric_dtype(dtype):
        if dtype.kind in "iu" and not missing.any():
            return _numbers(name, series.to_numpy(dtype=np.int64), series.index)
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        return _numbers(name, values, series.index)
    if isinstance(dtype, pd.DatetimeTZDtype) or dtype.kind in "Mm":
        return _factorized(name, series, missing, "date")
    if isinstance(dtype, pd.StringDtype) or dtype == "string":
        return _factorized(name, series, missing, "category")
    return _objects(name, series, missing)


def _numbers(name: str, values: Array, index: pd.Index) -> Column:
    missing = np.isnan(values)
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"column {name!r} is infinite in {where(infinite, index)}; correct these values "
            "or make them missing"
        )
    return Column(name, "number", values, (), missing)


def _booleans(name: str, series: "pd.Series[Any]", missing: Array) -> Column:
    codes = np.full(len(series), -1, dtype=np.int32)
    codes[~missing] = series[~missing].to_numpy(dtype=bool)
    return Column(name, "category", codes, (False, True), missing)


def _categorical(name: str, series: "pd.Series[Any]", sort: bool) -> Column:
    codes = series.array.codes.astype(np.int32)
    levels = tuple(series.array.categories.tolist())
    column = Column(name, "category", codes, levels, codes < 0)
    if not sort:
        return column
    order = sorted(range(len(levels)), key=lambda i: levels[i])
    return _reordered(column, order)


def _factorized(name: str, series: "pd.Series[Any]", missing: Array, kind: str) -> Column:
    codes, uniques = pd.factorize(series)
    levels = uniques.tolist()
    order = sorted(range(len(levels)), key=lambda i: levels[i])
    return _reordered(Column(name, kind, codes.astype(np.int32), tuple(levels), missing), order)


def _reordered(column: Column, order: list[int]) -> Column:
    rank = np.empty(len(order) + 1, dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    rank[-1] = -1
    levels = tuple(column.levels[i] for i in order)
    return Column(column.name, column.kind, rank[column.values], levels, column.missing)


def _objects(name: str, series: "pd.Series[Any]", missing: Array) -> Column:
    present = series[~missing]
    types = set(map(type, present))
    if not types:
        return Column(name, "number", np.full(len(series), np.nan), (), missing)
    if types <= {str, np.str_}:
        return _factorized(name, series, missing, "category")
    if types <= {bool, np.bool_}:
        return _booleans(name, series, missing)
    if all(issubclass(t, (datetime.date, datetime.timedelta)) for t in types):
        return _factorized(name, series, missing, "date")
    if all(issubclass(t, (int, float, np.number, decimal.Decimal)) for t in types) and not any(
        issubclass(t, (bool, np.complexfloating)) for t in types
    ):
        return _numbers(name, series.astype(np.float64).to_numpy(), series.index)
    found = ", ".join(sorted(t.__name__ for t in types))
    raise DataError(
        f"column {name!r} holds values of type {found}; a column holds numbers, text, booleans, "
        "categories or dates, and one kind only. Convert it first."
    )


def _drop_unused(column: Column) -> Column:
    """Drop levels that no row has; the order of the others stays."""
    if column.kind == "number":
        return column
    known = column.values[~column.missing] if column.missing.any() else column.values
    used = np.bincount(known, minlength=len(column.levels)) > 0
    if used.all():
        return column
    rank = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
    levels = tuple(level for level, here in zip(column.levels, used, strict=True) if here)
    return Column(column.name, column.kind, rank[column.values], levels, column.missing)
