"""Drawings of groups from plain numbers: trellis, caterpillar and shrinkage plots."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

__all__ = [
    "Panel",
    "Shrinkage",
    "Trellis",
    "draw_caterpillar",
    "draw_shrinkage_arrows",
    "draw_shrinkage_dots",
    "draw_trellis",
    "finish",
    "styled",
]

type Array = np.ndarray[Any, Any]

# Okabe and Ito's palette, which people with any common colour blindness can tell apart; lines also
# differ by dashes.
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_CYCLE = (_BLUE, _ORANGE, _GREEN, _PURPLE, "#56B4E9", "#E69F00", "#000000", "#F0E442")
_INK, _FAINT = "#333333", "#BBBBBB"
_LINES: dict[str, dict[str, Any]] = {
    "no pooling": {"color": _ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.3},
    "complete pooling": {"color": _INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.3},
}
_FIT = {"color": _BLUE, "linewidth": 1.8}
# Two fits of one model can hardly be told apart by eye: one lies broad and pale below the other.
_TWO_FITS = ({"color": "#7FB8DB", "linewidth": 4.0}, {"color": "#00523B", "linewidth": 1.2})
_LABELLED = 60
"""Levels of which each still gets its name beside an axis."""


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


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Effects of the levels of one grouping factor under three amounts of pooling.

    Attributes
    ----------
    levels : tuple of str, length L
        Names.
    effects : tuple of str, length q
        Names.
    no_pooling, partial_pooling : ndarray, shape (L, q)
        Estimates; NaN where a level's own data do not determine one.
    complete_pooling : ndarray, shape (q,)
        What all levels have in common.
    """

    levels: tuple[str, ...]
    effects: tuple[str, ...]
    no_pooling: Array
    partial_pooling: Array
    complete_pooling: Array


