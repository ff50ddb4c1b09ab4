"""The iterations of one or several algorithms, drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from bayeslmm.drawing.frame import finish, framed, legend, styled
from bayeslmm.errors import ArgumentError, ArgumentTypeError
from bayeslmm.solutions.base import solution_of
from bayeslmm.solutions.point import PointSolution

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["plot_convergence"]

_LEAST = 1e-9
"""What is drawn of a criterion that is the least but for rounding."""
_LONG = 60
"""Iterations beyond which their axis is logarithmic."""
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))


def plot_convergence(
    fits: object,
) -> Figure:
    """Draw how algorithms approach the maximum of a likelihood.

    To the left -2 log L above the least of all iterations, to the right the largest element of its
    gradient, both on logarithmic scales: an algorithm that gains a digit with each iteration is a
    straight line.

    Parameters
    ----------
    fits : LikelihoodFit or MapFit, or a list or dictionary of them
        Of one model by one method. A dictionary gives them names; others have those of their
        algorithms.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ArgumentError
        For no fits, fits by different methods or of different models, and fits of the same name.
    ArgumentTypeError
        For what is no fit by REML or ML.

    Examples
    --------
    >>> import bayeslmm as bl
    >>> model = bl.Model("Reaction ~ Days + (Days | Subject)", bl.load_dataset("sleepstudy"))
    >>> fits = [model.fit("reml", algorithm=name) for name in ("quasi-newton", "em", "newton")]
    >>> figure = bl.plot_convergence(fits)
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['quasi-newton', 'em', 'newton']
    """
    named = _named(fits)
    if not named:
        raise ArgumentError("`fits` is empty; give at least one fit by REML or ML.")
    first = next(iter(named.values()))
    for fit in named.values():
        if not _comparable(fit, first):
            raise ArgumentError(
                f"the fits are of {first.model.formula!r} by {first.method.upper()} and of "
                f"{fit.model.formula!r} by {fit.method.upper()}, with criteria that are not "
                "comparable; give fits of one model and response by one method."
            )
    traces = {name: fit.trace for name, fit in named.items()}
    title = f"{first.model.formula}, {first.method.upper()}"
    return _drawn(traces, title)


def _named(fits: object) -> dict[str, PointSolution]:
    if isinstance(fits, Mapping):
        named = {str(name): solution_of(fit) for name, fit in fits.items()}
    else:
        each = fits if isinstance(fits, Sequence) else [fits]
        each = [solution_of(fit) for fit in each]
        named = {
            fit.optimum.algorithm if isinstance(fit, PointSolution) else str(i): fit
            for i, fit in enumerate(each)
        }
        if len(named) < len(each):
            raise ArgumentError(
                "two of the fits are by the same algorithm; name them with a dictionary, "
                '{"average": fit_1, "observed": fit_2}.'
            )
    for fit in named.values():
        if not isinstance(fit, PointSolution):
            raise ArgumentTypeError(
                f"`fits` should be fits by REML or ML, got {type(fit).__name__}; draws of NUTS are "
                "shown by `fit.plot.trace()`."
            )
    return cast("dict[str, PointSolution]", named)


def _comparable(solution: PointSolution, other: PointSolution) -> bool:
    ours, theirs = solution.model, other.model
    return (
        solution.method == other.method
        and ours.design.coef == theirs.design.coef
        and ours.parameters.names == theirs.parameters.names
        and np.array_equal(ours.design.y, theirs.design.y)
    )


def _drawn(traces: Mapping[str, pd.DataFrame], title: str) -> Figure:
    least = min(trace["criterion"].min() for trace in traces.values())
    long = max(len(trace) for trace in traces.values()) > _LONG
    note = f"What is below {_LEAST:g} is drawn there." if len(traces) > 1 else ""
    with styled():
        figure, head, body = framed(8.0, 3.1, title, note, list(traces))
        criterion, gradient = body.subplots(1, 2, sharex=True)
        for i, (name, trace) in enumerate(traces.items()):
            style = {
                "label": name,
                "linestyle": _DASHES[i % len(_DASHES)],
                "marker": "o",
                "markersize": 3 if len(trace) <= _LONG else 0,
            }
            at = trace.index.to_numpy() + (1 if long else 0)
            criterion.plot(at, np.maximum(trace["criterion"] - least, _LEAST), **style)
            gradient.plot(at, np.maximum(trace["gradient"], _LEAST), **style)
        criterion.set_title("−2 log L above its minimum")
        gradient.set_title("largest element of the gradient")
        for axis in (criterion, gradient):
            axis.set_yscale("log")
            if long:
                axis.set_xscale("log")
            axis.set_xlabel("iteration, counted from 1" if long else "iteration")
        legend(head, criterion.lines, list(traces))
        return finish(figure)
