"""Drawing of what rows or groups do to the coefficients, from a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    INK,
    axis_height,
    finish,
    framed,
    legend,
    name_levels,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["draw_influence"]

_SHOWN, _COEFFICIENTS = 30, 6
_MARKERS = "osD^vP"


def draw_influence(table: pd.DataFrame, *, title: str, unit: str) -> Figure:
    """Draw Cook's distances and DFBETAS of the rows of a table with the greatest distances.

    Parameters
    ----------
    table : pandas.DataFrame
        Of `PointFit.influence`.
    title : str
    unit : str
        What a row of the table is.

    Returns
    -------
    matplotlib.figure.Figure
    """
    known = table[table["cooks_distance"].notna()]
    shown = known.nlargest(_SHOWN, "cooks_distance")[::-1]
    changes = shown[[name for name in table.columns if str(name).startswith("dfbetas[")]]
    largest = changes.abs().max().nlargest(_COEFFICIENTS).index
    changes = changes[[name for name in changes.columns if name in largest]]
    names = [str(name).removeprefix("dfbetas[").removesuffix("]") for name in changes.columns]
    note = f"The {len(shown)} of {len(table):,} {unit} with the greatest distances. "
    note = note if len(shown) < len(table) else ""
    note += f"Dashed: 4/m and ±2/√m, rules of thumb for m = {len(table):,}."
    with styled():
        figure, head, body = framed(8.2, axis_height(len(shown)), title, note, names)
        left, right = body.subplots(1, 2, sharey=True)
        places, distance = np.arange(len(shown)), shown["cooks_distance"].to_numpy()
        left.hlines(places, 0, distance, color=BLUE, linewidth=1.6)
        left.scatter(distance, places, color=BLUE, s=22, zorder=3)
        left.axvline(4 / len(table), color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        left.set_xlim(0, None)
        left.set_xlabel("Cook's distance")
        right.axvline(0, color=INK, linewidth=0.8)
        for edge in (-2 / np.sqrt(len(table)), 2 / np.sqrt(len(table))):
            right.axvline(edge, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
        handles = [
            right.scatter(changes[column], places, s=26, marker=marker, alpha=0.9, zorder=3)
            for column, marker in zip(changes.columns, _MARKERS, strict=False)
        ]
        right.set_xlabel("DFBETAS (change in standard errors)")
        name_levels(left, [str(label) for label in shown.index])
        legend(head, handles, names)
        return finish(figure)
