"""Drawing of predictive checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayeslmm.drawing.frame import BLUE, FAINT, finish, framed, legend, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bayeslmm.support.arrays import Array

__all__ = ["draw_check"]


def draw_check(observed: float, replicated: Array, label: str, title: str, note: str) -> Figure:
    """Draw a histogram of a statistic of replicates, with a line at that of the data.

    Parameters
    ----------
    observed : float
    replicated : (n,) array
    label : str
        What the statistic is called.
    title, note : str
        Texts above.
    """
    names = ["replicates", "data"]
    with styled():
        figure, head, body = framed(5.6, 3.0, title, note, names)
        axis = body.subplots()
        bars = axis.hist(replicated, bins="auto", color=FAINT, edgecolor="white", linewidth=0.5)[2]
        line = axis.axvline(observed, color=BLUE, linewidth=2.0)
        axis.set_xlabel(label)
        axis.set_yticks([])
        legend(head, [bars, line], names)  # type: ignore[list-item]
        return finish(figure)
