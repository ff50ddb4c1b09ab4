"""Strata of the levels of a grouping factor, each with a covariance of its own: ``by`` in ``G``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.covariance.structures import VarIdent
from bayeslmm.data.levels import group
from bayeslmm.errors import DataError, DesignError

if TYPE_CHECKING:
    from bayeslmm.covariance.structures import Covariance
    from bayeslmm.data.frames import Table
    from bayeslmm.data.levels import Grouping
    from bayeslmm.support.arrays import Array

__all__ = ["Stratum", "strata_column", "strata_of"]

_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class Stratum:
    """One of the strata.

    Attributes
    ----------
    name : str
        Empty for all levels together.
    rows : (n,) bool array
        The rows in it.
    levels : (levels,) bool array
        The levels in it.
    """

    name: str
    rows: Array
    levels: Array

    def named(self, effects: Sequence[str]) -> list[str]:
        """Effects by the names that they have in the stratum: "Male, Intercept"."""
        return [f"{self.name}, {effect}" if self.name else effect for effect in effects]


def strata_column(structure: Covariance) -> str | None:
    """The column of a structure's strata on G: ``by``, or that of `VarIdent`; None without."""
    idents = [part.columns[0] for part in structure.variances if isinstance(part, VarIdent)]
    return next(iter(idents), structure.by)


def strata_of(
    structure: Covariance, by: str | None, table: Table, grouping: Grouping
) -> list[Stratum]:
    """The strata of a bar: one of all levels, or one for each value of a column.

    Parameters
    ----------
    structure : Covariance
    by : str or None
        The column.
    table : Table
        Has the column, in the rows that are used.
    grouping : Grouping
        The levels of the bar's grouping factor.

    Raises
    ------
    DataError
        For a level that lies in several strata.
    DesignError
        For a stratum with one level.
    """
    count = len(grouping.levels)
    if by is None:
        return [Stratum("", np.ones(len(grouping.codes), bool), np.ones(count, bool))]
    found = group([table.columns[by]])
    given = f"by={by!r}" if structure.by == by else f"VarIdent({by!r})"
    home = np.empty(count, dtype=np.int64)
    home[grouping.codes] = found.codes
    astray = np.flatnonzero(home[grouping.codes] != found.codes)
    if len(astray):
        code = grouping.codes[astray[0]]
        level = grouping.levels[code]
        several = [found.levels[c] for c in np.unique(found.codes[grouping.codes == code])]
        raise DataError(
            f"{given} of {structure.name} in `G` gives strata of levels a covariance "
            f"each, so it should be constant within a level, and the level {level!r} has "
            f"{', '.join(map(repr, several[:_SHOWN]))}; use a column that is, or a grouping factor "
            "whose levels lie within its strata"
        )
    for stratum, name in enumerate(found.levels):
        if (home == stratum).sum() < 2:
            raise DesignError(
                f"the stratum {name!r} of {given} in `G` has one level only, so its "
                "covariance cannot be estimated; join it with another stratum"
            )
    return [Stratum(name, found.codes == i, home == i) for i, name in enumerate(found.levels)]
