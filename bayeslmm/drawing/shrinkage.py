"""Drawings of shrinkage from plain numbers: no, partial and complete pooling of effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    FAINT,
    INK,
    LABELLED,
    LINE_STYLES,
    ORANGE,
    axis_height,
    finish,
    framed,
    legend,
    name_levels,
    name_point,
    shortened,
    styled,
)
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Shrinkage", "draw_shrinkage_arrows", "draw_shrinkage_dots"]


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
    import matplotlib.pyplot as plt

    with styled():
        figure, unnamed = _arrows(shrinkage, fit, title, note)
        if unnamed:
            # what room a note takes is settled when a figure is made
            plt.close(figure)
            left = f"No room for the names {', '.join(unnamed)}."
            figure, _ = _arrows(shrinkage, fit, title, f"{note} {left}".strip())
        return finish(figure)


def _arrows(
    shrinkage: Shrinkage, fit: str, title: str, note: str
) -> tuple[Figure, tuple[str, ...]]:
    """The figure, and the levels whose names have no room in it."""
    own, pooled = shrinkage.no_pooling, shrinkage.partial_pooling
    both = np.isfinite(own).all(axis=1)
    many = len(own) > LABELLED
    names = ["no pooling", fit, "complete pooling"]
    figure, head, body = framed(6.8, 5.2, title, note, names)
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
        color=FAINT if many else "#999999",
        zorder=2,
    )
    _own_points(axis, *own[both].T, many=many)
    _pooled_points(axis, *pooled.T, many=many)
    axis.scatter(
        [shrinkage.complete_pooling[0]],
        [shrinkage.complete_pooling[1]],
        s=150,
        marker="*",
        color=INK,
        zorder=5,
    )
    axis.margins(0.08)
    axis.set_xlabel(shrinkage.effects[0])
    axis.set_ylabel(shrinkage.effects[1])
    legend(head, axis.collections[1:], names)
    return figure, () if many else _name_points(figure, axis, shrinkage)


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
    many = len(levels) > LABELLED
    names = ["no pooling", fit, "complete pooling"]
    with styled():
        figure, head, body = framed(
            max(3.8 * columns, 6.2), axis_height(len(levels)) * rows + 0.3, title, note, names
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
                color=FAINT,
                linewidth=0.6 if many else 1.5,
            )
            _own_points(axis, own[order], places, many=many)
            _pooled_points(axis, pooled[order], places, many=many)
            axis.axvline(shrinkage.complete_pooling[j], **LINE_STYLES["complete pooling"], zorder=2)
            axis.set_xlabel(effect)
            name_levels(axis, [levels[i] for i in order])
        for axis in axes.flat[len(effects) :]:
            axis.set_axis_off()
        first = axes.flat[0]
        legend(head, [*first.collections[1:], first.lines[0]], names)
        return finish(figure)


def _own_points(axis: Axes, x: Array, y: Array, *, many: bool) -> None:
    axis.scatter(
        x,
        y,
        s=6 if many else 28,
        facecolors="white",
        edgecolors=ORANGE,
        linewidths=0.6 if many else 1.2,
        zorder=3,
    )


def _pooled_points(axis: Axes, x: Array, y: Array, *, many: bool) -> None:
    axis.scatter(x, y, s=4 if many else 28, color=BLUE, linewidths=0, zorder=4)


def _name_points(figure: Figure, axis: Axes, shrinkage: Shrinkage) -> tuple[str, ...]:
    """Name the levels beside their points, on the side they are pulled from, the farthest first.

    Returns those whose names would lie on something else.
    """
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
    unnamed: list[int] = []
    for i in np.argsort(-np.sum((away / np.where(spread > 0, spread, 1)) ** 2, axis=1)):
        side = 1 if away[i, 0] >= 0 else -1
        if not name_point(axis, shortened(shrinkage.levels[i], 16), at[i], side, taken):
            unnamed.append(i)
    return tuple(shrinkage.levels[i] for i in sorted(unnamed))
