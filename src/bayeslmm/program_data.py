"""Columns of a design as expressions of pandas and NumPy over a data frame named ``data``.

An expression is evaluated where it is written and compared with the design, so that it is either
right or not used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.frames import Array

__all__ = ["codes_of", "column_of", "quoted", "value_of"]

_FUNCTIONS = ("log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan")


def quoted(value: str | Sequence[str]) -> str:
    """A text, or a list of them, as Python has it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"[{', '.join(map(quoted, value))}]"


def column_of(label: str, frame: pd.DataFrame, target: Array) -> str | None:
    """An expression of a column of X or Z by its name, such as ``data["Days"]``.

    Parameters
    ----------
    label : str
        As in ``design.coef``.
    frame : pandas.DataFrame
        The rows that are used.
    target : (n,) array
        What it should be.

    Returns
    -------
    str or None
        None where there is none, as of columns that depend on the data as a whole.
    """
    if label == "Intercept":
        return "np.ones(len(data))"
    parts = [list(_candidates(part, frame)) for part in _split(label)]
    for chosen in product(*parts):
        if _agrees(" * ".join(chosen), frame, target):
            return " * ".join(chosen)
    return None


def value_of(text: str, frame: pd.DataFrame, target: Array) -> str | None:
    """An expression of a response or offset as written in a formula."""
    candidates: Iterator[str] = _candidates(text, frame)
    return next((each for each in candidates if _agrees(each, frame, target)), None)


def codes_of(columns: Sequence[str], frame: pd.DataFrame, target: Array) -> str | None:
    """An expression of rows' groups by columns of the data."""
    by = quoted(columns[0]) if len(columns) == 1 else quoted(columns)
    text = f"data.groupby({by}, observed=True)"
    return text if _agrees(f"{text}.ngroup()", frame, target) else None


def _agrees(text: str, frame: pd.DataFrame, target: Array) -> bool:
    scope = {"np": np, "data": frame, "len": len, "__builtins__": {}}
    try:
        value = np.asarray(eval(text, scope), dtype=np.float64)
    except Exception:  # whatever the expression raises, it is not used
        return False
    return value.shape == target.shape and np.allclose(value, target, rtol=1e-12, atol=0)


def _candidates(part: str, frame: pd.DataFrame) -> Iterator[str]:
    """Expressions that a factor of an interaction may be."""
    if part in frame.columns:
        yield f"data[{quoted(part)}]"
    level = re.fullmatch(r"(.+?)\[(.*)\]", part)
    if level:
        name = re.sub(r"^C\((.*?)(,.*)?\)$", r"\1", level[1])
        if name in frame.columns:
            yield f"(data[{quoted(name)}] == {quoted(level[2])})"
            if re.fullmatch(r"-?\d+(\.\d*)?|True|False", level[2]):
                yield f"(data[{quoted(name)}] == {level[2]})"
        return  # a level is data, and data are never evaluated
    yield _as_python(part, frame)


def _as_python(text: str, frame: pd.DataFrame) -> str:
    """An expression of the formula language in Python's."""

    def replaced(match: re.Match[str]) -> str:
        name = match[0]
        if name in frame.columns:
            return f"data[{quoted(name)}]"
        return f"np.{name}" if name in _FUNCTIONS else name

    python = re.sub(r"(?<![\w.'\"])[^\W\d]\w*", replaced, text)
    inner = re.fullmatch(r"I(\(.*\))", python)
    return inner[1] if inner else python


def _split(label: str) -> list[str]:
    """The factors of an interaction, "a:b", where no bracket is open."""
    parts, depth = [""], 0
    for character in label:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == ":" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
