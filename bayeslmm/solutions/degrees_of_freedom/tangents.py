"""How covariance matrices change with their parameters: directions, and curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.support import scales
from bayeslmm.support.differences import fourth_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayeslmm.design.factors import BarBlock
    from bayeslmm.design.parameters import Parameters
    from bayeslmm.equations.equations import Equations
    from bayeslmm.estimation.optimum import Optimum
    from bayeslmm.support.arrays import Array

__all__ = ["Tangent", "curvature", "slope", "tangents"]

_STEP = 2e-3
"""On the working scale of theta, for central differences of fourth order."""
_STANDARD_ERRORS = 3e-3
"""The step of second differences."""


@dataclass(frozen=True, slots=True, eq=False)
class Tangent:
    """A direction in which G changes.

    Attributes
    ----------
    factor : int
        The position of the grouping factor.
    change : (q, q) array
        The derivative of the covariance matrix of a level.
    parameter : int or None
        The parameter whose derivative it is, on its working scale; None for an element of G.
    """

    factor: int
    change: Array
    parameter: int | None


def tangents(equations: Equations, optimum: Optimum, elements: bool) -> list[Tangent]:
    """Symmetric matrices that span the changes of G at an optimum.

    Parameters on the boundary are held there.

    Parameters
    ----------
    equations : Equations
    optimum : Optimum
    elements : bool
        Whether unrestricted, diagonal and identity matrices, which are linear in their elements,
        change in all of these, whatever they are now.
    """
    found: list[Tangent] = []
    for f, factor in enumerate(equations.factors):
        for number, bar in enumerate(factor.bars):
            if bar.shape is not None:
                found += _shaped(equations, optimum, f, number)
                continue
            own = bar.slice
            changes: list[tuple[Array, int | None]] = [(E, None) for E in _elements(bar)]
            if not elements:
                changes = [*_unshaped(equations, optimum, f, number)]
            for change, parameter in changes:
                E = np.zeros((len(factor.effects),) * 2)
                E[own, own] = change
                found.append(Tangent(f, E, parameter))
    return found


def slope(
    parameters: Parameters, theta: Array, position: int, function: Callable[[Array], Array]
) -> Array:
    """The derivative of a function of theta in a parameter on its working scale, by central
    differences of fourth order.
    """
    return fourth_order(lambda h: function(parameters.stepped(theta, position, h)), _STEP)


def curvature(
    parameters: Parameters,
    theta: Array,
    positions: Array,
    W: Array,
    function: Callable[[Array], Array],
) -> Array:
    """The sum of W_ij times the second derivatives of a function of theta in parameters i and j:
    variances for standard deviations, and others as they are.

    With W = LL' these are the second derivatives along the columns of L, which are as long as
    standard errors, and so are good steps.

    Parameters
    ----------
    parameters : Parameters
    theta : (k,) array
    positions : (m,) int array
        The parameters.
    W : (m, m) array
        Covariance matrix of them, on their working scale.
    function : callable
        Of theta.
    """
    values = theta[positions]
    squared = np.isin(np.array(parameters.kinds)[positions], ["sd", "sigma"])
    natural = np.where(squared, values**2, values)
    slopes = scales.slopes(values, parameters.bounds[positions])
    slopes = np.where(squared, 2 * values * slopes, slopes)
    sizes, vectors = np.linalg.eigh(W)
    steps = slopes[:, None] * vectors * np.sqrt(np.maximum(sizes, 0.0)) * _STANDARD_ERRORS

    def moved(step: Array) -> Array:
        where = theta.copy()
        where[positions] = np.where(squared, np.sqrt(np.abs(natural + step)), natural + step)
        return function(where)

    here = function(theta)
    second = [moved(step) - 2 * here + moved(-step) for step in steps.T]
    return np.asarray(np.sum(second, axis=0) / _STANDARD_ERRORS**2)


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


def _unshaped(
    equations: Equations, optimum: Optimum, f: int, number: int
) -> list[tuple[Array, int]]:
    """Derivatives of the covariance of an unrestricted, diagonal or identity bar."""
    factor, boundary = equations.factors[f], optimum.boundary
    own = slice(factor.bars[number].start, factor.bars[number].stop)
    G = equations.covariances(optimum.M, optimum.sigma)[factor.name][own, own]
    found = []
    for block in equations.parameters.of_bar(factor.name, number):
        free = [i for i in range(block.start, block.stop) if not boundary[i]]
        if block.kind == "sd" and len(block.labels) < len(G):
            found += [(2 * G, i) for i in free]  # one for all effects
        elif block.kind == "sd":
            effects = np.eye(len(G))[[i - block.start for i in free]]
            found += [(G * (e[:, None] + e), i) for e, i in zip(effects, free, strict=True)]
        else:
            sd = np.sqrt(np.diag(G))
            for i in free:
                row, column = (index[i - block.start] for index in np.tril_indices(len(G), -1))
                E = np.zeros_like(G)
                E[row, column] = sd[row] * sd[column] * (1 - optimum.theta[i] ** 2)
                found.append((E + E.T, i))
    return found


def _shaped(equations: Equations, optimum: Optimum, f: int, number: int) -> list[Tangent]:
    """Derivatives of the covariance of a level in the parameters of a bar with a structure, without
    those that stand with another stratum's bar.
    """
    factor, parameters = equations.factors[f], equations.parameters
    regular = optimum.theta.copy()
    for block in parameters.blocks:  # other bars may be singular, and do not matter
        if block.kind == "corr" and not (block.factor == factor.name and number in block.bars):
            regular[block.slice] = 0.0

    def G(theta: Array) -> Array:
        return equations.covariances(equations.relative_factors(theta), theta[-1])[factor.name]

    found = []
    for block in parameters.of_bar(factor.name, number):
        changing = np.zeros((len(factor.effects),) * 2, dtype=bool)
        for bar in (factor.bars[i] for i in block.bars):
            changing[bar.slice, bar.slice] = True
        for i in range(block.start, block.stop) if block.bar == number else ():
            if not optimum.boundary[i]:
                change = np.where(changing, slope(parameters, regular, i, G), 0.0)
                found.append(Tangent(f, change, i))
    return found
