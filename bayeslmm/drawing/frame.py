"""What the plots share: fonts, colours, the frame of a figure, names of levels beside an axis."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.transforms import Bbox

__all__ = [
    "BLUE",
    "FAINT",
    "INK",
    "LABELLED",
    "LINE_STYLES",
    "ORANGE",
    "axis_height",
    "finish",
    "framed",
    "legend",
    "name_levels",
    "name_point",
    "shortened",
    "styled",
]

# Okabe and Ito's palette, which people with any common colour blindness can tell apart; lines also
# differ by dashes.
BLUE, ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_CYCLE = (BLUE, ORANGE, _GREEN, _PURPLE, "#56B4E9", "#E69F00", "#000000", "#F0E442")
INK, FAINT = "#333333", "#BBBBBB"
LINE_STYLES: dict[str, dict[str, Any]] = {
    "no pooling": {"color": ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.3},
    "complete pooling": {"color": INK, "linestyle": (0, (1, 1.5)), "linewidth": 1.3},
}
LABELLED = 60
"""Levels of which each still gets its name beside an axis."""


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
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
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


def framed(
    width: float, height: float, title: str, note: str, names: Sequence[str]
) -> tuple[Figure, SubFigure, SubFigure]:
    """A figure with a strip for title, note and legend above a body of a height in inches."""
    import matplotlib.pyplot as plt

    notes = textwrap.wrap(note, int(15 * width))
    entries = 0.27 * -(-len(names) // _legend_columns(width, names)) if names else 0.0
    strip = 0.36 + 0.16 * len(notes) + entries
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


def legend(head: SubFigure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put the legend at the bottom of the strip above the body."""
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


def axis_height(levels: int) -> float:
    """Height in inches of an axis with a place for each level."""
    return 5.4 if levels > LABELLED else max(0.2 * levels + 0.7, 2.0)


def name_levels(axis: Axes, levels: Sequence[str]) -> None:
    """Name the places 0, 1, ... of the vertical axis, or say how many there are."""
    room = 0.7 + 0.005 * len(levels)
    axis.set_ylim(-room, len(levels) - 1 + room)
    axis.grid(visible=False, axis="y")
    if len(levels) > LABELLED:
        axis.set_yticks([])
        axis.set_ylabel(f"{len(levels):,} levels in order, too many to name")
        return
    axis.set_yticks(range(len(levels)), [shortened(level, 28) for level in levels])
    axis.tick_params(axis="y", length=0)


def name_point(axis: Axes, text: str, at: Sequence[float], side: int, taken: list[Bbox]) -> bool:
    """Write a name to the right (1) or left (-1) of a point, unless it would lie on what is taken.

    Returns whether it stands there; its box is taken then.
    """
    label = axis.annotate(
        text,
        (at[0], at[1]),
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
        return False
    taken.append(box)
    return True


def shortened(text: str, longest: int) -> str:
    """Cut a text that would not fit, and show that it is cut."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
