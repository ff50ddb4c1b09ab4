"""The hypotheses about each term that types 1, 2 and 3 of an analysis of variance test.

Each is a matrix L with which L beta = 0 says that the term has no effect. F depends on the row
space of L alone; Satterthwaite's degrees of freedom depend a little on the rows, which are
lmerTest's: of types 1 and 2 those of Doolittle's factor of X'X, of type 3 differences of levels
from the first.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.errors import DesignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.design.design import Design
    from bayeslmm.formula.term_columns import Component, TermColumns
    from bayeslmm.support.arrays import Array

__all__ = ["type_contrasts"]

_SEED = 19_841
_ROWS_EACH = 2
_ZERO = 1e-10


def type_contrasts(design: Design, kind: int) -> dict[str, Array]:
    """The hypothesis matrix (rows, p) of each term of X but the intercept.

    Parameters
    ----------
    design : Design
    kind : {1, 2, 3}
        1 adjusts each term for those before it; 2 for all that do not contain it; 3 for all others,
        with factors at the mean of their levels, each counted once.

    Raises
    ------
    DesignError
        Of type 3, if columns were left out of X: the means over all levels are then not estimable.
    """
    terms = design.learned.fixed.terms
    tested = [term for term in terms if term.components]
    if kind == 3:
        return _third(design, tested)
    columns = {
        term.name: [i for i, j in enumerate(design.learned.kept) if term.start <= j < term.stop]
        for term in terms
    }
    found = {}
    for term in tested:
        own = columns[term.name]
        later = [
            other
            for i, other in enumerate(terms)
            if (term.within(other) if kind == 2 else i > terms.index(term))
        ]
        last = [j for other in later for j in columns[other.name]]
        before = [j for j in range(len(design.coef)) if j not in {*own, *last}]
        if own:
            found[term.name] = _adjusted(design.X, before, own, last)
    return found


def _adjusted(X: Array, before: list[int], own: list[int], last: list[int]) -> Array:
    """What own columns explain beyond those before them, in terms of the coefficients: rows of the
    triangular factor of X with its columns in that order, with a diagonal of ones.
    """
    order = [*before, *own, *last]
    R = np.linalg.qr(X[:, order], mode="r")
    rows = R[len(before) : len(before) + len(own)]
    L = np.zeros_like(rows)
    L[:, order] = rows / np.diag(R)[len(before) : len(before) + len(own), None]
    return L


def _third(design: Design, tested: Sequence[TermColumns]) -> dict[str, Array]:
    """Coefficients of a model whose factors have contrasts that sum to zero, in terms of beta.

    X = X₀M for the columns X₀ of that model, so that its coefficients are M beta. M depends on the
    codings and not on the data: it is found from generic rows, in which every combination of levels
    within a term occurs and numbers are arbitrary.
    """
    if design.dropped:
        raise DesignError(
            f"tests of type 3 compare means over all levels, and with {design.dropped[0]!r} left "
            "out of X some of them cannot be estimated; use `type=2`, or leave out of the formula "
            "what the data cannot tell apart"
        )
    terms = design.learned.fixed.terms
    rows = _generic_rows(terms)
    X = np.hstack([_columns(term, rows, summing=False) for term in terms])
    X0 = np.hstack([_columns(term, rows, summing=True) for term in terms])
    M, _, rank, _ = np.linalg.lstsq(X0, X, rcond=None)
    assert rank == X.shape[1]  # formulae leaves the constant out only of what other terms have
    M[np.abs(M) < _ZERO] = 0.0
    return {
        term.name: reduce(np.kron, map(_differences, term.components)) @ M[term.start : term.stop]
        for term in tested
    }


def _differences(component: Component) -> Array:
    """Differences of the levels from the first, from coefficients of contrasts that sum to zero."""
    values = _summing(component)
    if values is None or values.shape[0] == values.shape[1]:
        return np.eye(component.width)
    return values[1:] - values[0]


def _generic_rows(terms: Sequence[TermColumns]) -> dict[str, Array]:
    """Levels (rows,) or numbers (rows, width) of each component."""
    rng = np.random.default_rng(_SEED)
    known = {component.name: component for term in terms for component in term.components}
    parts: dict[str, list[Array]] = {name: [] for name in known}
    for term in terms:
        shape = [len(c.coding) if c.coding is not None else c.width + 1 for c in term.components]
        cells = np.indices(shape).reshape(len(shape), -1) if shape else np.zeros((0, 1), dtype=int)
        cells = np.tile(cells, _ROWS_EACH)
        own = dict(zip([c.name for c in term.components], cells, strict=True))
        for name, component in known.items():
            n = cells.shape[1]
            if component.coding is None:
                parts[name].append(rng.standard_normal((n, component.width)))
            elif name in own:
                parts[name].append(own[name])
            else:
                parts[name].append(rng.integers(len(component.coding), size=n))
    return {name: np.concatenate(part) for name, part in parts.items()}


def _columns(term: TermColumns, rows: dict[str, Array], *, summing: bool) -> Array:
    n = len(next(iter(rows.values()), np.empty(1)))
    product = np.ones((n, 1))
    for component in term.components:
        values = rows[component.name]
        coding = _summing(component) if summing else component.coding
        if coding is not None:
            values = coding[values]
        product = (product[:, :, None] * values[:, None, :]).reshape(n, -1)
    return product


def _summing(component: Component) -> Array | None:
    """A factor's coding by contrasts that sum to zero, where it leaves out the constant."""
    coding = component.coding
    if coding is None:
        return None
    levels, width = coding.shape
    return coding if width == levels else np.vstack([np.eye(width), -np.ones(width)])
