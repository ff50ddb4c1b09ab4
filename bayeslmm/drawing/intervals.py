"""Estimates with intervals, a row each, in panels of rows that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import BLUE, FAINT, finish, framed, styled
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_intervals"]

_ROW = 0.28
"""Inches of height for each row."""
_TALLEST = 60.0


def draw_intervals(
    names: Sequence[str],
    groups: Sequence[str],
    estimate: Array,
    lower: Array,
    upper: Array,
    label: str,
    reference: float | None,
    title: str,
    note: str,
) -> Figure:
    """Draw estimates with their intervals.

    Parameters
    ----------
    names, groups : sequence of str
        Of each row; rows of a group share a panel.
    estimate, lower, upper : (m,) arrays
    label : str
        Of the horizontal axis.
    reference : float or None
        Where a line is drawn.
    title, note : str
        Texts above.

    Returns
    -------
    matplotlib.figure.Figure
    """
    panels = list(dict.fromkeys(groups))
    counts = [list(groups).count(panel) for panel in panels]
    height = min(_TALLEST, 1.0 + _ROW * sum(counts) + 0.45 * len(panels))
    with styled():
        figure, _, body = framed(6.4, height, title, note, [])
        axes = body.subplots(
            len(panels),
            1,
            sharex=True,
            squeeze=False,
            height_ratios=[count + 1 for count in counts],
        )
        for axis, panel in zip(axes[:, 0], panels, strict=True):
            rows = np.array([i for i, group in enumerate(groups) if group == panel])
            y = np.arange(len(rows))
            if reference is not None:
                axis.axvline(reference, color=FAINT, zorder=0)
            axis.hlines(y, lower[rows], upper[rows], color=BLUE, linewidth=1.8)
            axis.plot(estimate[rows], y, "o", color=BLUE, markersize=5)
            axis.set_yticks(y, [names[i] for i in rows])
            axis.set_ylim(len(rows) - 0.5, -0.5)
            axis.set_title(panel, loc="left")
        axes[-1, 0].set_xlabel(label)
        return finish(figure)
