"""A data frame as arrays and text that a netCDF file can hold, and back, dtypes and order kept.

Numbers are stored as they are, text as codes of its distinct values, categories as codes of a
column of their own. Text goes into JSON with everything but ASCII escaped, which keeps characters
that HDF5's strings cannot hold. Nothing is pickled.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from bayeslmm.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["frame_from_dataset", "frame_to_dataset"]

type Spec = dict[str, Any]

_PLAIN = frozenset(
    f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)
) | frozenset(("float32", "float64", "bool"))
_NULLABLE = {
    "boolean": "bool",
    "Float32": "float32",
    "Float64": "float64",
    **{
        f"{kind}{bits}": f"{kind.lower()}{bits}"
        for kind in ("Int", "UInt")
        for bits in (8, 16, 32, 64)
    },
}
_TEXT = ("str", "string")


def frame_to_dataset(frame: pd.DataFrame) -> xr.Dataset:
    """Write a frame as variables of one dimension each, described in the attribute ``frame``.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns of numbers, booleans, text, categories, dates, nullable numbers, or objects of
        these; any row index of such labels.

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    FileError
        For a column or row labels of another type.
    """
    arrays: dict[str, np.ndarray] = {}
    columns = [
        {"name": _name(name), "values": _encode(frame.iloc[:, i], f"column{i}", arrays)}
        for i, name in enumerate(frame.columns)
    ]
    spec = {"columns": columns, "index": _encode_index(frame.index, arrays)}
    return xr.Dataset(
        {key: (f"{key}_row", values) for key, values in arrays.items()},
        attrs={"frame": json.dumps(spec)},
    )


def frame_from_dataset(dataset: xr.Dataset) -> pd.DataFrame:
    """Read what `frame_to_dataset` has written.

    Parameters
    ----------
    dataset : xarray.Dataset

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    KeyError, ValueError, TypeError, IndexError
        If the description and the arrays do not fit together.
    """
    spec = json.loads(dataset.attrs["frame"])
    arrays = {str(key): values.to_numpy() for key, values in dataset.data_vars.items()}
    index = _decode_index(spec["index"], arrays)
    columns = [_decode(column["values"], arrays) for column in spec["columns"]]
    if any(len(column) != len(index) for column in columns):
        raise ValueError("columns of different lengths")
    frame = pd.DataFrame({i: column.array for i, column in enumerate(columns)}, index=index)
    frame.columns = pd.Index([column["name"] for column in spec["columns"]])
    return frame


def _name(name: Hashable) -> Hashable:
    if isinstance(name, np.generic):
        name = name.item()
    if name is None or isinstance(name, str | int | float):
        return name
    raise FileError(
        f"the name {name!r} of type {type(name).__name__} cannot be stored; use text, or drop the "
        "labels of the rows with data.reset_index(drop=True)"
    )


def _encode(series: pd.Series[Any], key: str, arrays: dict[str, np.ndarray]) -> Spec:
    """Put a column's arrays under names that begin with `key`, and describe it."""
    dtype, name = series.dtype, str(series.dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        arrays[f"{key}_codes"] = series.cat.codes.to_numpy()
        categories = dtype.categories.to_series()
        levels = _encode(categories, f"{key}_categories", arrays)
        return {"kind": "category", "key": key, "levels": levels, "ordered": bool(dtype.ordered)}
    if isinstance(dtype, pd.IntervalDtype):
        interval = pd.IntervalIndex(series.array)
        left = _encode(interval.left.to_series(), f"{key}_left", arrays)
        right = _encode(interval.right.to_series(), f"{key}_right", arrays)
        return {"kind": "interval", "left": left, "right": right, "closed": interval.closed}
    if name in _PLAIN:
        arrays[key] = series.to_numpy()
        return {"kind": "number", "key": key, "dtype": name}
    if name in _NULLABLE:
        missing = series.isna().to_numpy(dtype=bool)
        arrays[f"{key}_missing"] = missing
        filled = series.fillna(False if name == "boolean" else 0)
        arrays[key] = filled.to_numpy(dtype=_NULLABLE[name])
        return {"kind": "nullable", "key": key, "dtype": name}
    if isinstance(dtype, pd.ArrowDtype):
        return _encode(_without_arrow(series), key, arrays)
    if name in _TEXT:
        codes, texts = pd.factorize(series)
        arrays[key] = codes.astype(np.int32)
        return {"kind": "text", "key": key, "dtype": name, "levels": texts.tolist()}
    if isinstance(dtype, pd.DatetimeTZDtype):
        arrays[key] = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().view(np.int64)
        return {
            "kind": "date",
            "key": key,
            "dtype": f"datetime64[{dtype.unit}]",
            "tz": str(dtype.tz),
        }
    if dtype.kind in "mM":
        arrays[key] = series.to_numpy().view(np.int64)
        return {"kind": "date", "key": key, "dtype": name, "tz": None}
    if name == "object":
        return {"kind": "object", "values": [_scalar(value, series) for value in series]}
    raise FileError(
        f"the column {series.name!r} of type {name} cannot be stored; convert it to numbers, text "
        "or categories before fitting"
    )


def _without_arrow(series: pd.Series[Any]) -> pd.Series[Any]:
    """The same values in pandas' own nullable types."""
    import pyarrow as pa

    converted = pa.chunked_array(series.array.__arrow_array__()).to_pandas()
    if series.isna().any() and converted.dtype.kind == "f" and series.dtype.kind in "iu":
        converted = series.astype("UInt64" if series.dtype.kind == "u" else "Int64")
    return converted.set_axis(series.index).rename(series.name)


def _scalar(value: object, series: pd.Series[Any]) -> object:
    """A Python value as JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool | int | float | str):
        return value
    raise FileError(
        f"{series.name!r} holds {value!r} of type {type(value).__name__}, which cannot be stored; "
        "convert the column to numbers, text, categories or datetime64 before fitting"
    )


def _decode(spec: Spec, arrays: dict[str, np.ndarray]) -> pd.Series[Any]:
    kind = spec["kind"]
    if kind == "number" and spec["dtype"] in _PLAIN:
        return pd.Series(arrays[spec["key"]].astype(spec["dtype"], copy=False))
    if kind == "nullable" and spec["dtype"] in _NULLABLE:
        missing = arrays[f"{spec['key']}_missing"].astype(bool)
        return pd.Series(arrays[spec["key"]]).astype(spec["dtype"]).mask(missing)
    if kind == "text" and spec["dtype"] in _TEXT:
        levels = np.array([*spec["levels"], None], dtype=object)
        return pd.Series(levels[arrays[spec["key"]]], dtype=spec["dtype"])
    if kind == "date":
        dates = pd.Series(arrays[spec["key"]].view(spec["dtype"]))
        return dates.dt.tz_localize("UTC").dt.tz_convert(spec["tz"]) if spec["tz"] else dates
    if kind == "object":
        objects = [np.nan if value is None else value for value in spec["values"]]
        return pd.Series(objects, dtype=object)
    if kind == "interval":
        left, right = _decode(spec["left"], arrays), _decode(spec["right"], arrays)
        return pd.Series(pd.IntervalIndex.from_arrays(left, right, closed=spec["closed"]))
    if kind == "category":
        categories = pd.Index(_decode(spec["levels"], arrays))
        codes = arrays[f"{spec['key']}_codes"]
        return pd.Series(pd.Categorical.from_codes(codes, categories, ordered=spec["ordered"]))
    raise ValueError(f"unknown kind of column {kind!r}")


def _encode_index(index: pd.Index, arrays: dict[str, np.ndarray]) -> Spec:
    names = [_name(name) for name in index.names]
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "names": names}
    labels = [
        _encode(index.get_level_values(i).to_series(), f"index{i}", arrays)
        for i in range(index.nlevels)
    ]
    return {"labels": labels, "names": names}


def _decode_index(spec: Spec, arrays: dict[str, np.ndarray]) -> pd.Index:
    if "range" in spec:
        start, stop, step = spec["range"]
        return pd.RangeIndex(start, stop, step, name=spec["names"][0])
    labels = [pd.Index(_decode(label, arrays)) for label in spec["labels"]]
    if len(labels) == 1:
        return labels[0].rename(spec["names"][0])
    return pd.MultiIndex.from_arrays(labels, names=spec["names"])
