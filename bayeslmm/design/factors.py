"""Grouping factors on the data: their levels, bars and effects."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bayeslmm.covariance.relationship import Relationship
from bayeslmm.covariance.shapes import Shape
from bayeslmm.covariance.structures import Covariance
from bayeslmm.support.arrays import Array

__all__ = ["BarBlock", "GroupingFactor", "read_only", "within"]


@dataclass(frozen=True, slots=True)
class BarBlock:
    """The effects of one bar within a grouping factor.

    Attributes
    ----------
    start, stop : int
        Its columns of `GroupingFactor.Z`.
    covariance : Covariance
        The structure of the effects' covariance matrix.
    structure : str
        "un", "diag" or "id"; "shaped" for any other, which `shape` then is.
    text : str
        The bar as written.
    label : str
        Short name of its effects, without the intercept of more: "Days", "Machine", "Intercept".
    shape : Shape or None
    occasion : str or None
        The column that is alone on the left side of the bar.
    left : str
        That side, with its intercept written: "1 + Days".
    stratum : str
        The stratum of levels whose effects they are; empty for all levels. A bar of the formula
        with ``by`` or `VarIdent` makes a block for each.
    of_sds, of_correlations : str
        The stratum by those columns alone whose values have standard deviations of their own, and
        by ``by`` alone, whose values have all other parameters of their own.
    by : str
        The columns whose values are the strata; empty for all levels.
    like, sds_like : int or None
        The position, among the bars of the factor, of an earlier stratum's whose other parameters,
        and whose standard deviations, are those of this one too. None for the first of these.
    """

    start: int
    stop: int
    covariance: Covariance
    structure: str
    text: str
    label: str
    shape: Shape | None
    occasion: str | None = None
    left: str = ""
    stratum: str = ""
    of_sds: str = ""
    of_correlations: str = ""
    by: str = ""
    like: int | None = None
    sds_like: int | None = None

    @property
    def slice(self) -> builtins.slice:
        """The columns of the bar in `GroupingFactor.Z`."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True, eq=False)
class GroupingFactor:
    """A grouping factor with the effects of all its bars.

    Attributes
    ----------
    name : str
        Its columns joined by ":", as in "Block:Variety".
    columns : tuple of str
        Columns of the data whose combinations are the levels.
    levels : tuple of str
        Levels that occur, in order.
    codes : ndarray of int32, shape (n,)
        Level of every row.
    Z : ndarray of float64, shape (n, q), C-contiguous
        Values of the effects.
    effects : tuple of str, length q
        Names of the effects.
    bars : tuple of BarBlock
        Blocks of effects that can be correlated.
    related : Relationship or None
        The known relationship K of the levels, u ~ N(0, G ⊗ K); None for independent ones.
    own : ndarray of bool, shape (levels, q), or None
        Which effects each level has, where strata of levels have effects of their own; None where
        all have all.
    """

    name: str
    columns: tuple[str, ...]
    levels: tuple[str, ...]
    codes: Array
    Z: Array = field(repr=False)
    effects: tuple[str, ...]
    bars: tuple[BarBlock, ...]
    related: Relationship | None = None
    own: Array | None = None

    def __repr__(self) -> str:
        effects = ", ".join(self.effects) or "no effects"
        return f"GroupingFactor {self.name}: {len(self.levels)} levels of {effects}"

    def __post_init__(self) -> None:
        # Z goes into compiled code, of which read-only arrays would need a second version
        object.__setattr__(self, "codes", read_only(self.codes))

    @property
    def plain(self) -> tuple[str, ...]:
        """The names of the effects without their strata; (q,)."""
        return tuple(
            effect.removeprefix(f"{bar.stratum}, ") if bar.stratum else effect
            for bar in self.bars
            for effect in self.effects[bar.slice]
        )

    @property
    def structures(self) -> tuple[Covariance, ...]:
        """The covariance structure of each bar of the formula."""
        return tuple({bar.text: bar.covariance for bar in self.bars}.values())

    def has(self, effect: int) -> Array:
        """Whether the level of each row has an effect; (n,)."""
        if self.own is None:
            return np.ones(len(self.codes), dtype=bool)
        return np.asarray(self.own[self.codes, effect])

    def between(self, rows: Array) -> Array:
        """The relationship K of the levels of some rows (m, m): 1 where they are the same, else 0,
        unless it is a known one.
        """
        codes = self.codes[rows]
        if self.related is None:
            return (codes[:, None] == codes).astype(float)
        return self.related.matrix[np.ix_(codes, codes)]

    @property
    def own_variances(self) -> Array:
        """The diagonal of K (levels,): ones unless a relationship is known."""
        return np.ones(len(self.levels)) if self.related is None else np.diag(self.related.matrix)

    def standard(self, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Array:
        """Effects (*shape, levels, effects) drawn from N(0, I ⊗ K)."""
        z = rng.standard_normal((*shape, len(self.levels), len(self.effects)))
        return z if self.related is None else self.related.root @ z


def within(stratum: str, effects: Sequence[str]) -> list[str]:
    """Effects by the names that they have in a stratum: "Male, Intercept"."""
    return [f"{stratum}, {effect}" if stratum else effect for effect in effects]


def read_only(array: Array) -> Array:
    """A view that cannot be written to: what has been derived from a design stays true."""
    view = array.view()
    view.flags.writeable = False
    return view
