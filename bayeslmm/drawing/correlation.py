"""Drawings of correlation over lag and of covariance matrices, from plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import BLUE, INK, ORANGE, finish, framed, legend, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.support.arrays import Array

__all__ = ["draw_correlation", "draw_matrices", "draw_variogram"]

_WRITTEN = 12
"""Rows of a matrix whose elements are written in their cells."""
_NAMED = 30


@dataclass(frozen=True, eq=False)
class LagCorrelation:
    """Correlation by lag.

    Attributes
    ----------
    unit : str
        What lags are in.
    lag : (m,) array
        Of a bin, the mean of its pairs.
    fitted, empirical : (m,) array
    pairs : (m,) array
        The number of pairs that far apart.
    """

    unit: str
    lag: Array
    fitted: Array
    empirical: Array
    pairs: Array


def draw_correlation(lagged: LagCorrelation, *, title: str, note: str) -> Figure:
    """Draw the fitted correlation over lag as a line, and the empirical one as points.

    Parameters
    ----------
    lagged : LagCorrelation
        The area of a point is in proportion to its number of pairs.
    title, note : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import MaxNLocator

    names = ["fitted", "of the residuals"]
    with styled():
        figure, head, body = framed(6.4, 4.0, title, note, names)
        axis = body.subplots()
        axis.axhline(0, color=INK, linewidth=0.8)
        (line,) = axis.plot(lagged.lag, lagged.fitted, color=BLUE, marker=".", linewidth=1.6)
        dots = axis.scatter(
            lagged.lag,
            lagged.empirical,
            s=12 + 90 * lagged.pairs / lagged.pairs.max(),
            color=ORANGE,
            alpha=0.85,
            zorder=3,
        )
        low = min(0.0, float(np.min([lagged.empirical.min(), lagged.fitted.min()])))
        high = max(1.0, float(lagged.empirical.max()))
        axis.set_ylim(low - 0.08, high + 0.07)
        axis.set_xlim(0, lagged.lag.max() * 1.06)
        if np.allclose(lagged.lag, np.round(lagged.lag)):
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel(f"Lag ({lagged.unit})")
        axis.set_ylabel("Correlation")
        legend(head, [line, dots], names)
        return finish(figure)


@dataclass(frozen=True, eq=False)
class Variogram:
    """Semivariances by lag.

    Attributes
    ----------
    unit : str
        What lags are in.
    lag : (m,) array
        Of a bin, the mean of its pairs.
    fitted, standardized, normalized : (m,) arrays
        That of V, and those of residuals.
    pairs : (m,) array
        The number of pairs that far apart.
    """

    unit: str
    lag: Array
    fitted: Array
    standardized: Array
    normalized: Array
    pairs: Array


def draw_variogram(variogram: Variogram, *, title: str, note: str) -> Figure:
    """Draw the semivariogram of standardized residuals with the fitted one, and that of normalized
    residuals, which should be one.

    Parameters
    ----------
    variogram : Variogram
        The area of a point is in proportion to its number of pairs.
    title, note : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.ticker import MaxNLocator

    names = ["expected", "of the residuals"]
    one = np.ones(len(variogram.lag))
    panels = (
        ("standardized", variogram.fitted, variogram.standardized),
        ("normalized", one, variogram.normalized),
    )
    with styled():
        figure, head, body = framed(8.0, 3.5, title, note, names)
        axes = body.subplots(1, 2)
        for axis, (name, expected, found) in zip(axes, panels, strict=True):
            (line,) = axis.plot(variogram.lag, expected, color=BLUE, marker=".", linewidth=1.6)
            dots = axis.scatter(
                variogram.lag,
                found,
                s=12 + 90 * variogram.pairs / variogram.pairs.max(),
                color=ORANGE,
                alpha=0.85,
                zorder=3,
            )
            axis.set_title(f"{name} residuals")
            if np.allclose(variogram.lag, np.round(variogram.lag)):
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.set_ylim(0, 1.08 * max(expected.max(), found.max()))
            axis.set_xlim(0, variogram.lag.max() * 1.06)
            axis.set_xlabel(f"Lag ({variogram.unit})")
        axes[0].set_ylabel("Semivariance")
        legend(head, [line, dots], names)
        return finish(figure)


def draw_matrices(
    matrices: Sequence[tuple[str, Array]], labels: Sequence[str], *, axis_label: str, title: str
) -> Figure:
    """Draw covariance matrices as heat maps on one scale of colours.

    Parameters
    ----------
    matrices : sequence of (name, (t, t) array)
    labels : sequence of str, length t
        Of rows and columns.
    axis_label : str
        What the labels are.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    largest = max(float(np.abs(matrix).max()) for _, matrix in matrices)
    decimals = int(np.clip(2 - np.floor(np.log10(largest)), 0, 6)) if largest > 0 else 0
    t, panels = len(labels), len(matrices)
    size = min(5.0, max(2.9, 0.52 * t))
    with styled():
        figure, _, body = framed(panels * (size + 0.4) + 0.9, size + 0.4, title, "", [])
        axes = np.atleast_1d(body.subplots(1, panels))
        image = None
        for axis, (name, matrix) in zip(axes, matrices, strict=True):
            image = axis.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest)
            axis.grid(visible=False)
            axis.set_title(name)
            axis.set_xlabel(axis_label)
            shown = range(0, t, -(-t // _NAMED))
            names = [shortened(str(labels[i]), 10) for i in shown]
            axis.set_yticks(shown, names)
            axis.set_xticks(shown, names, rotation=90 if max(map(len, names)) > 3 else 0)
            if t > _WRITTEN:
                continue
            for i in range(t):
                for j in range(t):
                    dark = abs(matrix[i, j]) > 0.6 * largest
                    axis.text(
                        j,
                        i,
                        f"{matrix[i, j]:.{decimals}f}",
                        ha="center",
                        va="center",
                        fontsize=8.5 if t < 8 else 7,
                        color="white" if dark else INK,
                    )
        axes[0].set_ylabel(axis_label)
        if image is not None:
            body.colorbar(image, ax=list(axes), shrink=0.8, label="Covariance")
        return finish(figure)
