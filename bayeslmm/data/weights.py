"""Observation weights: a column or an array, checked."""

import narwhals as nw
import numpy as np
import pandas as pd

from bayeslmm.data.frames import Column, Table, read, same_labels, where
from bayeslmm.errors import DataError


def read_weights(weights: object | None, data: object, table: Table) -> Column | None:
    """Read weights as a column beside those of the formula.

    Parameters
    ----------
    weights : str, array_like or None
        Name of a column of `data`, or one positive number per row; missing ones drop their row.
    data : data frame
        The data.
    table : Table
        The columns of the formula, for the rows and their labels.

    Returns
    -------
    Column or None
        Called "weights" unless it is a column of the data.

    Raises
    ------
    DataError
        For weights that are zero, negative, infinite, not numbers, or of another length.
    """
    if weights is None:
        return None
    if isinstance(weights, str):
        column = read(data, [weights], "the weights ask for").columns[weights]
    else:
        column = _array(weights, table)
    if column.kind != "number":
        raise DataError(f"the weights {column.name!r} are not numbers; they hold text or dates")
    bad = ~column.missing & (np.where(column.missing, 1, column.values) <= 0)
    if bad.any():
        lowest = np.min(column.values[bad])
        raise DataError(
            f"weights are positive, and {column.name!r} is not in {where(bad, table.index)}, the "
            f"lowest being {lowest:g}; to leave a row out remove it, or make its weight missing"
        )
    return column


def _array(weights: object, table: Table) -> Column:
    if isinstance(weights, pd.Series) and not same_labels(weights.index, table.index):
        raise DataError(
            "the weights are a pandas Series whose index is not that of the data, so it is not "
            "clear which row a weight belongs to; align them, or pass weights.to_numpy()"
        )
    series = nw.from_native(weights, series_only=True, pass_through=True)
    values = series.to_pandas() if isinstance(series, nw.Series) else weights
    array = np.asarray(values)
    n = len(table.index)
    if array.ndim != 1 or len(array) != n:
        shape = f"{len(array)} values" if array.ndim == 1 else f"the shape {array.shape}"
        raise DataError(
            "weights are one number per row of the data, before rows with missing values are "
            f"dropped: {n}; these have {shape}"
        )
    name = "weights"
    while name in table.columns:
        name += "_"
    return read({name: values}, [name]).columns[name]
