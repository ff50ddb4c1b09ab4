"""Contrasts: differences, polynomials and other combinations of means, by name or by weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from bayeslmm.effects.adjust import Adjustment
from bayeslmm.errors import ArgumentError, ArgumentTypeError, unknown_name
from bayeslmm.support.arrays import Array

__all__ = ["DEFAULTS", "METHODS", "coefficients", "product_of"]

METHODS = ("pairwise", "reference", "consecutive", "poly", "effects")
DEFAULTS: dict[str, Adjustment] = {
    "pairwise": "tukey",
    "reference": "dunnett",
    "consecutive": "mvt",
    "poly": "none",
    "effects": "fdr",
}
"""The adjustments that emmeans has by default."""

_DEGREES = ("linear", "quadratic", "cubic", "quartic")
_HIGHEST = 6
"""The highest degree of polynomial contrasts, as in emmeans."""
_ROUND = 0.05
"""How far the coefficients of polynomials are from whole numbers at most."""
_ZERO = 1e-8
"""The sum of weights that counts as zero, relative to their size."""
_OPERATORS = re.compile(r"[-+*/]")


def coefficients(
    method: object, labels: Sequence[str], ref: object | None = None
) -> tuple[list[str], Array]:
    """Contrasts of k estimates.

    Parameters
    ----------
    method : str, mapping or sequence
        One of `METHODS`; or weights by name, ``{"drug": [1, -0.5, -0.5]}`` or ``{"drug": {"A": 1,
        "B": -1}}``; or one list of weights.
    labels : sequence of str
        Of the estimates.
    ref : str, optional
        The label that "reference" compares with; the first by default.

    Returns
    -------
    names : list of str, length n
    weights : (n, k) array

    Raises
    ------
    ArgumentError
        For an unknown method or label, and weights that do not sum to zero.
    """
    if ref is not None and method != "reference":
        raise ArgumentError("`ref` is for method='reference'; leave it out, or name that method.")
    if isinstance(method, str):
        if method not in METHODS:
            hint = "Or give weights, such as {'B - A': [-1, 1]}."
            raise ArgumentError(unknown_name("method of contrasts", method, METHODS, hint))
        if method == "reference":
            return _reference(labels, ref)
        return _BY_NAME[method](labels)
    if isinstance(method, Mapping):
        names = [str(name) for name in method]
        rows = [_weights(name, row, labels) for name, row in method.items()]
    else:
        names, rows = ["contrast"], [_weights("contrast", method, labels)]
    if not rows:
        raise ArgumentError("`method` has no contrasts; give at least one.")
    return names, np.array(rows)


def _weights(name: object, given: object, labels: Sequence[str]) -> Array:
    if isinstance(given, Mapping):
        row = np.zeros(len(labels))
        for label, weight in given.items():
            if str(label) not in labels:
                raise ArgumentError(unknown_name("mean", label, labels))
            row[labels.index(str(label))] = _number(name, weight)
    elif isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
        raise ArgumentTypeError(
            f"the weights of {name!r} should be a list with a number for each of {list(labels)}, "
            f"or a dict by these names; got {given!r}."
        )
    else:
        row = np.array([_number(name, weight) for weight in given])
    if len(row) != len(labels):
        raise ArgumentError(
            f"the contrast {name!r} has {len(row)} weights for {len(labels)} means; give one for "
            f"each of {list(labels)}."
        )
    if abs(row.sum()) > _ZERO * np.abs(row).sum() or not row.any():
        raise ArgumentError(
            f"the weights of the contrast {name!r} sum to {row.sum():g}; those of a contrast sum "
            "to zero and are not all zero. Combinations that are no contrasts are for "
            "`fit.contrast(L)`, by coefficients."
        )
    return row


def _number(name: object, weight: Any) -> float:
    try:
        value = float(weight)
    except (TypeError, ValueError):
        value = float("nan")
    if not np.isfinite(value):
        raise ArgumentTypeError(f"the weights of {name!r} should be numbers, got {weight!r}.")
    return value


def _in_brackets(label: str) -> str:
    """A label inside a difference; in brackets where it has an operator itself, as in emmeans."""
    return f"({label})" if _OPERATORS.search(label) else label


def _difference(a: str, b: str) -> str:
    return f"{_in_brackets(a)} - {_in_brackets(b)}"


def _pairwise(labels: Sequence[str]) -> tuple[list[str], Array]:
    first, second = np.triu_indices(len(labels), 1)
    shown = [_in_brackets(label) for label in labels]
    names = [f"{shown[i]} - {shown[j]}" for i, j in zip(first, second, strict=True)]
    weights = np.zeros((len(first), len(labels)))
    rows = np.arange(len(first))
    weights[rows, first], weights[rows, second] = 1.0, -1.0
    return names, weights


def _reference(labels: Sequence[str], ref: object | None) -> tuple[list[str], Array]:
    base = labels[0] if ref is None else str(ref)
    if base not in labels:
        raise ArgumentError(unknown_name("reference", ref, labels))
    at = list(labels).index(base)
    others = [i for i in range(len(labels)) if i != at]
    weights = np.eye(len(labels))[others]
    weights[:, at] = -1.0
    return [_difference(labels[i], base) for i in others], weights


def _consecutive(labels: Sequence[str]) -> tuple[list[str], Array]:
    names = [_difference(b, a) for a, b in pairwise(labels)]
    return names, np.diff(np.eye(len(labels)), axis=0)


def _effects(labels: Sequence[str]) -> tuple[list[str], Array]:
    k = len(labels)
    return [f"{label} effect" for label in labels], np.eye(k) - 1 / k


def _poly(labels: Sequence[str]) -> tuple[list[str], Array]:
    """Orthogonal polynomials over equidistant values, in whole numbers where they are close."""
    k = len(labels)
    degree = min(_HIGHEST, k - 1)
    basis = np.polynomial.legendre.legvander(np.linspace(-1, 1, k), degree)
    Q, R = np.linalg.qr(basis)
    weights = (Q * np.sign(np.diag(R))).T[1:]
    for row in weights:
        row /= row[row > 0.01].min()
        away = np.abs(row - row.round()).max()
        while away > _ROUND:
            row /= away
            away = np.abs(row - row.round()).max()
    names = [*_DEGREES, *(f"degree {d}" for d in range(5, degree + 1))]
    return names[:degree], weights.round()


_BY_NAME: dict[str, Callable[[Sequence[str]], tuple[list[str], Array]]] = {
    "pairwise": _pairwise,
    "consecutive": _consecutive,
    "effects": _effects,
    "poly": _poly,
}


def product_of(parts: Sequence[Array]) -> Array:
    """Contrasts of factors whose combinations have the first changing fastest."""
    weights: Array = np.ones((1, 1))
    for part in parts:
        weights = np.kron(part, weights)
    return weights
