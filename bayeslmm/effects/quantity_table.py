"""A frame of estimates that prints with the definition of what is estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import pandas as pd

from bayeslmm.solutions.point import no_draws
from bayeslmm.support.arrays import Array
from bayeslmm.support.pages import Lines, Page, Table, as_html, as_text, numbers

if TYPE_CHECKING:
    from xarray import DataArray

__all__ = ["QuantityTable"]


class QuantityTable(pd.DataFrame):
    """A frame with a row for each quantity, and what defines it.

    Everything that pandas makes of it, such as a selection of rows, is a frame without the
    definition.

    Attributes
    ----------
    definition : str
        What the quantities are, and how their intervals were made.
    draws : xarray.DataArray
        Their values at each draw of a posterior: ``chain``, ``draw`` and the index.
    """

    _metadata: ClassVar[list[str]] = ["_name", "_title", "_definition", "_method", "_draws"]
    _name: str
    _title: str
    _definition: str
    _method: str
    _draws: Array | None

    @classmethod
    def of(
        cls,
        frame: pd.DataFrame,
        *,
        name: str,
        title: str,
        definition: str,
        method: str,
        draws: Array | None = None,
    ) -> Self:
        """A frame with the name of its draws, its title, its definition, the method of the fit and
        the draws (chain, draw, row) of its rows.
        """
        table = cls(frame)
        table._name, table._title, table._definition = name, title, definition
        table._method, table._draws = method, draws
        return table

    @property
    def _constructor(self) -> type[pd.DataFrame]:
        return pd.DataFrame

    @property
    def definition(self) -> str:
        """What the quantities are, and how their intervals were made."""
        return self._definition

    @property
    def draws(self) -> DataArray:
        """The values at each draw of a posterior.

        Raises
        ------
        MissingAttributeError
            Of a point estimate, which has none.
        """
        if self._draws is None:
            raise no_draws(self._method)
        import xarray as xr

        coords: dict[str, Any] = {str(self.index.names[-1]): self.index.get_level_values(-1)}
        dim = str(self.index.names[-1])
        if self.index.nlevels > 1:
            dim, coords = "row", {"row": [", ".join(map(str, label)) for label in self.index]}
        dims = ("chain", "draw", dim)
        return xr.DataArray(self._draws, coords=coords, dims=dims, name=self._name)

    def _page(self) -> Page:
        labels = [
            tuple(map(str, label if isinstance(label, tuple) else (label,))) for label in self.index
        ]
        values = [self[name].to_numpy() for name in self.columns]
        cells = [numbers(own) if own.dtype.kind == "f" else own for own in values]
        body = zip(labels, zip(*cells, strict=True), strict=True)
        rows = tuple((*label, *map(str, row)) for label, row in body)
        header = (*("" if name is None else str(name) for name in self.index.names), *self.columns)
        lines = tuple((line, "") for line in self._definition.splitlines())
        return Table(f"{self._title}:", header, rows, self.index.nlevels), Lines(lines)

    def __repr__(self) -> str:
        return as_text(self._page())

    def _repr_html_(self) -> str:
        return as_html(self._page())
