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

from bayeslmm.errors import ArgumentTypeError, DataError, UnknownColumnError, did_you_mean
from bayeslmm.support.arrays import Array

COPY_ON_WRITE = int(pd.__version__.partition(".")[0]) >= 3
"""Whether writing to a frame leaves the columns alone that were taken from it."""
_LARGEST = float(np.finfo(np.float64).max)
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
        The numbers, or for a category the codes of the levels, -1 where missing. Whole numbers are
        integers, 0 where missing; numbers of several types that double precision would not tell
        apart are Python objects.
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
    frame : pandas.DataFrame
        As given.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.index = frame.index
        self.frame = frame
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
            column = self.frame[name] if text else self.frame.iloc[:, place]
            self._taken[name] = column if COPY_ON_WRITE else column.copy()
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
    if number.is_integer() and abs(number) < 2**64:
        return str(int(number))
    return repr(number)


def check_told_apart(values: Array, what: str) -> None:
    """Refuse floats that are whole numbers beyond those that their precision tells apart.

    A file or a frame in which one is missing makes such floats of ids, and neighbours become one.
    Few digits, as in 1e16, are a measurement rather than an id.

    Raises
    ------
    DataError
        Naming the first one.
    """
    if values.dtype.kind != "f":
        return
    precision = np.finfo(values.dtype)
    whole = 2.0 ** (precision.nmant + 1)
    for value in values[np.abs(values) >= whole]:
        if len(np.format_float_scientific(value, trim="-").strip("-").split("e")[0]) > (
            precision.precision + 1
        ):
            raise DataError(
                f"{what} holds the whole number {float(value):.0f} as a floating-point number, and "
                f"from {whole:.0f} on these do not tell neighbours apart, so that different levels "
                "may have become one; read the data again with whole numbers or text, such as "
                "pd.read_csv(..., dtype={'id': 'Int64'})"
            )


def from_least(values: Array) -> Array:
    """Numbers as float64; whole ones that double precision does not hold less the least of them, so
    that their distances stay exact.
    """
    doubles = _doubles(values)
    if values.dtype.kind == "f" or not len(values) or np.abs(doubles).max() < 2.0**53:
        return doubles
    exact = values.astype(object)
    return np.asarray(exact - exact.min()).astype(np.float64)


def same_labels(a: pd.Index, b: pd.Index) -> bool:
    """Whether rows have the same labels in the same order; pandas compares integers with floats as
    floats.
    """
    return bool(a.equals(b)) and (a.dtype == b.dtype or a.tolist() == b.tolist())


def _doubles(values: Array) -> Array:
    return values.astype(np.float64, copy=False)


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
    if isinstance(level, decimal.Decimal):
        return _decimal_label(level)
    if isinstance(level, (pd.Timestamp, datetime.datetime)):
        stamp = pd.Timestamp(level)
        return str(stamp.date()) if stamp == stamp.normalize() else str(stamp)
    return str(level)


def _decimal_label(value: decimal.Decimal) -> str:
    """Write a decimal as the same number of another type, without zeros at its end."""
    if value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    if decimal.Decimal(repr(float(value))) == value:
        return number_label(float(value))
    text = f"{value:f}"
    return text.rstrip("0") if "." in text else text


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
    pandas = _to_pandas(frame)
    # The order of a polars Categorical is that of first appearance anywhere in the process.
    unordered = frame.implementation.is_polars()
    sort = {name for name in names if unordered and schema[name] == nw.Categorical}
    return pandas, sort


def _to_pandas(frame: "nw.DataFrame[Any]") -> pd.DataFrame:
    """A frame of another library; pandas would make floats of whole numbers beside missing ones."""
    if frame.implementation.is_pandas_like():
        return frame.to_pandas()
    whole = [name for name, dtype in frame.schema.items() if dtype.is_integer()]
    pandas = frame.drop(whole).to_pandas() if len(whole) < len(frame.columns) else pd.DataFrame()
    columns = {
        name: _series_to_pandas(frame[name]) if name in whole else pandas[name]
        for name in frame.columns
    }
    return pd.DataFrame(columns, copy=False)


def _series_to_pandas(series: "nw.Series[Any]") -> "pd.Series[Any]":
    if series.dtype == nw.Int128:  # which Arrow does not have
        return pd.Series(series.to_list(), dtype=object)
    if series.implementation.is_pandas_like() or not series.dtype.is_integer():
        return series.to_pandas()
    if not series.null_count():
        return series.to_pandas()
    nullable = pd.api.types.pandas_dtype(str(series.dtype))  # narwhals has pandas' names: "Int64"
    return series.to_arrow().to_pandas(types_mapper=lambda _: nullable)


