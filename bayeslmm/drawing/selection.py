"""Drawing of candidate covariance structures by their criteria."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    ORANGE,
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

__all__ = ["draw_selection"]


def draw_selection(table: pd.DataFrame, *, title: str, note: str) -> Figure:
    """Draw what `StructureSelection.table` has, the best structure at the top.

    Parameters
    ----------
    table : DataFrame
    title, note : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    sampled = "delta_elpd" in table
    names = ["ELPD below the largest"] if sampled else ["AIC", "BIC"]
    places = np.arange(len(table))[::-1]
    with styled():
        figure, head, body = framed(6.4, axis_height(len(table)), title, note, names)
        axis = body.subplots()
        axis.axvline(0, color="#777777", linewidth=1, zorder=1)
        if sampled:
            dots = [axis.scatter(table["delta_elpd"], places, color=BLUE, zorder=3)]
            error = table["delta_se"]
            axis.errorbar(table["delta_elpd"], places, xerr=error, fmt="none", ecolor=BLUE)
            axis.set_xlabel("Difference of expected log predictive densities, ± standard error")
        else:
            dots = [
                axis.scatter(table[name], places, color=color, marker=marker, zorder=3)
                for name, color, marker in (("delta_aic", BLUE, "o"), ("delta_bic", ORANGE, "D"))
            ]
            axis.set_xlabel("Difference from the smallest")
        name_levels(axis, [str(name) for name in table.index[::-1]])
        legend(head, dots, names)
        return finish(figure)