@contextmanager
def styled() -> Iterator[None]:
    """Draw with the library's fonts, spines and grid, whatever the user's defaults are."""
    import matplotlib as mpl
    from cycler import cycler

    settings: dict[Any, Any] = {
        "axes.prop_cycle": cycler(color=_CYCLE),
        "font.size": 10,
        "axes.titlesize": 9.5,
        "axes.labelsize": 10.5,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 9.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#777777",
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E8E8E8",
        "grid.linewidth": 0.7,
        "xtick.color": "#555555",
        "ytick.color": "#555555",
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.titlecolor": _INK,
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
    with mpl.rc_context(settings):
        yield


def finish(figure: Figure) -> Figure:
    """Leave a figure to pyplot only where it opens windows, so that a notebook shows it once."""
    import matplotlib.pyplot as plt
    from matplotlib.backends.registry import BackendFilter, backend_registry

    known = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    windows = [name.lower() for name in known]
    if plt.get_backend().lower() not in windows:
        plt.close(figure)
    return figure


def draw_trellis(trellis: Trellis, *, title: str) -> Figure:
    """Draw one panel a group: its data and its lines."""
    panels, categories = trellis.panels, trellis.categories
    count = len(panels)
    columns = count if count <= 4 else min(6, max(3, int(np.ceil(np.sqrt(1.5 * count)))))
    rows = -(-count // columns)
    names = ["data", *panels[0].lines]
    with styled():
        figure, head, body = _framed(
            max(1.75 * columns + 0.6, 5.5), 1.6 * rows + 0.6, title, trellis.note, names
        )
        axes = body.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        styles = _line_styles(panels[0].lines)
        many = max(len(panel.x) for panel in panels) > _LABELLED
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
        _legend(head, [first.collections[0], *first.lines], names)
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
    height = max(_height(len(table)) for _, _, table in tables)
    with styled():
        figure, _, body = _framed(max(3.6 * columns + 0.4, 5.0), height * rows + 0.3, title, "", [])
        axes = body.subplots(rows, columns, squeeze=False)
        for axis, (factor, effect, table) in zip(axes.flat, tables, strict=False):
            _draw_intervals(axis, factor, effect, table)
        for axis in axes.flat[len(tables) :]:
            axis.set_axis_off()
        body.supxlabel(f"random effect, with {interval}", fontsize=10.5)
        return finish(figure)


def draw_shrinkage_arrows(shrinkage: Shrinkage, *, fit: str, title: str, note: str) -> Figure:
    """Draw an arrow for every level, from its own estimate of two effects to the model's.

    Parameters
    ----------
    shrinkage : Shrinkage
        Of two effects.
    fit : str
        Name of the fit that pools partially.
    title, note : str
        Texts above; the note can be empty.

    Returns
    -------
    matplotlib.figure.Figure
    """
    own, pooled = shrinkage.no_pooling, shrinkage.partial_pooling
    both = np.isfinite(own).all(axis=1)
    many = len(own) > _LABELLED
    names = ["no pooling", fit, "complete pooling"]
    if not many:
        note = f"{note} Names that would lie on something else are left out.".strip()
    with styled():
        figure, head, body = _framed(6.8, 5.2, title, note, names)
        axis = body.subplots()
        axis.quiver(
            *own[both].T,
            *(pooled[both] - own[both]).T,
            angles="xy",
            scale_units="xy",
            scale=1,
            width=0.0015 if many else 0.003,
            headwidth=5,
            headlength=6,
            headaxislength=5.5,
            color=_FAINT if many else "#999999",
            zorder=2,
        )
        _own_points(axis, *own[both].T, many=many)
        _pooled_points(axis, *pooled.T, many=many)
        axis.scatter(
            [shrinkage.complete_pooling[0]],
            [shrinkage.complete_pooling[1]],
            s=150,
            marker="*",
            color=_INK,
            zorder=5,
        )
        axis.margins(0.08)
        axis.set_xlabel(shrinkage.effects[0])
        axis.set_ylabel(shrinkage.effects[1])
        _legend(head, axis.collections[1:], names)
        if not many:
            _name_points(figure, axis, shrinkage)
        return finish(figure)


def draw_shrinkage_dots(shrinkage: Shrinkage, *, fit: str, title: str, note: str) -> Figure:
    """Draw, for every effect, each level's own estimate and the model's on one line.

    Parameters
    ----------
    shrinkage : Shrinkage
        Of any number of effects.
    fit : str
        Name of the fit that pools partially.
    title, note : str
        Texts above; the note can be empty.

    Returns
    -------
    matplotlib.figure.Figure
    """
    effects, levels = shrinkage.effects, shrinkage.levels
    columns = min(len(effects), 3)
    rows = -(-len(effects) // columns)
    many = len(levels) > _LABELLED
    names = ["no pooling", fit, "complete pooling"]
    with styled():
        figure, head, body = _framed(
            max(3.8 * columns, 6.2), _height(len(levels)) * rows + 0.3, title, note, names
        )
        axes = body.subplots(rows, columns, squeeze=False)
        for j, (axis, effect) in enumerate(zip(axes.flat, effects, strict=False)):
            own, pooled = shrinkage.no_pooling[:, j], shrinkage.partial_pooling[:, j]
            order = np.argsort(pooled, kind="stable")
            places = np.arange(len(order))
            both = np.isfinite(own[order])
            axis.hlines(
                places[both],
                own[order][both],
                pooled[order][both],
                color=_FAINT,
                linewidth=0.6 if many else 1.5,
            )
            _own_points(axis, own[order], places, many=many)
            _pooled_points(axis, pooled[order], places, many=many)
            axis.axvline(shrinkage.complete_pooling[j], **_LINES["complete pooling"], zorder=2)
            axis.set_xlabel(effect)
            _name_levels(axis, [levels[i] for i in order])
        for axis in axes.flat[len(effects) :]:
            axis.set_axis_off()
        first = axes.flat[0]
        _legend(head, [*first.collections[1:], first.lines[0]], names)
        return finish(figure)


# -- the frame of a figure ------------------------------------------------------------------------


def _framed(
    width: float, height: float, title: str, note: str, names: Sequence[str]
) -> tuple[Figure, SubFigure, SubFigure]:
    """A figure with a strip for title, note and legend above a body of a height in inches."""
    import matplotlib.pyplot as plt

    notes = textwrap.wrap(note, int(15 * width))
    legend = 0.27 * -(-len(names) // _legend_columns(width, names)) if names else 0.0
    strip = 0.36 + 0.16 * len(notes) + legend
    figure = plt.figure(figsize=(width, height + strip), layout="constrained")
    head, body = np.asarray(figure.subfigures(2, 1, height_ratios=[strip, height]))
    top = 1 - 0.08 / strip
    head.text(0.5, top, title, ha="center", va="top", fontsize=11.5)
    head.text(
        0.5,
        top - 0.24 / strip,
        "\n".join(notes),
        ha="center",
        va="top",
        fontsize=8.5,
        color="#555555",
    )
    return figure, head, body


def _legend_columns(width: float, names: Sequence[str]) -> int:
    """Columns of a legend that fit into a width in inches."""
    if sum(0.6 + 0.075 * len(name) for name in names) < width:
        return len(names)
    return max(1, min(len(names) - 1, int(width / (0.6 + 0.075 * max(map(len, names))))))


def _legend(head: SubFigure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    columns = _legend_columns(head.bbox.width / head.figure.dpi, names)
    head.legend(
        handles,
        names,
        loc="lower center",
        ncols=columns,
        frameon=False,
        borderpad=0,
        borderaxespad=0.1,
    )


def _height(levels: int) -> float:
    """Height in inches of an axis with a place for each level."""
    return 5.4 if levels > _LABELLED else max(0.2 * levels + 0.7, 2.0)


# -- the parts of a figure ------------------------------------------------------------------------


def _line_styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    fits = [name for name in names if name not in _LINES]
    styles = (_FIT,) if len(fits) == 1 else _TWO_FITS
    return _LINES | dict(zip(fits, styles, strict=True))


def _draw_panel(
    axis: Axes, panel: Panel, styles: Mapping[str, dict[str, Any]], *, many: bool
) -> None:
    axis.scatter(
        panel.x,
        panel.y,
        s=6 if many else 13,
        color=_INK,
        alpha=0.35 if many else 0.8,
        linewidths=0,
        zorder=2.2,
    )
    for name, values in panel.lines.items():
        # A line of one place would not be seen.
        mark = {"marker": "_", "markersize": 12} if len(panel.grid) == 1 else {}
        axis.plot(panel.grid, values, **(styles[name] | mark))
    axis.set_title(_short(panel.level, 24), pad=3)


def _draw_intervals(axis: Axes, factor: str, effect: str, table: pd.DataFrame) -> None:
    table = table.sort_values("estimate", kind="stable")
    places = np.arange(len(table))
    many = len(table) > _LABELLED
    axis.axvline(0, color="#777777", linewidth=1, zorder=1)
    # Of thousands of levels the intervals are a band with the estimates on it.
    axis.hlines(
        places,
        table["lower"],
        table["upper"],
        color="#8FC1E3" if many else _BLUE,
        linewidth=0.6 if many else 1.6,
        zorder=2,
    )
    size = 3 if many else 22
    axis.scatter(table["estimate"], places, s=size, color=_BLUE, zorder=3, linewidths=0)
    axis.set_title(f"{effect} by {factor}")
    _name_levels(axis, [str(level) for level in table["level"]])


def _own_points(axis: Axes, x: Array, y: Array, *, many: bool) -> None:
    axis.scatter(
        x,
        y,
        s=6 if many else 28,
        facecolors="white",
        edgecolors=_ORANGE,
        linewidths=0.6 if many else 1.2,
        zorder=3,
    )


def _pooled_points(axis: Axes, x: Array, y: Array, *, many: bool) -> None:
    axis.scatter(x, y, s=4 if many else 28, color=_BLUE, linewidths=0, zorder=4)


def _name_levels(axis: Axes, levels: Sequence[str]) -> None:
    """Name the places 0, 1, ... of the vertical axis, or say how many there are."""
    room = 0.7 + 0.005 * len(levels)
    axis.set_ylim(-room, len(levels) - 1 + room)
    axis.grid(visible=False, axis="y")
    if len(levels) > _LABELLED:
        axis.set_yticks([])
        axis.set_ylabel(f"{len(levels):,} levels in order, too many to name")
        return
    axis.set_yticks(range(len(levels)), [_short(level, 28) for level in levels])
    axis.tick_params(axis="y", length=0)


def _name_points(figure: Figure, axis: Axes, shrinkage: Shrinkage) -> None:
    """Name the levels beside their points, on the side they are pulled from, the farthest first."""
    from matplotlib.transforms import Bbox

    own, pooled = shrinkage.no_pooling, shrinkage.partial_pooling
    at = np.where(np.isfinite(own), own, pooled)
    away = at - pooled
    spread = np.ptp(at, axis=0)
    figure.draw_without_rendering()
    # Points take a square of about their size, in pixels.
    half = 0.03 * figure.dpi
    taken = [
        Bbox([[x - half, y - half], [x + half, y + half]])
        for x, y in axis.transData.transform(np.concatenate([at, pooled]))
    ]
    for i in np.argsort(-np.sum((away / np.where(spread > 0, spread, 1)) ** 2, axis=1)):
        side = 1 if away[i, 0] >= 0 else -1
        label = axis.annotate(
            _short(shrinkage.levels[i], 16),
            at[i],
            xytext=(5 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=7.5,
            color="#666666",
            in_layout=False,
        )
        box = label.get_window_extent()
        if any(box.overlaps(other) for other in taken):
            label.remove()
        else:
            taken.append(box)


def _name_places(axes: Array, categories: Sequence[str]) -> None:
    """Name the places of a categorical axis that all panels share."""
    axes.flat[0].set_xlim(-0.4, len(categories) - 0.6)
    axes.flat[0].set_xticks(range(len(categories)), [_short(name, 14) for name in categories])
    if sum(len(name) + 1 for name in categories) > 18:
        for axis in axes.flat:
            axis.tick_params(axis="x", rotation=90, labelsize=7.5)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
