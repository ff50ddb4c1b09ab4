"""The variance model of a bar's structure: the strata of levels that it tells apart, and ratios of
standard deviations between levels of a column.

A `VarIdent` on G is of columns that are constant within the levels of the grouping factor, of the
column of occasions that the effects of the bar are those of, or of an interaction of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.structures import VarExp, VarIdent, VarPower
from bayeslmm.data.frames import where
from bayeslmm.data.levels import group, match
from bayeslmm.errors import DataError, DesignError
from bayeslmm.formula.parsing import columns_of
from bayeslmm.formula.tokens import quote

if TYPE_CHECKING:
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.data.frames import Table
    from bayeslmm.data.levels import Grouping
    from bayeslmm.formula.parsing import Bar
    from bayeslmm.support.arrays import Array

__all__ = ["EffectVariances", "Ratio", "Strata", "lone_column", "ratios_of", "strata_of"]

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class EffectVariances:
    """What the standard deviations of a bar's effects depend on.

    Attributes
    ----------
    structure : Covariance
    occasion : str or None
        The column that is alone on the left side of the bar.
    """

    structure: Covariance
    occasion: str | None

    @classmethod
    def of(cls, bar: Bar, structure: Covariance) -> EffectVariances:
        """The variance model of a bar with a structure."""
        return cls(structure, lone_column(bar))

    @property
    def several(self) -> bool:
        """Whether each effect has a standard deviation of its own."""
        leading = self.structure.leading
        by_occasion = isinstance(leading, VarIdent) and self.occasion in leading.columns
        return leading == "occasion" or by_occasion

    @property
    def over_occasions(self) -> bool:
        """Whether it names the column of occasions, so that each of its values is an effect."""
        return any(
            isinstance(part, VarPower | VarExp)
            or (isinstance(part, VarIdent) and self.occasion in part.columns)
            for part in self.structure.variances
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose combinations are the strata: ``by``, and those of `VarIdent`."""
        parts = [part for part in self.structure.variances if isinstance(part, VarIdent)]
        return self._of_levels(*parts)

    @property
    def columns_of_sds(self) -> tuple[str, ...]:
        """The columns whose combinations have standard deviations of their own."""
        leading = self.structure.leading
        return self._of_levels(*[leading] if isinstance(leading, VarIdent) else [])

    @property
    def shares_correlations(self) -> bool:
        """Whether several strata have one correlation."""
        return bool(set(self.columns) - {self.structure.by})

    def _of_levels(self, *parts: VarIdent) -> tuple[str, ...]:
        names = [] if self.structure.by is None else [self.structure.by]
        names += [name for part in parts for name in part.columns if name != self.occasion]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True, slots=True, eq=False)
class Strata:
    """The combinations of columns whose levels of a grouping factor differ in covariance.

    Attributes
    ----------
    columns : tuple of str, length c
        Empty where all levels have the same covariance, which is one stratum then.
    levels : tuple of tuples of str, length c
        The values of each column.
    combinations : (strata, c) int array
        Those that occur, as positions among these values.
    """

    columns: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    combinations: Array

    @classmethod
    def of(cls, columns: tuple[str, ...], table: Table) -> Strata:
        """The strata of the rows of a table."""
        found = [group([table.columns[name]]) for name in columns]
        combinations = np.empty((1, 0), dtype=np.int64)
        if columns:
            combinations = np.unique([own.codes for own in found], axis=1).T
        return cls(columns, tuple(own.levels for own in found), combinations)

    def names(self, columns: Sequence[str]) -> list[str]:
        """Each stratum by its values of some of the columns: "Female, A"."""
        own = [i for i, name in enumerate(self.columns) if name in columns]
        return [", ".join(self.levels[i][row[i]] for i in own) for row in self.combinations]

    def codes(self, table: Table) -> Array:
        """The stratum (n,) of each row.

        Raises
        ------
        DataError
            For a row in none of them.
        """
        index, found = table.index, np.empty((len(table.index), len(self.columns)), np.int64)
        for i, (name, levels) in enumerate(zip(self.columns, self.levels, strict=True)):
            found[:, i], labels = match([table.columns[name]], levels)
            _check_seen(found[:, i] < 0, name, labels, levels, table)
        equal = (found[:, None] == self.combinations).all(axis=2)
        names = self.names(self.columns)
        unseen = ~equal.any(axis=1)
        if unseen.any():
            own = [self.levels[i][code] for i, code in enumerate(found[np.argmax(unseen)])]
            raise DataError(
                f"the new data have the stratum {', '.join(own)!r} of {' and '.join(self.columns)} "
                f"in {where(unseen, index)}, for which fitting saw no covariance; known: "
                f"{', '.join(map(repr, names))}"
            )
        return equal.argmax(axis=1)


def lone_column(bar: Bar) -> str | None:
    """The column that is alone on the left side of a bar, (0 + week | id)."""
    names = columns_of(bar.effects)
    written = (f"0 + {name}" for name in (quote(names[0]), f"`{names[0]}`")) if names else ()
    return names[0] if bar.effects in written else None


