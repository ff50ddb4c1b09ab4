"""Tables of results for papers and pages: frames as LaTeX and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslmm.errors import ArgumentTypeError
from bayeslmm.support.arrays import Array
from bayeslmm.support.pages import DIGITS, decimals, numbers, orders
from bayeslmm.support.visible import visible

__all__ = ["to_latex", "to_markdown"]

_MISSING = "--"
_ESTIMATES = ["estimate", "std_error", "lower", "upper"]
_STYLES = {
    **dict.fromkeys(("df", "den_df", "aic", "aicc", "bic", "loglik", "deviance"), ".1f"),
    **dict.fromkeys(("t", "F", "chi2"), ".2f"),
    **dict.fromkeys(("ess_bulk", "ess_tail"), ".0f"),
    "r_hat": ".3f",
}
"""How statistics are written, where four digits of the smallest would be too many."""
_TESTS = frozenset({"t", "F", "chi2"})
"""Columns that make `p` a p value; of a cross-validation it is a number of parameters."""
_SMALLEST_P = 1e-3

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # after the end of a row a bracket would begin an option
        "[": "{[}",
        "]": "{]}",
        **{character: rf"\{character}" for character in "_%&#${}"},
    }
)
_MARKDOWN = str.maketrans({character: rf"\{character}" for character in r"\`*_[]<>|&~$"})
_POWER = re.compile(r"(.+)e([+-]\d+)")


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table as it is shown.

    Attributes
    ----------
    header : str
    cells : sequence of str
    numeric : bool
        Whether the cells are numbers, which stand at the right; others are names.
    """

    header: str
    cells: Sequence[str]
    numeric: bool

    @property
    def side(self) -> str:
        """Where the cells stand, "l" or "r"."""
        return "r" if self.numeric else "l"


def to_latex(frame: pd.DataFrame) -> str:
    r"""Write a table of results as LaTeX, with rounded numbers and names that LaTeX can read.

    Parameters
    ----------
    frame : pandas.DataFrame
        What `summary`, `fixef`, `varcorr`, `anova`, `contrast`, `compare` and others return, or a
        part of it. An estimate has the decimals that its standard error needs; p values below
        0.001 are written as such.

    Returns
    -------
    str
        A ``tabular`` with the rules of the package booktabs.

    Raises
    ------
    ArgumentTypeError
        For anything but a frame.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> print(bl.to_latex(model.fit("reml").anova()))
    \begin{tabular}{lrrrr}
    \toprule
    term & num\_df & den\_df & F & p \\
    \midrule
    Days & 1 & 17.0 & 45.85 & $< 0.001$ \\
    \bottomrule
    \end{tabular}
    """
    columns = _columns(frame)
    header = " & ".join(_latex_name(column.header) for column in columns)
    cells = [map(_latex_number if c.numeric else _latex_name, c.cells) for c in columns]
    rows = [" & ".join(row) + r" \\" for row in zip(*cells, strict=True)]
    sides = "".join(column.side for column in columns)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{sides}}}",
            r"\toprule",
            rf"{header} \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def to_markdown(frame: pd.DataFrame) -> str:
    r"""Write a table of results as Markdown, with rounded numbers and escaped names.

    Parameters
    ----------
    frame : pandas.DataFrame
        As in `to_latex`.

    Returns
    -------
    str
        A table with bars, as GitHub, Jupyter, Quarto and pandoc read it.

    Raises
    ------
    ArgumentTypeError
        For anything but a frame.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> print(bl.to_markdown(model.fit("reml").anova()))
    | term | num\_df | den\_df | F | p |
    | :-- | --: | --: | --: | --: |
    | Days | 1 | 17.0 | 45.85 | < 0.001 |
    """
    columns = _columns(frame)
    header = [_markdown_name(column.header) for column in columns]
    rule = ["--:" if column.numeric else ":--" for column in columns]
    cells = [c.cells if c.numeric else map(_markdown_name, c.cells) for c in columns]
    rows = [header, rule, *zip(*cells, strict=True)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _columns(frame: pd.DataFrame) -> list[_Column]:
    """The index and the columns of a frame, rounded; an index that only counts is left out."""
    if not isinstance(frame, pd.DataFrame):
        raise ArgumentTypeError(
            f"`frame` should be a pandas frame, such as fit.summary(), got {type(frame).__name__}."
        )
    found = []
    if not isinstance(frame.index, pd.RangeIndex):
        for position, name in enumerate(frame.index.names):
            labels = frame.index.get_level_values(position)
            found.append(_Column(_text(name), [_text(label) for label in labels], numeric=False))
    shown = _estimates(frame) if set(_ESTIMATES) <= set(frame) else {}
    tested = not _TESTS.isdisjoint(frame.columns)
    names: list[Any] = list(frame.columns)  # tuples where they have several levels
    for position, name in enumerate(names):
        values = frame.iloc[:, position]
        header = ", ".join(map(_text, name)) if isinstance(name, tuple) else _text(name)
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            found.append(_Column(header, [_text(value) for value in values], numeric=False))
            continue
        cells = shown.get(name)
        if cells is None:
            cells = _rounded(name, values.to_numpy(dtype=float, na_value=np.nan), tested)
        found.append(_Column(header, cells, numeric=True))
    return found


def _text(value: Any) -> str:
    """A label; nothing where there is none."""
    missing = pd.api.types.is_scalar(value) and pd.isna(value)
    return "" if missing else str(value)


def _estimates(frame: pd.DataFrame) -> dict[object, list[str]]:
    """The four columns of estimates: each row has the decimals that its standard error needs."""
    rows = []
    for row in frame[_ESTIMATES].to_numpy(dtype=float, na_value=np.nan):
        low, digits = orders(row[1:2])[0], DIGITS - 1
        if low is None:  # on the boundary, or held
            low, digits = orders(row)[0], DIGITS
        style = decimals(low, orders(row)[1], digits)
        rows.append([_MISSING if np.isnan(value) else f"{value:{style}}" for value in row])
    return dict(zip(_ESTIMATES, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}


def _rounded(name: object, values: Array, tested: bool) -> list[str]:
    """The numbers of another column."""
    if name == "p" and tested:
        return [_p_value(p) for p in values]
    finite = values[np.isfinite(values)]
    style = ".0f" if (finite == np.round(finite)).all() else _STYLES.get(str(name))
    if style is None or (np.abs(finite) >= 10**8).any():
        return numbers(values, _MISSING)
    return [_MISSING if np.isnan(value) else f"{value:{style}}" for value in values]


def _p_value(p: float) -> str:
    if np.isnan(p):
        return _MISSING
    return f"< {_SMALLEST_P:g}" if p < _SMALLEST_P else f"{p:.3f}"


def _latex_name(text: str) -> str:
    return visible(text).translate(_LATEX)


def _latex_number(text: str) -> str:
    """A number; in mathematics where it has a sign, a power of ten or infinity."""
    power = _POWER.fullmatch(text)
    if power is not None:
        return rf"${power[1]} \times 10^{{{int(power[2])}}}$"
    shown = text.replace("inf", r"\infty")
    return f"${shown}$" if shown != _MISSING and shown[0] in "-<\\" else shown


def _markdown_name(text: str) -> str:
    return visible(text).translate(_MARKDOWN)
