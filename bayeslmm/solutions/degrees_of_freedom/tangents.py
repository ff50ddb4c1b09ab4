"""Directions in which covariance matrices of random effects change with their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bayeslmm.data.frames import Array
    from bayeslmm.design.design import BarBlock
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.likelihood.quasi_newton import Optimum

__all__ = ["tangents"]

_STEP = 2e-3
"""On the working scale of theta, for central differences of fourth order."""


def tangents(equations: Equations, optimum: Optimum) -> list[tuple[int, Array]]:
    """Symmetric matrices that span the changes of G at an optimum.

    Unrestricted, diagonal and identity matrices are linear in their elements, and can change in all
    of them, whatever they are now. Others have the derivatives in their parameters; those on the
    boundary are held there.

    Parameters
    ----------
    equations : Equations
    optimum : Optimum

    Returns
    -------
    list of (int, (q, q) array)
        The position of the grouping factor, and the change of the covariance matrix of a level.
    """
    found = []
    for f, factor in enumerate(equations.factors):
        for number, bar in enumerate(factor.bars):
            if bar.shape is not None:
                found += [(f, E) for E in _derivatives(equations, optimum, f, number)]
                continue
            own = slice(bar.start, bar.stop)
            for change in _elements(bar):
                E = np.zeros((len(factor.effects),) * 2)
                E[own, own] = change
                found.append((f, E))
    return found


def _elements(bar: BarBlock) -> list[Array]:
    """Matrices of which the covariance of a bar is a combination."""
    q = bar.stop - bar.start
    if bar.structure == "id":
        return [np.eye(q)]
    if bar.structure == "diag":
        return [np.diag(row) for row in np.eye(q)]
    found = []
    for i in range(q):
        for j in range(i + 1):
            E = np.zeros((q, q))
            E[i, j] = E[j, i] = 1.0
            found.append(E)
    return found


def _derivatives(equations: Equations, optimum: Optimum, f: int, number: int) -> list[Array]:
    """Derivatives of the covariance of a level in the parameters of a bar on their working scale,
    without those that stand with another stratum's bar.
    """
    factor, parameters = equations.factors[f], equations.parameters
    regular = optimum.theta.copy()
    for block in parameters.blocks:  # other bars may be singular, and do not matter
        if block.kind == "corr" and not (block.factor == factor.name and number in block.bars):
            regular[block.start : block.stop] = 0.0

    def at(position: int, step: float) -> Array:
        theta = parameters.stepped(regular, position, step)
        return equations.covariances(equations.relative_factors(theta), theta[-1])[factor.name]

    found = []
    for block in parameters.of_bar(factor.name, number):
        changing = np.zeros((len(factor.effects),) * 2, dtype=bool)
        for bar in (factor.bars[i] for i in block.bars):
            changing[bar.start : bar.stop, bar.start : bar.stop] = True
        for i in range(block.start, block.stop) if block.bar == number else ():
            if not optimum.boundary[i]:
                near, far = at(i, _STEP) - at(i, -_STEP), at(i, 2 * _STEP) - at(i, -2 * _STEP)
                found.append(np.where(changing, 8 * near - far, 0.0) / (12 * _STEP))
    return found