def framed(series: Mapping[str, "pd.Series[Any]"], index: pd.Index) -> pd.DataFrame:
    """Columns side by side, copied."""
    return pd.DataFrame({name: column.array for name, column in series.items()}, index=index)


def _from_mapping(columns: dict[str, Any]) -> pd.DataFrame:
    series = {}
    for name, column in columns.items():
        native = nw.from_native(column, series_only=True, pass_through=True)
        values = _series_to_pandas(native) if isinstance(native, nw.Series) else column
        if np.ndim(values) != 1:
            raise DataError(
                f"{name!r} is not a column: a dictionary of columns holds one-dimensional arrays "
                "or lists of equal length"
            )
        try:
            own = pd.Series(values, copy=False)
        except UnicodeEncodeError:  # half a character, which Arrow does not hold
            own = pd.Series(values, dtype=object)
        if own.dtype.kind == "f" and not hasattr(values, "dtype"):
            own = pd.Series(values, dtype=object)  # floats may have been whole numbers
        # Series of a dictionary stand side by side by position, whatever index they carry.
        series[name] = own.reset_index(drop=True)
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
    raise UnknownColumnError(" ".join(parts))


def _column(name: str, series: "pd.Series[Any]", sort: bool) -> Column:
    if isinstance(series.dtype, pd.ArrowDtype):
        arrow_type = series.dtype.pyarrow_dtype
        if pa.types.is_dictionary(arrow_type) or pa.types.is_decimal(arrow_type):
            series = pa.chunked_array(series.array.__arrow_array__()).to_pandas()
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _categorical(name, series, sort)
    if isinstance(dtype, np.dtype) and dtype.kind in "iuf":
        values = series.to_numpy()
        return _numbers(name, _doubles(values) if dtype.itemsize > 8 else values, series.index)
    try:
        missing = series.isna().to_numpy(dtype=bool)
    except decimal.InvalidOperation:
        raise DataError(
            f"column {name!r} holds signalling NaN among decimals; make them missing"
        ) from None
    if is_bool_dtype(dtype):
        return _booleans(name, series, missing)
    if is_complex_dtype(dtype):
        raise DataError(f"column {name!r} holds complex numbers; choose its real part or modulus")
    if is_numeric_dtype(dtype):
        if dtype.kind in "iu":
            whole = np.uint64 if dtype.kind == "u" else np.int64
            values = series.to_numpy(dtype=whole, na_value=whole(0))
            return Column(name, "number", values, (), missing)
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
    try:
        order = sorted(range(len(levels)), key=lambda i: levels[i])
    except TypeError:
        raise DataError(
            f"column {name!r} holds dates or durations of several kinds that cannot be ordered, "
            "such as with and without a time zone; make them one kind"
        ) from None
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
        return _number_objects(name, present, missing, series.index)
    found = ", ".join(sorted(t.__name__ for t in types))
    raise DataError(
        f"column {name!r} holds values of type {found}; a column holds numbers, text, booleans, "
        "categories or dates, and one kind only. Convert it first."
    )


def _number_objects(
    name: str, present: "pd.Series[Any]", missing: Array, index: pd.Index
) -> Column:
    """Numbers of any types: as integers or doubles where these hold them, else as they are."""
    numbers = np.empty(len(missing), dtype=object)
    numbers[missing] = 0
    numbers[~missing] = [_python_number(value) for value in present]
    beyond = np.array([not abs(number) <= _LARGEST for number in numbers], dtype=bool)
    if beyond.any():
        raise DataError(
            f"column {name!r} is infinite or beyond {_LARGEST:.3g} in {where(beyond, index)}; "
            "correct these values or make them missing, or convert the column to text if it holds "
            "ids"
        )
    if all(isinstance(number, int) for number in numbers):
        try:
            return Column(name, "number", numbers.astype(np.int64), (), missing)
        except OverflowError:
            return Column(name, "number", numbers, (), missing)
    if all(_is_double(number) for number in numbers):
        values = np.where(missing, np.nan, numbers).astype(np.float64)
        return Column(name, "number", values, (), missing)
    return Column(name, "number", numbers, (), missing)


def _python_number(value: Any) -> int | float | decimal.Decimal:
    if isinstance(value, decimal.Decimal):
        # the exponent is looked at first: 1E+999999 has a million digits as a whole number
        small = value.is_finite() and value.adjusted() < 400
        return int(value) if small and value == value.to_integral_value() else value
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def _is_double(number: Any) -> bool:
    """Whether its double stands for this number alone: equal, or the nearest to its digits."""
    if isinstance(number, decimal.Decimal):
        return decimal.Decimal(repr(float(number))) == number
    return isinstance(number, float) or float(number) == number


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
