"""Drawings of residuals and of quantiles, from plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    INK,
    ORANGE,
    finish,
    framed,
    legend,
    name_point,
    shortened,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

    from bayeslmm.support.arrays import Array

__all__ = ["draw_quantiles", "draw_residuals"]

_MANY = 1000
_GRID = 80
_NAMED = 5
"""Points that are named: the farthest from zero, or at each end those outside the band."""
_COLUMNS = 3


@dataclass(frozen=True, eq=False)
class Quantiles:
    """Sorted values beside what a normal sample of their size would have in their place.

    Attributes
    ----------
    name : str
    labels : tuple of str
    normal : (m,) array
        Quantiles of the standard normal distribution.
    value : (m,) array
    line : (m,) array
        The mean and the standard deviation of the values at these quantiles.
    lower, upper : (m,) array
        In which each order statistic of such a sample lies with a probability.
    """

    name: str
    labels: tuple[str, ...]
    normal: Array
    value: Array
    line: Array
    lower: Array
    upper: Array


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
        axis.set_xlabel(names[0])
        axis.set_ylabel(names[1])
        axis.margins(x=0.05, y=0.08)
        legend(head, [line], entries)
        figure.draw_without_rendering()
        largest = np.argsort(-np.abs(residual), kind="stable")[:_NAMED]
        _name(axis, [(labels[i], fitted[i], residual[i]) for i in largest])
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
            axis.set_title(shortened(own.name, 40))
            axis.margins(x=0.08, y=0.08)
        for axis in axes.flat[len(panels) :]:
            axis.set_axis_off()
        body.supxlabel("Normal quantile", fontsize=10.5)
        body.supylabel("Standardized value", fontsize=10.5)
        figure.draw_without_rendering()
        for axis, own in zip(axes.flat, panels, strict=False):
            beyond = np.maximum(own.value - own.upper, own.lower - own.value)
            ends = [*range(_NAMED), *range(len(beyond) - _NAMED, len(beyond))]
            outside = [i for i in dict.fromkeys(ends) if 0 <= i < len(beyond) and beyond[i] > 0]
            outside = sorted(outside, key=beyond.__getitem__, reverse=True)
            _name(axis, [(own.labels[i], own.normal[i], own.value[i]) for i in outside])
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


def _name(axis: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write labels beside points, towards the middle of the panel; not one over another."""
    left, right = axis.get_xlim()
    taken: list[Bbox] = []
    for label, x, y in points:
        side = -1 if x > (left + right) / 2 else 1
        name_point(axis, shortened(str(label), 14), (x, y), side, taken)


def local_line(x: Array, y: Array, grid: Array, share: float = 2 / 3) -> Array:
    """Local regression: at each place a line through the nearest points, the nearer the heavier.

    Tricube weights reach to the farthest of the points that count (Cleveland 1979, Journal of the
    American Statistical Association 74, 829-836, without its further steps against outliers).

    Parameters
    ----------
    x, y : (n,) arrays
    grid : (m,) array
    share : float
        Of the points that count at each place.

    Returns
    -------
    (m,) array
    """
    nearest = min(len(x) - 1, int(np.ceil(share * len(x))))
    spread = max(float(np.ptp(x)), np.finfo(float).tiny)
    out = np.empty(len(grid))
    for i, at in enumerate(grid):
        away = np.abs(x - at)
        reach = max(np.partition(away, nearest)[nearest], 1e-9 * spread) * (1 + 1e-9)
        w = np.clip(1 - (away / reach) ** 3, 0.0, None) ** 3
        w /= w.sum()
        middle, level = w @ x, w @ y
        square = w @ (x - middle) ** 2
        slope = w @ ((x - middle) * y) / square if square > (1e-6 * spread) ** 2 else 0.0
        out[i] = level + slope * (at - middle)
    return out