def _check_seen(
    unseen: Array, by: str, labels: Array, names: tuple[str, ...], table: Table
) -> None:
    if unseen.any():
        shown = ", ".join(map(repr, dict.fromkeys(labels[unseen])))
        raise DataError(
            f"the strata {by!r} of the new data have {shown} in {where(unseen, table.index)}, "
            f"for which fitting saw no covariance; known: {', '.join(map(repr, names))}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """Ratios of standard deviations of the levels of a `VarIdent` to those of the first.

    Attributes
    ----------
    labels : tuple of str, length m
        The levels but the first, with their column: "age[10]".
    indicators : (strata, q, m) array
        Which of them an effect is of, in each stratum.
    """

    labels: tuple[str, ...]
    indicators: Array


def strata_of(variances: EffectVariances, table: Table, grouping: Grouping) -> Strata:
    """The strata of the levels of a bar's grouping factor.

    Parameters
    ----------
    variances : EffectVariances
    table : Table
        Has the columns, in the rows that are used.
    grouping : Grouping
        The levels of the factor.

    Raises
    ------
    DataError
        For a level that lies in several strata.
    DesignError
        For a standard deviation of effects of one level.
    """
    structure, found = variances.structure, Strata.of(variances.columns, table)
    for by in found.columns:
        _check_constant(structure, by, table, grouping)
    stratum = found.codes(table)
    alone = variances.columns_of_sds
    for name in dict.fromkeys(found.names(alone)):
        own = np.array([other == name for other in found.names(alone)])
        levels = np.unique(grouping.codes[own[stratum]])
        if alone and len(levels) < 2:
            raise DesignError(
                f"the stratum {name!r} of {_given(structure, *alone)} in `G` has one level only, "
                "so its covariance cannot be estimated; join it with another stratum"
            )
    return found


def ratios_of(
    variances: EffectVariances, strata: Strata, table: Table, grouping: Grouping, Z: Array
) -> dict[VarIdent, Ratio]:
    """The ratios by which the parts of a variance model multiply standard deviations.

    Parameters
    ----------
    variances : EffectVariances
    strata : Strata
    table : Table
        Has the columns, in the rows that are used.
    grouping : Grouping
        The levels of the bar's grouping factor.
    Z : (n, q) array
        The effects of the bar.

    Raises
    ------
    DesignError
        For a ratio that is that of one level of the grouping factor.
    """
    structure, stratum, found = variances.structure, strata.codes(table), {}
    by = np.array(strata.names([structure.by] if structure.by else []))
    for part in structure.growing:
        if not isinstance(part, VarIdent):
            continue
        own = group([table.columns[name] for name in part.columns])
        cells = np.zeros((len(strata.combinations), Z.shape[1]), dtype=np.int64)
        for effect in range(Z.shape[1]):
            of_effect = variances.occasion in part.columns
            rows = np.flatnonzero(Z[:, effect]) if of_effect else np.arange(len(Z))
            cells[stratum[rows], effect] = own.codes[rows]
        for code, level in enumerate(own.levels):
            for name in dict.fromkeys(by):
                inside = (own.codes == code) & (by == name)[stratum]
                levels = len(np.unique(grouping.codes[inside]))
                if levels < 2:
                    within = f" in the stratum {str(name)!r}" if name else ""
                    raise DesignError(
                        f"{part!r} of {structure.name} in `G` asks for a ratio of standard "
                        f"deviations at {part.column}[{level}], which has {levels} levels of the "
                        f"grouping factor{within}, so that it cannot be estimated; merge levels, "
                        "or leave it out"
                    )
        found[part] = Ratio(
            tuple(f"{part.column}[{level}]" for level in own.levels[1:]),
            (cells[:, :, None] == np.arange(1, len(own.levels))).astype(np.float64),
        )
    return found


def _given(structure: Covariance, *columns: str) -> str:
    """How the strata of columns were asked for."""
    parts = [f"by={structure.by!r}"] if structure.by in columns else []
    parts += [
        f"VarIdent({part.column!r})"
        for part in structure.variances
        if isinstance(part, VarIdent) and set(part.columns) & set(columns)
    ]
    return " with ".join(parts)


def _check_constant(structure: Covariance, by: str, table: Table, grouping: Grouping) -> None:
    found = group([table.columns[by]])
    home = np.empty(len(grouping.levels), dtype=np.int64)
    home[grouping.codes] = found.codes
    astray = np.flatnonzero(home[grouping.codes] != found.codes)
    if len(astray):
        code = grouping.codes[astray[0]]
        level = grouping.levels[code]
        several = [found.levels[c] for c in np.unique(found.codes[grouping.codes == code])]
        raise DataError(
            f"{_given(structure, by)} of {structure.name} in `G` gives strata of levels a "
            f"covariance each, so it should be constant within a level, and the level {level!r} "
            f"has {', '.join(map(repr, several[:_SHOWN]))}; use a column that is, or a grouping "
            "factor whose levels lie within its strata, or the column of occasions before the bar"
        )
