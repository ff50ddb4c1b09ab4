"""Draws of a model's parameters, and its data, with their labels as ArviZ takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bayeslmm.design.variables import in_pymc, labelled
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.specification import Specification

__all__ = ["labelled_draws", "labelled_rows"]

_TAKEN = ("chain", "draw", "sample", "coef", "row")
"""Dimensions that ArviZ and `beta` have; a grouping factor of that name is called otherwise."""

Labelled = tuple[dict[str, Array], dict[str, list[str]], dict[str, Any]]


def labelled_draws(model: Specification, theta: Array, beta: Array, u: Array) -> Labelled:
    """Variables of theta, beta and u; their dimensions; and the coordinates of those.

    Parameters
    ----------
    model : Specification
    theta : (chain, draw, k) array
    beta : (chain, draw, p) array
    u : (chain, draw, n_random) array
    """
    design = model.design
    variables, dims, coords = labelled(model.parameters, design.coef, beta, theta)
    labels = [in_pymc(factor.name) for factor in design.factors]
    own = [f"{label}_effect" for label in labels] + [f"u_{label}" for label in labels]
    taken = {*_TAKEN, *variables, *coords, *own}
    for factor, label in zip(design.factors, labels, strict=True):
        level = label
        while level in taken:
            level = f"{level}_level"
        taken.add(level)
        coords[level] = list(factor.levels)
        coords[f"{label}_effect"] = list(factor.effects)
        dims[f"u_{label}"] = [level, f"{label}_effect"]
    for factor, values in zip(design.factors, model.equations.split_u(u).values(), strict=True):
        # what a level would have in another stratum is no parameter
        shown = values if factor.own is None else np.where(factor.own, values, np.nan)
        variables[f"u_{in_pymc(factor.name)}"] = shown
    return variables, dims, coords


def labelled_rows(
    model: Specification,
) -> tuple[dict[str, dict[str, Array]], dict[str, Any], dict[str, Any]]:
    """The response ``y``, and weights and offset where there are any, by group of a DataTree; the
    dimensions of what has a number for each row; and the coordinate ``row``.

    Parameters
    ----------
    model : Specification
    """
    design, index = model.design, model.design.index
    known = {"weights": design.weights, "offset": design.offset}
    constant = {name: value for name, value in known.items() if value is not None}
    groups = {"observed_data": {"y": design.y}}
    if constant:
        groups["constant_data"] = constant
    unique = index.is_unique and index.nlevels == 1
    row = index.to_numpy() if unique else np.arange(len(index))
    return groups, {name: ["row"] for name in ("y", *constant)}, {"row": row}
