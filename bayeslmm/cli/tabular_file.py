"""Data files that the command line takes, read into a frame; decisions about columns are said."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from bayeslmm.errors import DataError, FileError
from bayeslmm.support.memory import require_memory

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["read_file"]

_MISSING = ("", "NA", "NaN", "nan")
"""What is missing in CSV. Words such as "None" and "null" can be labels, and stay."""
_NUMBER = 8
"""Bytes of a number."""
_BATCH = 1000
"""Rows of text that are unpacked at once where rows with the same text do not share it."""
_FEWER = "keep the columns that the model uses, or fewer rows"


def read_file(path: str) -> tuple[pd.DataFrame, list[str]]:
    """Read a CSV or Parquet file.

    Parameters
    ----------
    path : str
        With suffix ``.csv`` or ``.parquet``. CSV is separated by commas, in UTF-8, with names in
        its first line; a column of numbers is read as numbers, except codes with leading zeros,
        which stay text.

    Returns
    -------
    pandas.DataFrame
    notes : list of str
        What a reader of the file should know: cells read as missing, codes kept as text.

    Raises
    ------
    FileError
        If the file is missing, is not what its suffix says, or has a suffix that is not known.
    DataError
        If it has no rows, or two columns of the same name.
    """
    file = Path(path)
    if file.suffix.lower() not in (".csv", ".parquet"):
        raise FileError(
            f"{path!r} should be a CSV or Parquet file, with a name that ends in .csv or .parquet; "
            f"it ends in {file.suffix!r}. Save the data in one of these formats."
        )
    if os.path.isdir(file):
        raise FileError(f"{path!r} is a folder; name a .csv or .parquet file in it.")
    if not os.path.exists(file):
        raise FileError(f"there is no file {path!r}; give the path of a .csv or .parquet file.")
    data, notes = _parquet(file) if file.suffix.lower() == ".parquet" else _csv(file)
    if not len(data):
        raise DataError(
            f"{path!r} has no rows of data, only the columns {', '.join(map(repr, data.columns))}."
        )
    return data, notes


def _parquet(file: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd
    import pyarrow as pa

    try:
        _require_room(file)
        return pd.read_parquet(file), []
    except FileError:
        raise
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        raise FileError(f"{str(file)!r} cannot be read as a Parquet file: {error}") from error


def _require_room(file: Path) -> None:
    """Refuse a Parquet file that would fill the memory when it is unpacked: a constant column of
    any length takes a few bytes in such a file, and so does a long text in every row.
    """
    import pyarrow.parquet as pq

    size = pq.read_metadata(file)
    chunks = [
        size.row_group(i).column(j)
        for i in range(size.num_row_groups)
        for j in range(size.num_columns)
    ]
    what = f"{str(file)!r}, of {size.num_rows:,} rows and {size.num_columns} columns,"
    numbers = 2 * sum(chunk.num_values for chunk in chunks)
    numbers += sum(chunk.total_uncompressed_size for chunk in chunks) // _NUMBER
    require_memory(numbers, what, _FEWER, FileError)
    text = {chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"}
    # pyarrow does not hold texts once that share their beginnings, or stand in lists
    packed = {c.path_in_schema for c in chunks if "DELTA_BYTE_ARRAY" in c.encodings}
    packed |= {name for name in text if "." in name}
    with pq.ParquetFile(file, read_dictionary=sorted(text - packed)) as opened:
        for name in sorted(text):
            unpacked = 0
            # where each text is held once it takes no more room than its part of the file
            rows = _BATCH if name in packed else max(size.num_rows, 1)
            for batch in opened.iter_batches(rows, columns=[name]):
                unpacked += sum(map(_bytes_of_text, batch.columns))
                require_memory(
                    numbers + unpacked // _NUMBER,
                    f"{what} whose text in {name!r} has {unpacked / 1e9:,.3g} GB or more,",
                    _FEWER,
                    FileError,
                )


def _bytes_of_text(column: pa.Array) -> int:
    """Bytes that texts take, or lists of them, each as often as it is there; 0 of other columns."""
    import pyarrow as pa
    import pyarrow.compute as pc

    while isinstance(column, pa.ListArray | pa.LargeListArray):
        column = column.flatten()
    packed = isinstance(column, pa.DictionaryArray)
    texts = column.dictionary if packed else column
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    if not any(of_kind(texts.type) for of_kind in kinds):
        return 0
    lengths = pc.binary_length(texts)
    return pc.sum(lengths.take(column.indices) if packed else lengths).as_py() or 0


def _csv(file: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    if not file.stat().st_size:
        raise FileError(f"{str(file)!r} is empty; its first line should name the columns.")
    try:
        names = _header(file)
        with warnings.catch_warnings():
            # A row with more cells than names would lose some of them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            data = pd.read_csv(
                file,
                keep_default_na=False,
                na_values=list(_MISSING),
                index_col=False,
                low_memory=False,
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        raise FileError(
            f"{str(file)!r} is not text in UTF-8 ({error.reason} at byte {error.start}); save it "
            "as a CSV file in UTF-8."
        ) from error
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise FileError(
            f"{str(file)!r} cannot be read as CSV: {' '.join(str(error).split())}. Every row needs "
            "as many cells as the first line has names, separated by commas."
        ) from error
    except OSError as error:
        raise FileError(f"{str(file)!r} cannot be read: {error.strerror}.") from error
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(
            f"{str(file)!r} has several columns called {twice[0]!r}; rename all but one."
        )
    if len(names) == 1 and any(mark in names[0] for mark in ";\t"):
        raise FileError(
            f"{str(file)!r} has one column, {names[0]!r}, and seems to be separated by semicolons "
            "or tabs; save it with commas, and with points in numbers."
        )
    return _with_codes(file, data)


def _header(file: Path) -> list[str]:
    import csv

    with file.open(encoding="utf-8-sig", newline="") as text:
        return next(csv.reader(text), [])


def _with_codes(file: Path, data: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Take codes with leading zeros back as the text that they are, and count missing cells."""
    import pandas as pd

    notes = []
    whole = [name for name in data.columns if _is_whole(data[name])]
    if whole:
        text = pd.read_csv(
            file,
            usecols=whole,
            dtype="str",
            keep_default_na=False,
            encoding="utf-8-sig",
            index_col=False,
        )
        for name in whole:
            padded = text[name].str.match(r"\s*[+-]?0\d")
            if padded.any():
                data[name] = text[name].where(~text[name].isin(_MISSING))
                notes.append(
                    f"column {name!r} has codes with leading zeros such as "
                    f"{text[name][padded].iloc[0]!r} and is read as text"
                )
    for name in data.columns:
        count = int(data[name].isna().sum())
        if count:
            notes.append(
                f"column {name!r} has {count} empty or NA cell{'s' * (count != 1)}, read as missing"
            )
    return data, notes


def _is_whole(column: pd.Series) -> bool:
    import numpy as np

    if column.dtype.kind in "iu":
        return True
    # Whole numbers with missing cells arrive as floats.
    values = column.dropna().to_numpy() if column.dtype.kind == "f" else np.empty(0)
    return bool(len(values) and np.all(values == np.floor(values)))
