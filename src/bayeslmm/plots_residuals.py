"""Drawings of residuals and of quantiles, from plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.plots_frame import BLUE, INK, ORANGE, finish, framed, legend, shortened, styled
from bayeslmm.smoothing import local_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bayeslmm.frames import Array
    from bayeslmm.quantiles import Quantiles

__all__ = ["draw_quantiles", "draw_residuals"]

_MANY = 1000
_GRID = 80
_NAMED = 5
"""Points outside the band, or farthest from zero, that are named."""
_COLUMNS = 3


def draw_residuals(
    fitted: Array,
    residual: Array,
    labels: Sequence[str],
    *,
    names: tuple[str, str],
    title: str,
    note: str,
) -> Figure:
    """Draw residuals against fitted values, with a smooth line.

    Parameters
    ----------
    fitted, residual : (n,) arrays
    labels : sequence of str, length n
        Of the rows; those of the largest residuals are shown.
    names : (str, str)
        Of the axes.
    title, note : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    with styled():
        entries = ["local regression"]
        figure, head, body = framed(6.4, 4.2, title, note, entries)
        axis = body.subplots()
        axis.axhline(0, color=INK, linewidth=0.8)
        _points(axis, fitted, residual)
        grid = np.linspace(fitted.min(), fitted.max(), _GRID)
        (line,) = axis.plot(
            grid, local_line(fitted, residual, grid), color=ORANGE, linewidth=1.8, zorder=4
        )
        for i in np.argsort(-np.abs(residual), kind="stable")[:_NAMED]:
            _name(axis, labels[i], fitted[i], residual[i])
        axis.set_xlabel(names[0])
        axis.set_ylabel(names[1])
        axis.margins(x=0.05, y=0.08)
        legend(head, [line], entries)
        return finish(figure)


def draw_quantiles(panels: Sequence[Quantiles], *, title: str, note: str) -> Figure:
    """Draw values against normal quantiles with a line and a band, a panel each.

    Parameters
    ----------
    panels : sequence of Quantiles
    title, note : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    width = 4.6 if columns == 1 else 3.1 * columns
    with styled():
        figure, _, body = framed(width, rows * (3.6 if columns == 1 else 2.9), title, note, [])
        axes = body.subplots(rows, columns, squeeze=False)
        for axis, own in zip(axes.flat, panels, strict=False):
            axis.fill_between(own.normal, own.lower, own.upper, color="#E4E9EE", linewidth=0)
            axis.plot(own.normal, own.line, color=INK, linewidth=1.0)
            _points(axis, own.normal, own.value)
            beyond = np.maximum(own.value - own.upper, own.lower - own.value)
            for i in np.argsort(-beyond, kind="stable")[:_NAMED]:
                if beyond[i] > 0:
                    _name(axis, own.labels[i], own.normal[i], own.value[i])
            axis.set_title(shortened(own.name, 40))
            axis.margins(x=0.08, y=0.08)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        body.supxlabel("Normal quantile", fontsize=10.5)
        body.supylabel("Value", fontsize=10.5)
        return finish(figure)


def _points(axis: Axes, x: Array, y: Array) -> None:
    many = len(x) > _MANY
    axis.scatter(
        x,
        y,
        s=5 if many else 14,
        color=BLUE,
        alpha=0.35 if many else 0.75,
        linewidths=0,
        zorder=3,
        rasterized=many,
    )


def _name(axis: Axes, label: str, x: float, y: float) -> None:
    """Write a label beside a point, towards the middle of the panel."""
    left, right = axis.get_xlim()
    side = -1 if x > (left + right) / 2 else 1
    axis.annotate(
        shortened(str(label), 14),
        (x, y),
        xytext=(4 * side, 0),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        fontsize=7.5,
        color="#666666",
    )
