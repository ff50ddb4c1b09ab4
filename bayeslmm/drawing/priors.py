"""Densities of draws: priors, priors beside posteriors, and simulated responses over the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    finish,
    framed,
    legend,
    shortened,
    styled,
)
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

__all__ = ["draw_prior_posterior", "draw_priors", "draw_simulated"]

_PANELS = 24
_COLUMNS = 4
_PRIOR_SHARE = (0.01, 0.98)
"""Quantiles of a prior between which it is drawn: some have very long tails."""


def draw_priors(rows: Mapping[str, Array], bounds: Mapping[str, tuple[float, float]]) -> Figure:
    """Draw the density of each row of draws.

    Parameters
    ----------
    rows : dict of (draws,) arrays
    bounds : dict of (float, float)
        Where the support of a row ends.
    """
    with styled():
        figure, axes, _, shown = _panels(list(rows), "Priors, and what they imply", "", [])
        for axis, name in zip(axes, shown, strict=True):
            if _held(axis, rows[name]):
                continue
            low, high = np.quantile(rows[name], _PRIOR_SHARE)
            _density(axis, rows[name], _clipped(low, high, bounds.get(name)), ORANGE, filled=True)
        return finish(figure)


def draw_prior_posterior(
    prior: Mapping[str, Array],
    posterior: Mapping[str, Array],
    bounds: Mapping[str, tuple[float, float]],
) -> Figure:
    """Draw prior and posterior of each row in one panel."""
    names = ["prior", "posterior"]
    note = "Densities; of a wide prior the part near the posterior."
    with styled():
        figure, axes, head, shown = _panels(list(posterior), "Prior and posterior", note, names)
        handles: list[Line2D] = []
        for axis, name in zip(axes, shown, strict=True):
            if _held(axis, posterior[name]):
                continue
            low, high = np.quantile(posterior[name], (0.001, 0.999))
            width = high - low
            below, above = np.quantile(prior[name], (0.02, 0.98))
            low = max(min(low, below), low - 3 * width)
            high = min(max(high, above), high + 3 * width)
            room = _clipped(low, high, bounds.get(name))
            handles = [
                _density(axis, prior[name], room, ORANGE, dashed=True),
                _density(axis, posterior[name], room, BLUE, filled=True),
            ]
        if handles:
            legend(head, handles, names)
        return finish(figure)


def draw_simulated(simulated: Array, observed: Array, response: str) -> Figure:
    """Draw the density of each simulated response, and that of the data.

    Parameters
    ----------
    simulated : (draws, n) array
    observed : (n,) array
    response : str
    """
    names = ["observed", f"{len(simulated)} responses simulated from the priors"]
    low, high = np.quantile(simulated, (0.02, 0.98))
    low, high = min(low, observed.min()), max(high, observed.max())
    room = 0.05 * (high - low)
    span = (float(low - room), float(high + room))
    with styled():
        figure, head, body = framed(7.0, 4.0, "Prior predictive check", "", names)
        axis = body.subplots()
        for row in simulated:
            other = _density(axis, row, span, FAINT, thin=True)
        own = _density(axis, observed, span, INK)  # the last line
        # the tallest of the simulated densities can be far taller than the data's
        *heights, tallest = (np.max(np.asarray(line.get_ydata())) for line in axis.lines)
        top = max(float(np.quantile(heights, 0.9)), float(tallest))
        axis.set_ylim(0, 1.1 * top)
        axis.set_xlim(*span)
        axis.set_xlabel(response)
        axis.set_yticks([])
        legend(head, [own, other], names)
        return finish(figure)


def _held(axis: Axes, draws: Array) -> bool:
    """Draw a line at the value of what is held; whether that is all there is to draw."""
    if np.ptp(draws) > 0:
        return False
    axis.axvline(draws[0], color=INK, linewidth=1.6)
    axis.text(0.97, 0.9, f"held at {draws[0]:.4g}", ha="right", transform=axis.transAxes)
    return True


def _clipped(low: float, high: float, bounds: tuple[float, float] | None) -> tuple[float, float]:
    """A span with room at its ends, but not beyond the bounds of the support."""
    room = 0.04 * (high - low) or 1.0
    lower, upper = bounds or (-np.inf, np.inf)
    if low - lower < 0.1 * (high - low):
        low = lower + room
    if upper - high < 0.1 * (high - low):
        high = upper - room
    return float(max(low - room, lower)), float(min(high + room, upper))


def _density(
    axis: Axes,
    draws: Array,
    span: tuple[float, float],
    color: str,
    *,
    filled: bool = False,
    dashed: bool = False,
    thin: bool = False,
) -> Line2D:
    """Draw a kernel density estimate within a span."""
    from arviz_stats.base import array_stats

    inside = draws[(draws >= span[0]) & (draws <= span[1])]
    if len(inside) < 2 or np.ptp(inside) == 0:
        grid, density = np.array(span), np.zeros(2)
    else:
        grid, density, _ = array_stats.kde(inside, grid_len=256, custom_lims=span)
        density = density * len(inside) / len(draws)
    (line,) = axis.plot(
        grid,
        density,
        color=color,
        linewidth=0.6 if thin else 1.6,
        alpha=0.6 if thin else 1.0,
        linestyle=(0, (4, 2)) if dashed else "-",
    )
    if filled:
        axis.fill_between(grid, density, color=color, alpha=0.2, linewidth=0)
    return line


def _panels(
    rows: list[str], title: str, note: str, names: list[str]
) -> tuple[Figure, list[Axes], SubFigure, list[str]]:
    """A figure with a panel for each row, as many as can be read."""
    shown = rows[:_PANELS]
    if len(shown) < len(rows):
        note = f"{note} The first {_PANELS} of {len(rows)}; choose others with var_names=.".strip()
    columns = min(len(shown), _COLUMNS)
    height = -(-len(shown) // columns)
    figure, head, body = framed(2.4 * columns + 0.4, 1.75 * height, title, note, names)
    axes = list(np.atleast_1d(body.subplots(height, columns)).ravel())
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, name in zip(axes, shown, strict=False):
        axis.set_title(shortened(name, 34))
        axis.set_yticks([])
    return figure, axes[: len(shown)], head, shown
