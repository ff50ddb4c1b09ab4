"""Drawings of groups from plain numbers: trellis and caterpillar plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    INK,
    LABELLED,
    LINE_STYLES,
    axis_height,
    finish,
    framed,
    legend,
    name_levels,
    shortened,
    styled,
)
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "Trellis", "draw_caterpillar", "draw_spaghetti", "draw_trellis"]

_FIT = {"color": BLUE, "linewidth": 1.8}
# Two fits of one model can hardly be told apart by eye: one lies broad and pale below the other.
_TWO_FITS = ({"color": "#7FB8DB", "linewidth": 4.0}, {"color": "#00523B", "linewidth": 1.2})


@dataclass(frozen=True, slots=True)
class Panel:
    """One group of a trellis.

    Attributes
    ----------
    level : str
        Its name.
    x, y : ndarray, shape (n,)
        Its data.
    grid : ndarray, shape (m,)
        Where its lines are drawn.
    lines : dict of str to ndarray, shape (m,)
        Lines by name; NaN where a line does not exist.
    """

    level: str
    x: Array
    y: Array
    grid: Array
    lines: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Trellis:
    """Groups side by side.

    Attributes
    ----------
    panels : tuple of Panel
        One a level, all with the same names of lines.
    x_label, y_label : str
        Texts.
    note : str
        What a reader has to know about levels that are not shown; can be empty.
    categories : tuple of str
        Names of the places 0, 1, ... of a categorical x; empty for numbers.
    """

    panels: tuple[Panel, ...]
    x_label: str
    y_label: str
    note: str
    categories: tuple[str, ...]


def draw_trellis(trellis: Trellis, *, title: str) -> Figure:
    """Draw one panel a group: its data and its lines."""
    panels, categories = trellis.panels, trellis.categories
    count = len(panels)
    columns = count if count <= 4 else min(6, max(3, int(np.ceil(np.sqrt(1.5 * count)))))
    rows = -(-count // columns)
    names = ["data", *panels[0].lines]
    with styled():
        figure, head, body = framed(
            max(1.75 * columns + 0.6, 5.5), 1.6 * rows + 0.6, title, trellis.note, names
        )
        axes = body.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        styles = _line_styles(panels[0].lines)
        many = max(len(panel.x) for panel in panels) > LABELLED
        for axis, panel in zip(axes.flat, panels, strict=False):
            _draw_panel(axis, panel, styles, many=many)
        for axis in axes.flat[count:]:
            axis.set_axis_off()
        # The panel above an empty place is the last of its column.
        for column in range(columns):
            axes[(count - 1 - column) // columns, column].tick_params(labelbottom=True)
        if categories:
            _name_places(axes, categories)
        elif all(np.all(panel.x == np.round(panel.x)) for panel in panels):
            axes.flat[0].xaxis.get_major_locator().set_params(integer=True)
        body.supxlabel(trellis.x_label, fontsize=10.5)
        body.supylabel(trellis.y_label, fontsize=10.5)
        first = axes.flat[0]
        legend(head, [first.collections[0], *first.lines], names)
        return finish(figure)


def draw_spaghetti(trellis: Trellis, *, title: str) -> Figure:
    """Draw the data of all groups in one panel, joined, and their lines in another."""
    panels = trellis.panels
    (fit,) = panels[0].lines
    # a few lines can be told apart, many are a cloud
    alpha = float(np.clip(8 / len(panels), 0.15, 0.8))
    with styled():
        figure, _, body = framed(8.0, 3.9, title, trellis.note, [])
        axes = body.subplots(1, 2, sharex=True, sharey=True, squeeze=False)
        for panel in panels:
            order = np.argsort(panel.x, kind="stable")
            style = {"color": BLUE, "alpha": alpha, "linewidth": 1.1}
            dots = {"marker": "o", "markersize": 2.5, "markeredgewidth": 0}
            axes[0, 0].plot(panel.x[order], panel.y[order], **style, **dots)
            one = {"marker": "_", "markersize": 12} if len(panel.grid) == 1 else {}
            axes[0, 1].plot(panel.grid, panel.lines[fit], **style, **one)
        axes[0, 0].set_title("data")
        axes[0, 1].set_title(fit)
        if trellis.categories:
            _name_places(axes, trellis.categories)
        elif all(np.all(panel.x == np.round(panel.x)) for panel in panels):
            axes.flat[0].xaxis.get_major_locator().set_params(integer=True)
        body.supxlabel(trellis.x_label, fontsize=10.5)
        body.supylabel(trellis.y_label, fontsize=10.5)
        return finish(figure)


def draw_caterpillar(
    tables: Sequence[tuple[str, str, pd.DataFrame]], *, interval: str, title: str
) -> Figure:
    """Draw random effects with their intervals, sorted, one panel an effect.

    Parameters
    ----------
    tables : sequence of (str, str, DataFrame)
        Grouping factor, effect, and a frame with `level`, `estimate`, `lower` and `upper`.
    interval : str
        What the intervals are.
    title : str
        Text above.

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = min(len(tables), 3)
    rows = -(-len(tables) // columns)
    height = max(axis_height(len(table)) for _, _, table in tables)
    with styled():
        figure, _, body = framed(max(3.6 * columns + 0.4, 5.0), height * rows + 0.3, title, "", [])
        axes = body.subplots(rows, columns, squeeze=False)
        for axis, (factor, effect, table) in zip(axes.flat, tables, strict=False):
            _draw_intervals(axis, factor, effect, table)
        for axis in axes.flat[len(tables) :]:
            axis.set_axis_off()
        body.supxlabel(f"random effect, with {interval}", fontsize=10.5)
        return finish(figure)


def _line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    fits = [name for name in names if name not in LINE_STYLES]
    styles = (_FIT,) if len(fits) == 1 else _TWO_FITS
    return LINE_STYLES | dict(zip(fits, styles, strict=True))


def _draw_panel(
    axis: Axes, panel: Panel, styles: Mapping[str, dict[str, Any]], *, many: bool
) -> None:
    axis.scatter(
        panel.x,
        panel.y,
        s=6 if many else 13,
        color=INK,
        alpha=0.35 if many else 0.8,
        linewidths=0,
        zorder=2.2,
    )
    for name, values in panel.lines.items():
        # A line of one place would not be seen.
        mark = {"marker": "_", "markersize": 12} if len(panel.grid) == 1 else {}
        axis.plot(panel.grid, values, **(styles[name] | mark))
    axis.set_title(shortened(panel.level, 24), pad=3)


def _draw_intervals(axis: Axes, factor: str, effect: str, table: pd.DataFrame) -> None:
    table = table.sort_values("estimate", kind="stable")
    places = np.arange(len(table))
    many = len(table) > LABELLED
    axis.axvline(0, color="#777777", linewidth=1, zorder=1)
    # Of thousands of levels the intervals are a band with the estimates on it.
    axis.hlines(
        places,
        table["lower"],
        table["upper"],
        color="#8FC1E3" if many else BLUE,
        linewidth=0.6 if many else 1.6,
        zorder=2,
    )
    size = 3 if many else 22
    axis.scatter(table["estimate"], places, s=size, color=BLUE, zorder=3, linewidths=0)
    axis.set_title(f"{effect} by {factor}")
    name_levels(axis, [str(level) for level in table["level"]])


def _name_places(axes: Array, categories: Sequence[str]) -> None:
    """Name the places of a categorical axis that all panels share."""
    axes.flat[0].set_xlim(-0.4, len(categories) - 0.6)
    axes.flat[0].set_xticks(range(len(categories)), [shortened(name, 14) for name in categories])
    if sum(len(name) + 1 for name in categories) > 18:
        for axis in axes.flat:
            axis.tick_params(axis="x", rotation=90, labelsize=7.5)
