"""Correlation matrices of any structure: parameters → matrices, the adjoint back, and unconstrained
coordinates of the parameters. The compiled library computes them.
"""

from __future__ import annotations

import numpy as np

from bayeslmm.core.library import Status, address, floats, function, integers
from bayeslmm.covariance.correlations.base import Correlation
from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

__all__ = [
    "coordinates_pullback",
    "correlation",
    "correlation_pullback",
    "inside",
    "to_natural",
    "to_unconstrained",
]

_correlations = function("correlations", "ibaiiiaaa")
_correlations_pullback = function("correlations_pullback", "ibaiiiaaaa", None)
_inside_bounds = function("inside", "ibaii")
_to_natural = function("to_natural", "ibiaia")
_coordinates_pullback = function("coordinates_pullback", "ibiaiaaa")


def correlation(
    structure: Correlation, params: Array, points: Array, distances: Array
) -> tuple[Array, bool]:
    """Correlation matrices of several sets of rows, or of one.

    Parameters
    ----------
    structure : Correlation
    params : (..., k) array
        The parameters of each set, all T occasions'; their order is that of `Correlation.kinds`.
    points : (..., q) int array
        Positions of the rows among the occasions, 0 to T − 1. Rows at one position correlate by 1.
        Used by structures that need positions.
    distances : (..., q, q) array
        Used by functions of distance only; of known correlations these.

    Returns
    -------
    (..., q, q) array
        NaN where parameters are outside their bounds for q rows or, where these are joint, make
        no correlation matrix of all T occasions.
    bool
        Whether all are correlation matrices.
    """
    params, points, distances = floats(params), integers(points), floats(distances)
    C = np.empty(distances.shape)
    status = _correlations(
        *_called(structure, params, points), address(points), address(distances), address(C)
    )
    return C, status == Status.OK


def correlation_pullback(
    structure: Correlation, params: Array, points: Array, distances: Array, dC: Array
) -> Array:
    """The adjoint of `correlation`.

    Parameters
    ----------
    structure, params, points, distances
        As given to `correlation`, which returned True.
    dC : (..., q, q) array
        The adjoint of C: df is the sum of dC_ij · (change of C_ij) over all i and j, so that a pair
        counts with both its triangles. The diagonal is not used.

    Returns
    -------
    (..., k) array
    """
    params, points, distances, dC = floats(params), integers(points), floats(distances), floats(dC)
    dparams = np.zeros(params.shape)
    _correlations_pullback(
        *_called(structure, params, points),
        address(points),
        address(distances),
        address(dC),
        address(dparams),
    )
    return dparams


def _called(
    structure: Correlation, params: Array, points: Array
) -> tuple[int, bool, int, int, int, int]:
    """How the library takes a structure with its parameters, and the sets of rows."""
    sets = int(np.prod(points.shape[:-1], dtype=np.int64))
    at = address(params)
    return structure.code, structure.nugget, at, params.shape[-1], sets, points.shape[-1]


def inside(structure: Correlation, params: Array, q: int) -> bool:
    """Whether parameters are those of a correlation matrix of q rows."""
    params = floats(params)
    at = address(params)
    status = _inside_bounds(structure.code, structure.nugget, at, len(params), q)
    return status == Status.OK


def to_natural(structure: Correlation, T: int, x: Array) -> Array:
    """The parameters at unconstrained coordinates.

    `Correlation.coordinates` says what they are. Those of an unrestricted matrix are in
    `bayeslmm.estimation.coordinates`, and it gets NaN here.

    Far out (beyond 18, where tanh(x) rounds to 1) the parameters are on the boundary, and
    `correlation` returns False.
    """
    x = floats(x)
    params = np.empty(len(x))
    _to_natural(structure.code, structure.nugget, T, address(x), len(x), address(params))
    return params


def coordinates_pullback(
    structure: Correlation, T: int, x: Array, dparams: Array
) -> tuple[float, Array]:
    """The logarithm of |dparams/dx|, and the gradient in x of a log density with the Jacobian.

    Parameters
    ----------
    structure, T, x
        As in `to_natural`; for an unrestricted matrix, all is NaN.
    dparams : array
        The density's gradient in the parameters, without the Jacobian.
    """
    x, dparams = floats(x), floats(dparams)
    dx, log_jacobian = np.empty(len(x)), np.empty(1)
    _coordinates_pullback(
        structure.code,
        structure.nugget,
        T,
        address(x),
        len(x),
        address(dparams),
        address(dx),
        address(log_jacobian),
    )
    return float(log_jacobian[0]), dx


def to_unconstrained(structure: Correlation, T: int, params: Array) -> Array:
    """The coordinates of parameters: the inverse of `to_natural`.

    Parameters
    ----------
    structure : Correlation
        Not an unrestricted one.
    T : int
        Number of occasions.
    params : array
        Within the bounds. Of a value in the outermost millionth of its interval, such as a nugget
        of 0, the coordinates are those of the nearest value further inside.

    Returns
    -------
    array
        As long as ``params``.

    Raises
    ------
    ArgumentError
        For an unrestricted matrix, and for parameters that are those of no correlation matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import bayeslmm as bl
    >>> from bayeslmm.covariance.correlations.kernels import to_unconstrained
    >>> to_unconstrained(bl.AR1().correlation, 4, np.array([0.5])).round(4)
    array([0.5493])
    """
    params = floats(params)
    if params.shape != (structure.n_parameters(T),):
        raise ArgumentError(
            f"{structure.name!r} got parameters of shape {params.shape}; give an array of "
            f"{structure.n_parameters(T)} for {T} occasions."
        )
    if not structure.unrestricted and not inside(structure, params, T):
        raise ArgumentError(
            f"{structure.name!r} has no correlation matrix of {T} occasions at {params.tolist()}; "
            "give parameters within their bounds, autocorrelations of a positive definite matrix, "
            "and loadings with communalities below 1."
        )
    return structure.coordinates(T, params)
