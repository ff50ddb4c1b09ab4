"""Columns of a design as expressions of pandas and NumPy over a data frame named ``data``.

The value of an expression is compared with the design, so that it is either right or not used. No
text is evaluated as code.
"""

from __future__ import annotations

import ast
import keyword
import operator
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslmm.design.variables import in_pymc, variables_in_pymc
from bayeslmm.formula.callables import ARITY

if TYPE_CHECKING:
    import pandas as pd

    from bayeslmm.specification import Specification
    from bayeslmm.support.arrays import Array

__all__ = [
    "codes_of",
    "column_of",
    "identifier",
    "names_of",
    "number",
    "numbers",
    "quoted",
    "stems_of",
    "value_of",
]

_OWN = (
    *("data", "design", "model", "coords", "range", "abs", "len", "list", "X", "y", "mu", "sd"),
    *("total", "icc", "shares", "offset", "weights", "levels", "at_means", "to_zero"),
    *("slopes", "ratio", "z", "R", "b", "centred", "level", "betaln", "gammaln"),
    *("stratum", "subject", "occasion", "order", "blocks", "rows", "cov", "C", "L", "lag"),
    *("place", "apart", "distance", "first", "proper", "i", "j", "s", "t", "correlations"),
    *("occasions", "K_R", "K_all", "C_all", "row_sigma", "formula"),
    *("np", "pm", "pt", "bl", "map", "str", "min", "max", "sorted", "float"),
)
_RESERVED = (*keyword.kwlist, *keyword.softkwlist, *_OWN)
_PREFIXES = ("", "row_", "z_", "Z_", "u_", "L_", "K_", "root_")
"""Of the variables that a program makes for a grouping factor."""


def quoted(value: str | Sequence[str]) -> str:
    """A text, or a list of them, as Python has it, in printable characters.

    Whatever ends a line, a string or a comment for some reader of the program is escaped, and so
    are characters that change the direction of writing.
    """
    if not isinstance(value, str):
        return f"[{', '.join(map(quoted, value))}]"
    return f'"{"".join(map(_escaped, value))}"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return ascii(character)[1:-1]


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
        values = [value for _, value in chosen]
        if _agrees(reduce(_product, values), target):
            return " * ".join(text for text, _ in chosen)
    return None


def value_of(text: str, frame: pd.DataFrame, target: Array) -> str | None:
    """An expression of a response or offset as written in a formula."""
    candidates = _candidates(text, frame)
    return next((each for each, value in candidates if _agrees(value, target)), None)


def codes_of(columns: Sequence[str], frame: pd.DataFrame, target: Array) -> str | None:
    """An expression of rows' groups by columns of the data."""
    by = columns[0] if len(columns) == 1 else list(columns)
    found = frame.groupby(by, observed=True).ngroup()
    return f"data.groupby({quoted(by)}, observed=True)" if _agrees(found, target) else None


def _agrees(value: object, target: Array) -> bool:
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):  # text is no column of numbers
        return False
    return numbers.shape == target.shape and np.allclose(numbers, target, rtol=1e-12, atol=0)


def _product(left: Any, right: Any) -> Any:
    try:
        return left * right
    except TypeError:
        return None


