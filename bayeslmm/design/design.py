"""`Design`: the response and the matrices of a model, and what it has learned from the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayeslmm.design.factors import GroupingFactor, read_only
from bayeslmm.design.residuals import Residuals
from bayeslmm.design.strata import Strata
from bayeslmm.errors import ArgumentError, unknown_name
from bayeslmm.formula.parsing import Formula
from bayeslmm.formula.terms import Expression, Terms
from bayeslmm.support.arrays import Array
from bayeslmm.support.visible import visible

__all__ = ["Design", "Learned"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Learned:
    """What a design learned from its data.

    Attributes
    ----------
    fixed : Terms
        Fixed effects, all columns.
    kept : ndarray of int
        Columns of the fixed effects that X has.
    bars : tuple of Terms
        Left sides of the bars, in the order of the formula.
    strata : tuple of Strata
        Those of each bar.
    offsets : tuple of Expression
        Offsets.
    levels : dict of str to tuple or None
        Levels of every predictor or grouping column in order; None for a column of numbers.
    """

    fixed: Terms
    kept: Array
    bars: tuple[Terms, ...]
    strata: tuple[Strata, ...]
    offsets: tuple[Expression, ...]
    levels: dict[str, tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Design:
    """A formula evaluated on data; made by `compile_design`.

    Attributes
    ----------
    formula : Formula
        The formula.
    response : str
        The response as written, "log(y)".
    y : ndarray of float64, shape (n,)
        Response. Offsets are not subtracted.
    X : ndarray of float64, shape (n, p), C-contiguous
        Fixed effects, of full column rank.
    coef : tuple of str, length p
        Names of the columns of X.
    dropped : tuple of str
        Names of the columns left out of X because others determine them.
    factors : tuple of GroupingFactor
        In order of first appearance.
    weights : ndarray of float64, shape (n,), or None
        Positive; the residual variance of a row is divided by its weight.
    offset : ndarray of float64, shape (n,), or None
        Sum of the offsets, in the units of the response.
    residuals : Residuals or None
        The structure of R; None for variance σ²/weights.
    index : pandas.Index, length n
        Labels of the rows that are used.
    n_dropped : int
        Rows left out because a value is missing.
    missing : dict of str to int
        Missing values per variable, of variables that have some.
    learned : Learned
        What evaluates new data: levels, contrasts and the state of transforms.
    """

    formula: Formula
    response: str
    y: Array
    X: Array
    coef: tuple[str, ...]
    dropped: tuple[str, ...]
    factors: tuple[GroupingFactor, ...]
    weights: Array | None
    offset: Array | None
    residuals: Residuals | None
    index: pd.Index
    n_dropped: int
    missing: dict[str, int]
    learned: Learned

    def __post_init__(self) -> None:
        # weights go into compiled code, as Z does
        for name in ("y", "X"):
            object.__setattr__(self, name, read_only(getattr(self, name)))
        if self.offset is not None:
            object.__setattr__(self, "offset", read_only(self.offset))

    @property
    def y_less_offset(self) -> Array:
        """The response less its offset, which coefficients and effects have to explain; (n,)."""
        return self.y if self.offset is None else self.y - self.offset

    def factor(self, name: object) -> GroupingFactor:
        """A grouping factor by its name.

        Parameters
        ----------
        name : str

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name.
        """
        for factor in self.factors:
            if factor.name == name:
                return factor
        names = [factor.name for factor in self.factors]
        raise ArgumentError(unknown_name("grouping factor", name, names))

    def factor_or_only(self, group: str | None) -> GroupingFactor:
        """A grouping factor by its name, which can be left out where there is one only.

        Parameters
        ----------
        group : str or None

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name; without a name, if there are several or none.
        """
        if not self.factors:
            raise ArgumentError(
                f"the model {self.formula.text!r} has no grouping factors; add a term such as "
                "(1 | g)."
            )
        if group is not None or len(self.factors) == 1:
            return self.factors[0] if group is None else self.factor(group)
        names = [factor.name for factor in self.factors]
        raise ArgumentError(f"`group` is needed where there are several: one of {names}.")

    def grouping(self, group: str | None) -> GroupingFactor:
        """A grouping factor, or the subjects of R as one without effects.

        Parameters
        ----------
        group : str or None
            Not needed where there is one.

        Returns
        -------
        GroupingFactor

        Raises
        ------
        ArgumentError
            If there is none of that name; without a name, if there are several or none.
        """
        subjects = None if self.residuals is None else self.residuals.subjects
        if self.residuals is None or subjects is None:
            return self.factor_or_only(group)
        name, names = str(self.residuals.structure.group), [own.name for own in self.factors]
        if name in names or (group is None and names) or group in names:
            return self.factor_or_only(group)
        if group not in (None, name):
            raise ArgumentError(unknown_name("grouping factor", group, [*names, name]))
        nothing = np.empty((len(self.y), 0))
        return GroupingFactor(name, (name,), subjects.levels, subjects.codes, nothing, (), ())

    def __repr__(self) -> str:
        n, p = self.X.shape
        lines = [f"Design of {self.formula.text}", f"  {n} rows, {p} fixed effects"]
        for factor in self.factors:
            effects = ", ".join(factor.effects)
            lines.append(f"  {factor.name}: {len(factor.levels)} levels of {effects}")
        if self.n_dropped:
            counts = ", ".join(f"{name} {count}" for name, count in self.missing.items())
            lines.append(f"  {self.n_dropped} rows dropped; missing values: {counts}")
        if self.dropped:
            lines.append(f"  dropped from X: {', '.join(self.dropped)}")
        return visible("\n".join(lines), keep="\n")
