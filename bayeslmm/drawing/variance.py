"""Drawing of the parts of the variance of a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import BLUE, FAINT, INK, finish, framed, legend, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.support.arrays import Array

__all__ = ["draw_partition", "draw_parts"]

_NOTE = "{percent:g}% intervals."


def draw_parts(
    names: Sequence[str], estimate: Array, lower: Array, upper: Array, level: float, title: str
) -> Figure:
    """Draw the parts of a variance as points with intervals, a row each.

    Parameters
    ----------
    names : sequence of str
    estimate, lower, upper : (m,) arrays
    level : float
        Probability of the intervals.
    title : str
    """
    total = estimate.sum()
    labels = [
        f"{shortened(name, 28)} ({value / total:.0%})"
        for name, value in zip(names, estimate, strict=True)
    ]
    with styled():
        note = f"Means over the rows. {_NOTE.format(percent=100 * level)}"
        figure, _, body = framed(6.0, 0.4 * len(names) + 1.0, title, note, [])
        axis = body.subplots()
        places = np.arange(len(names))[::-1]
        axis.hlines(places, lower, upper, color=BLUE, linewidth=1.6)
        axis.plot(estimate, places, "o", color=BLUE, markersize=5)
        axis.set_yticks(places, labels)
        axis.set_ylim(-0.6, len(names) - 0.4)
        axis.grid(visible=False, axis="y")
        axis.set_xlim(left=0)
        axis.set_xlabel("variance, in squared units of the response")
        return finish(figure)


def draw_partition(
    x: Array,
    parts: Mapping[str, Array],
    shares: tuple[Array, Array, Array] | None,
    categories: Sequence[str],
    axis_label: str,
    level: float,
    title: str,
) -> Figure:
    """Draw the parts of a variance on top of each other over a covariate, and beside them the share
    of all but the last.

    Parameters
    ----------
    x : (m,) array
    parts : dict of str to (m,) array
        The residual last.
    shares : tuple of three (m,) arrays, optional
        Estimates of the share and the ends of its intervals.
    categories : sequence of str
        Names of the places, where x is no number.
    axis_label : str
    level : float
        Probability of the intervals.
    title : str
    """
    names = list(parts)[::-1]  # the residual at the bottom
    with styled():
        import matplotlib as mpl

        cycle = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
        colors = [FAINT, *(cycle[i % len(cycle)] for i in range(len(names) - 1))]
        note = "" if shares is None else _NOTE.format(percent=100 * level)
        width = 5.2 if shares is None else 8.4
        figure, head, body = framed(width, 3.2, title, note, names)
        axes = list(np.ravel(body.subplots(1, 1 if shares is None else 2, squeeze=False)))
        base, handles = np.zeros(len(x)), []
        for name, color in zip(names, colors, strict=True):
            top = base + parts[name]
            if categories:
                handles.append(axes[0].bar(x, parts[name], bottom=base, color=color, width=0.7))
            else:
                handles.append(
                    axes[0].fill_between(x, base, top, color=color, alpha=0.85, linewidth=0)
                )
            base = top
        axes[0].set_ylim(bottom=0)
        axes[0].set_ylabel("variance around the fixed effects")
        legend(head, handles, names)
        if shares is not None:
            estimate, lower, upper = shares
            if categories:
                axes[1].vlines(x, lower, upper, color=BLUE, linewidth=1.6)
                axes[1].plot(x, estimate, "o", color=BLUE, markersize=5)
            else:
                axes[1].fill_between(x, lower, upper, color=BLUE, alpha=0.2, linewidth=0)
                axes[1].plot(x, estimate, color=BLUE, linewidth=1.8)
            axes[1].set_ylim(0, 1)
            axes[1].set_ylabel("intraclass correlation")
        for axis in axes:
            axis.set_xlabel(axis_label)
            if categories:
                axis.set_xlim(-0.6, len(x) - 0.4)
                axis.set_xticks(x, [shortened(name, 12) for name in categories])
            axis.tick_params(colors=INK)
        return finish(figure)
