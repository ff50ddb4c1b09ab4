"""Which columns of X belong to which term of the formula, and how its factors are coded in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayeslmm.support.arrays import Array

__all__ = ["Component", "TermColumns", "term_columns"]


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """A variable or call in a term, such as a in a:b.

    Attributes
    ----------
    name : str
    width : int
        The number of its columns.
    coding : (levels, width) array or None
        Of a factor; with as many columns as levels it codes each of them, with fewer it leaves out
        the constant. None for numbers.
    """

    name: str
    width: int
    coding: Array | None


@dataclass(frozen=True, slots=True, eq=False)
class TermColumns:
    """The columns of a term.

    Attributes
    ----------
    name : str
        "a:b"; "Intercept" for the intercept.
    start, stop : int
        Its columns, before dependent ones are left out of X.
    components : tuple of Component
        None of the intercept. The columns are products of theirs, the last changing fastest.
    """

    name: str
    start: int
    stop: int
    components: tuple[Component, ...]

    @property
    def names(self) -> frozenset[str]:
        """Names of its components."""
        return frozenset(component.name for component in self.components)

    @property
    def numbers(self) -> frozenset[str]:
        """Names of its components that are numbers."""
        return frozenset(c.name for c in self.components if c.coding is None)

    def within(self, other: TermColumns) -> bool:
        """Whether it is contained in another term: that has all of its components and more, the
        same numbers among them. This is SAS's rule, and lmerTest's.
        """
        return self.names < other.names and self.numbers == other.numbers


def term_columns(terms: Iterable[Any]) -> tuple[TermColumns, ...]:
    """Read the columns from evaluated terms of formulae."""
    out, at = [], 0
    for term in terms:
        stop = at + len(term.labels)
        components = tuple(map(_component, getattr(term, "components", ())))
        out.append(TermColumns(term.name, at, stop, components))
        at = stop
    return tuple(out)


def _component(component: Any) -> Component:
    if component.kind == "categoric":
        coding = np.asarray(component.contrast_matrix.matrix, dtype=np.float64)
        return Component(component.name, coding.shape[1], coding)
    return Component(component.name, len(component.labels), None)
