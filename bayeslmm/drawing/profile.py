"""Drawing of profiles of the likelihood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import ndtri

from bayeslmm.drawing.frame import BLUE, INK, finish, framed, shortened, styled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from bayeslmm.support.arrays import Array


__all__ = ["draw_zeta"]

_LEVELS = (0.5, 0.8, 0.95, 0.99)
_COLUMNS, _WIDTH, _HEIGHT = 3, 2.9, 2.3


class Curve(Protocol):
    """The profile of one parameter: its estimate, and ζ at values of it."""

    @property
    def value(self) -> Array:
        """Values of the parameter, in order."""

    @property
    def zeta(self) -> Array:
        """ζ at each of them."""

    def at(self, value: Array) -> Array:
        """ζ at values."""

    def crossing(self, zeta: float) -> float:
        """The value at which the curve has a ζ."""


def draw_zeta(paths: Mapping[str, Curve], level: float, title: str) -> Figure:
    """Draw ζ of every parameter, a panel each.

    Parameters
    ----------
    paths : dict of str to Curve
    level : float
        Probability of the widest intervals that the curves reach.
    title : str
        Text above.

    Returns
    -------
    matplotlib.figure.Figure
    """
    columns = min(len(paths), _COLUMNS)
    rows = -(-len(paths) // columns)
    levels = [own for own in _LEVELS if own <= level]
    shown = ", ".join(f"{100 * own:g}" for own in levels)
    note = f"signed root of the deviance; intervals of {shown}%" if levels else ""
    note += "; a straight line is a normal likelihood" if note else ""
    with styled():
        figure, _, body = framed(
            max(_WIDTH * columns + 0.5, 5.0), _HEIGHT * rows + 0.3, title, note, []
        )
        axes = body.subplots(rows, columns, squeeze=False, sharey=True)
        for axis, (name, path) in zip(axes.flat, paths.items(), strict=False):
            axis.set_title(shortened(name, 34), pad=3)
            axis.axhline(0, color="#777777", linewidth=1, zorder=1)
            if len(path.value) < 2:
                axis.text(0.5, 0.6, "undefined", transform=axis.transAxes, ha="center")
                continue
            grid = np.linspace(path.value[0], path.value[-1], 200)
            axis.plot(grid, path.at(grid), color=BLUE, linewidth=1.8)
            for own in levels:
                half = float(ndtri((1 + own) / 2))
                for zeta in (-half, half):
                    if path.zeta[0] <= zeta <= path.zeta[-1]:
                        at = path.crossing(zeta)
                        axis.plot([at, at], [0, zeta], color=INK, linewidth=0.9)
        for axis in axes.flat[len(paths) :]:
            axis.set_axis_off()
        body.supylabel("ζ", fontsize=10.5)
        return finish(figure)
