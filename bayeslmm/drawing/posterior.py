"""Forest and trace plots by ArviZ, with a row or a panel for each row of ``summary()``."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.drawing.frame import finish, styled
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["by_row", "draw_forest", "draw_trace", "how_to_see", "on_other_scales"]

_ROWS = 60
_PANELS = 24


def by_row(posterior: xr.Dataset, names: Sequence[str]) -> dict[str, Array]:
    """Take variables apart into scalars named as in ``summary()``.

    Parameters
    ----------
    posterior : xarray.Dataset
        With dims `chain` and `draw`.
    names : sequence of str
        Variables.

    Returns
    -------
    dict of str to ndarray, shape (chain, draw)
    """
    rows: dict[str, Array] = {}
    for name in names:
        variable = posterior[name].transpose("chain", "draw", ...)
        labels = [variable[dim].to_numpy() for dim in variable.dims[2:]]
        flat = variable.to_numpy().reshape(*variable.shape[:2], -1)
        for i, label in enumerate(product(*labels)):
            rows[f"{name}[{', '.join(map(str, label))}]" if label else name] = flat[..., i]
    return rows


def on_other_scales(rows: Mapping[str, Array]) -> list[str]:
    """Names of correlations, and of an intercept that has other coefficients beside it."""
    intercept = "beta[Intercept]"
    coefficients = [name for name in rows if name.startswith("beta[")]
    left = [name for name in rows if name.startswith("corr_")]
    return [intercept, *left] if intercept in rows and len(coefficients) > 1 else left


def how_to_see(left: Sequence[str]) -> str:
    """Say which rows are not in the picture for their scale, and how to get one of them."""
    if not left:
        return ""
    variables = list(dict.fromkeys(name.partition("[")[0] for name in left))
    calls = " and ".join(f"forest({name!r})" for name in variables)
    return f"On other scales, not shown: {', '.join(left)}; see {calls}."


def draw_forest(rows: Mapping[str, Array], note: str) -> Figure:
    """Draw the mean and the 50% and 95% intervals of each row."""
    from arviz_plots import plot_forest

    shown, note = _first(rows, _ROWS, note)
    with styled():
        collection = plot_forest(
            _tree(shown),
            combined=True,
            labels=["__variable__"],
            point_estimate="mean",
            ci_kind="eti",
            ci_probs=(0.5, 0.95),
            backend="matplotlib",
            figure_kwargs={
                "layout": "constrained",
                "figsize": (7.0, 0.3 * len(shown) + 1.4),
                "figsize_units": "inches",
            },
        )
        figure: Figure = collection.get_viz("figure")
        labels, intervals = figure.axes
        labels.set_axis_off()
        low, high = sorted(intervals.get_ylim())
        intervals.set_ylim(low - 0.5, high + 0.5)
        _entitle(figure, "Posterior mean, 50% and 95% interval", note)
        return finish(figure)


def draw_trace(rows: Mapping[str, Array], note: str) -> Figure:
    """Draw each row against the number of the draw, a line for each chain."""
    from arviz_plots import plot_trace

    shown, note = _first(rows, _PANELS, note)
    height = -(-len(shown) // min(len(shown), 4))
    with styled():
        collection = plot_trace(
            _tree(shown),
            backend="matplotlib",
            visuals={"trace": {"width": 0.6, "alpha": 0.8}, "xlabel": False},
            figure_kwargs={
                "layout": "constrained",
                "figsize": (2.7 * min(len(shown), 4) + 0.4, 1.7 * height + 0.9),
                "figsize_units": "inches",
            },
        )
        figure: Figure = collection.get_viz("figure")
        panels = [axis for axis in figure.axes if axis.lines]
        _number_lowest(panels)
        lines = panels[0].lines
        names = [f"chain {i}" for i in range(len(lines))]
        columns = max(1, int(figure.get_figwidth() / 1.1))
        handles = figure.legend(
            lines, names, loc="outside lower center", ncols=columns, frameon=False
        ).get_lines()
        for handle in handles:
            handle.set_linewidth(2.5)
        _entitle(figure, "Draws of each chain", note)
        return finish(figure)


def _number_lowest(panels: Sequence[Axes]) -> None:
    """Number the horizontal axis of those panels that have no other beneath."""
    lowest: dict[int, Axes] = {}
    for axis in panels:
        spec = axis.get_subplotspec()
        if spec is not None:
            lowest[spec.colspan.start] = axis  # rows come from the top
    for axis in lowest.values():
        axis.tick_params(axis="x", labelbottom=True)
        axis.set_xlabel("draw")


def _tree(rows: Mapping[str, Array]) -> xr.DataTree:
    import xarray as xr

    # ArviZ would take names apart where they have a slash.
    variables = {name.replace("/", "∕"): (("chain", "draw"), row) for name, row in rows.items()}
    chains, draws = next(iter(rows.values())).shape
    coords = {"chain": np.arange(chains), "draw": np.arange(draws)}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def _first(rows: Mapping[str, Array], most: int, note: str) -> tuple[dict[str, Array], str]:
    """As many rows as can be read, and a note when there are more."""
    shown = dict(list(rows.items())[:most])
    if len(shown) < len(rows):
        note = f"{note} The first {most} of {len(rows):,}; choose others with var_names=.".strip()
    return shown, note


def _entitle(figure: Figure, title: str, note: str) -> None:
    width = int(11 * figure.get_figwidth())
    figure.suptitle("\n".join([title, *textwrap.wrap(note, width)]), fontsize=10.5)
