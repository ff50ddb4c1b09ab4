"""Equations of a design with another response: what does not depend on y is shared.

The order of elimination and the cross-products of [Z X] stay; only the rows of y among the packed
floats are written anew. That is what makes refits to simulated responses cheap.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.equations.residual_kernels import replace_response
from bayeslmm.equations.system import Packed

if TYPE_CHECKING:
    from bayeslmm.design.design import Design
    from bayeslmm.equations.equations import Equations
    from bayeslmm.support.arrays import Array

__all__ = ["of_response"]


def of_response(equations: Equations, design: Design, y: Array) -> Equations:
    """The equations of a design with ``y`` as its response.

    Parameters
    ----------
    equations : Equations
        Those of the design, for any response.
    design : Design
    y : (n,) array
        The response less any offset.

    Returns
    -------
    Equations
    """
    packed = Packed(equations.packed.ints, equations.packed.floats.copy())
    system = packed.system
    p = equations.p
    w = np.ones(len(y)) if design.weights is None else design.weights
    residual = np.array(y, dtype=float)
    beta = system.beta_ols  # a view
    beta[:] = 0.0
    if p:
        inverse = system.rotation_inverse.reshape(p, p)
        basis = design.X @ inverse
        weighted = basis * w[:, None]
        for _ in range(2):  # the second pass restores the digits that the first one loses
            gamma = weighted.T @ residual
            beta += inverse @ gamma
            residual = residual - basis @ gamma
    weighted_residual = w * residual
    for f, factor in enumerate(equations.factors if not equations.structured else ()):
        levels, q = len(factor.levels), len(factor.effects)
        sums = np.column_stack(
            [np.bincount(factor.codes, weighted_residual * z, levels) for z in factor.Z.T]
        )
        stage = np.flatnonzero(system.stage_factor == f)
        if len(stage):
            first = system.stage_start[stage[0]]
            ends = system.panel_start[first + 1 : first + 1 + levels]
            system.panel[ends[:, None] - q + np.arange(q)] = sums
        else:
            starts = system.root_border[system.root_start[f] : system.root_start[f + 1]]
            system.border[starts[:, None] + p * q + np.arange(q)] = sums
    xy = system.xy.reshape(p + 1, p + 1)
    xy[p, :p] = xy[:p, p] = 0.0
    xy[p, p] = weighted_residual @ residual
    system.constants[2] = np.abs(y).max(initial=0.0)
    if equations.structured:
        replace_response(packed, np.sqrt(w) * residual)
    return replace(equations, packed=packed)
