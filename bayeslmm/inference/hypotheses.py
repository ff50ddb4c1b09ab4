"""Linear functions of the coefficients, as users write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.inference.grammar import parse_expression

if TYPE_CHECKING:
    from bayeslmm.support.arrays import Array

__all__ = ["read_functions"]


def read_functions(L: object, coef: Sequence[str]) -> tuple[list[str], Array]:
    """Read linear functions of the coefficients.

    Parameters
    ----------
    L : dict, DataFrame, str, sequence of str, sequence of dict, or array_like
        ``{"Days": 7}`` is one function; ``{"a week": {"Days": 7}, ...}`` names several; a list has
        one or more in each dict; a frame has a column for each coefficient that counts; a Series is
        by its names, as a dict is; a text is a sum of coefficients, ``"A - B"``, or ``"A = B"``;
        an array has a number for each coefficient, one row for each function.
    coef : sequence of str, length p

    Returns
    -------
    names : list of str, length m
    functions : (m, p) array

    Raises
    ------
    ArgumentTypeError
        For anything else.
    ArgumentError
        For unknown names, numbers that are not finite, an array of another shape, and functions
        without any coefficient.
    """
    coef = list(coef)
    if isinstance(L, str):
        L = [L]
    if _are(L, Mapping):
        L = _by_name(cast("Sequence[Mapping[str, object]]", L))
    if isinstance(L, pd.DataFrame):
        L = {str(name): row.dropna().to_dict() for name, row in L.iterrows()}
    if isinstance(L, pd.Series):
        L = L.to_dict()  # by its names, whatever their order
    if isinstance(L, Mapping):
        several = any(isinstance(value, Mapping) for value in L.values())
        rows = L if several else {_words(L): L}
        names = [str(name) for name in rows]
        functions = np.array([_row(name, row, coef) for name, row in rows.items()])
    elif _are(L, str):
        names = list(cast("Sequence[str]", L))
        functions = np.array([_of_text(text, coef) for text in names])
    else:
        functions = _array(L, coef)
        names = [_words(dict(zip(coef, row, strict=True))) for row in functions]
    if not len(functions):
        raise ArgumentError(f"`L` has no functions; give one of the coefficients {coef}.")
    for name, row in zip(names, functions, strict=True):
        if not np.isfinite(row).all():
            raise ArgumentError(f"the function {name!r} has weights that are no finite numbers.")
        if not row.any():
            raise ArgumentError(
                f"the function {name!r} has a weight of zero for every coefficient, so that there "
                "is nothing to estimate."
            )
    return names, functions


def _are(L: object, kind: type) -> bool:
    """Whether it is a list of some kind of things."""
    return isinstance(L, Sequence) and len(L) > 0 and all(isinstance(own, kind) for own in L)


def _by_name(L: Sequence[Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
    """Functions of a list, each of which is {"Days": 7} or {"a week": {"Days": 7}}."""
    rows: dict[str, Mapping[str, object]] = {}
    for own in L:
        named = any(isinstance(value, Mapping) for value in own.values())
        for name, row in (own if named else {_words(own): own}).items():
            if name in rows:
                raise ArgumentError(f"the function {name!r} is in the list twice; give it once.")
            rows[name] = row  # type: ignore[assignment]
    return rows


def _of_text(text: str, coef: list[str]) -> Array:
    """The weights of the coefficients in "A - B", or in "A = B"."""
    names = {name: name for name in coef} | {f"beta[{name}]": name for name in coef}
    linear = parse_expression(text, names).linear
    if linear is None or linear[1]:
        raise ArgumentError(
            f"the function {text!r} should be a sum of coefficients and their multiples, without a "
            "constant, which is for `rhs`; `fit.hypothesis` takes others too."
        )
    return np.array([linear[0].get(name, 0.0) for name in coef])


def _row(name: object, weights: object, coef: list[str]) -> Array:
    if not isinstance(weights, Mapping):
        raise ArgumentTypeError(
            f"the function {name!r} should be a dict of coefficients and weights such as "
            f"{{{coef[-1]!r}: 1}}, got {weights!r}."
        )
    row = np.zeros(len(coef))
    for key, weight in weights.items():
        known = str(key).removeprefix("beta[")
        known = known.removesuffix("]") if known != str(key) else known
        if known not in coef:
            raise ArgumentError(unknown_name("coefficient", key, coef))
        if isinstance(weight, bool) or not isinstance(weight, Real):
            raise ArgumentTypeError(f"the weight of {key!r} should be a number, got {weight!r}.")
        row[coef.index(known)] += float(weight)
    return row


def _array(L: object, coef: list[str]) -> Array:
    try:
        array = np.asarray(L, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            "`L` should be a dict such as {'Days': 1}, names of coefficients, or an array of "
            f"numbers; got {L!r}."
        ) from None
    array = np.atleast_2d(array)
    if array.ndim != 2 or array.shape[1] != len(coef):
        raise ArgumentError(
            f"`L` has the shape {array.shape}; each function needs {len(coef)} numbers, one for "
            f"each of the coefficients {coef}."
        )
    return array


def _words(weights: Mapping[str, object]) -> str:
    """A function in words: "Machine[B] - Machine[C]"."""
    text = ""
    for name, weight in weights.items():
        if not isinstance(weight, Real) or weight == 0:
            continue
        size = abs(float(weight))
        sign = "-" if weight < 0 else "+"
        text += f" {sign} " if text else ("-" if weight < 0 else "")
        text += f"{name}" if size == 1 else f"{size:g} {name}"
    return text or "0"