def _candidates(part: str, frame: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    """Expressions that a factor of an interaction may be, with their values."""
    if part in frame.columns:
        yield f"data[{quoted(part)}]", frame[part]
    level = re.fullmatch(r"(.+?)\[(.*)\]", part)
    if level:
        name, text = re.sub(r"^C\((.*?)(,.*)?\)$", r"\1", level[1]), level[2]
        if name in frame.columns:
            yield f"(data[{quoted(name)}] == {quoted(text)})", frame[name] == text
            if re.fullmatch(r"-?(0|[1-9][0-9]{0,300})(\.[0-9]{0,300})?|True|False", text):
                number = ast.literal_eval(text)
                yield f"(data[{quoted(name)}] == {number})", frame[name] == number
        return
    try:
        parsed = ast.parse(_as_python(part, frame), mode="eval").body
        # as the parsed expression is written, not as the text was
        yield ast.unparse(parsed), _value(parsed, frame)
    except (ArithmeticError, LookupError, SyntaxError, TypeError, ValueError):
        return  # such as of splines, which depend on the data as a whole


_OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _value(node: ast.expr, frame: pd.DataFrame) -> Any:
    """The value of an expression of columns, constants, operators and NumPy's functions."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Subscript(ast.Name("data"), ast.Constant(name)):
            return frame[name]
        case ast.BinOp(left, symbol, right) | ast.Compare(left, [symbol], [right]):
            return _OPERATORS[type(symbol)](_value(left, frame), _value(right, frame))
        case ast.UnaryOp(symbol, operand):
            return _OPERATORS[type(symbol)](_value(operand, frame))
        case ast.Call(ast.Attribute(ast.Name("np"), name), arguments, []) if f"np.{name}" in ARITY:
            return getattr(np, name)(*(_value(each, frame) for each in arguments))
    raise ValueError(f"{ast.unparse(node)} is not such an expression")


def _as_python(text: str, frame: pd.DataFrame) -> str:
    """An expression of the formula language in Python's."""

    def replaced(match: re.Match[str]) -> str:
        name = match[0]
        if name in frame.columns:
            return f"data[{quoted(name)}]"
        return f"np.{name}" if name in ARITY else name

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


def identifier(name: str) -> str:
    """A name of Python's for one of the data's, which none of the program's has."""
    plain = unicodedata.normalize("NFKC", name)  # as Python reads identifiers
    found = "".join(c if f"_{c}".isidentifier() else "_" for c in plain)
    found = unicodedata.normalize("NFKC", found)
    found = found if found.isidentifier() else f"_{found}"
    return f"{found}_" if found in _RESERVED else found


def names_of(model: Specification) -> dict[str, str]:
    """What a program calls each variable of theta, by its name as in ``variables_in_pymc``."""
    return _names(model)[0]


def stems_of(model: Specification) -> dict[str, str]:
    """What a program calls each grouping factor, by its name."""
    return _names(model)[1]


def _names(model: Specification) -> tuple[dict[str, str], dict[str, str]]:
    """What a program calls variables of theta and grouping factors.

    Names of factors become identifiers of which no two programs' variables are the same: neither
    those that are made of them, such as ``row_Subject``, nor any other.
    """
    variables = variables_in_pymc(model.parameters)
    most = max((len(variable.blocks) for variable in variables), default=0)
    most = max([most, *(len(factor.bars) for factor in model.design.factors)])
    suffixes = ("", "_at_means", *(f"_{i}" for i in range(most + 1)))
    own = {v.name: identifier(v.name) for v in variables if v.blocks[0].factor is None}
    taken = {
        f"{name}{suffix}" for name in ("beta", "L_R", "C", *own.values()) for suffix in suffixes
    }
    taken |= {*_RESERVED}
    stems = {}
    for factor in model.design.factors:
        of_factor = [v.name for v in variables if v.blocks[0].factor == factor.name]
        kinds = [name.removesuffix(in_pymc(factor.name)) for name in of_factor]
        stem = identifier(factor.name)
        while True:
            made = {f"{p}{stem}{q}" for p in (*_PREFIXES, *kinds) for q in suffixes}
            if made.isdisjoint(taken):
                break
            stem += "_"
        taken |= made
        own |= dict(zip(of_factor, (f"{kind}{stem}" for kind in kinds), strict=True))
        stems[factor.name] = stem
    return own, stems


def number(value: float) -> str:
    """A number with ten digits, more than a density needs."""
    return f"{value:.10g}"


def numbers(values: Sequence[float]) -> str:
    """One number, where all are the same, or a list."""
    if len(set(values)) == 1:
        return number(values[0])
    return f"[{', '.join(map(number, values))}]"
