"""The part of `Model.code` about correlation matrices, of residuals and of random effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bayeslmm.covariance.correlations import kernels as correlations

if TYPE_CHECKING:
    from bayeslmm.covariance.correlations.kernels import Correlation

__all__ = ["by_lag_or_distance", "is_by_element", "of_all_occasions"]

_ROOTS = {correlations.MATERN15.code: 3, correlations.MATERN25.code: 5}
"""Twice the smoothness."""


def is_by_element(correlation: Correlation) -> bool:
    """Whether each correlation, or loading, is a parameter of its own, or a product of some."""
    of_pairs = (correlations.UN.code, correlations.TOEP.code, correlations.ANTE1.code)
    return correlation.code in of_pairs or bool(correlation.factors)


def by_lag_or_distance(
    correlation: Correlation, size: str, lags: str, parameter: Callable[[str], str]
) -> Iterator[str]:
    """Lines that make matrices ``C`` of few parameters.

    Parameters
    ----------
    correlation : Correlation
    size : str
        The number of rows of a matrix.
    lags : str
        Lags of its elements. Their distances are ``distance``.
    parameter : callable
        How a parameter is written, by its variable without the factor: "rho".
    """
    code = correlation.code
    if code == correlations.CS.code:
        yield f"C = pt.where(np.eye({size}), 1, {parameter('rho')})"
        return
    if code in (correlations.AR1.code, correlations.ARMA11.code):
        rho = parameter("rho")
        yield f"lag = {lags}"
        value = f"{rho} ** np.maximum(lag, 1)"
        if code == correlations.ARMA11.code:
            ma = parameter("ma")
            yield f"first = (1 + {rho} * {ma}) * ({rho} + {ma}) / (1 + 2 * {rho} * {ma} + {ma}**2)"
            value = f"first * {rho} ** np.maximum(lag - 1, 0)"
        yield f"C = pt.where(lag == 0, 1, {value})"
        return
    if code == correlations.CAR1.code:
        value = f"{parameter('rho')} ** distance"
    else:
        ratio = f"distance / {parameter('range')}"
        if code in _ROOTS:
            yield f"s = np.sqrt({_ROOTS[code]}) * {ratio}"
        value = {
            correlations.EXP.code: f"pt.exp(-{ratio})",
            correlations.GAU.code: f"pt.exp(-(({ratio}) ** 2))",
            correlations.MATERN15.code: "(1 + s) * pt.exp(-s)",
            correlations.MATERN25.code: "(1 + s + s**2 / 3) * pt.exp(-s)",
        }[code]
    if correlation.nugget:
        value = f"(1 - {parameter('nugget')}) * {value}"
    yield f"C = pt.where(distance == 0, 1, {value})"


def of_all_occasions(
    correlation: Correlation, T: int, name: str, parameters: str, root: str
) -> Iterator[str]:
    """Lines that make the matrix of T occasions of a structure that `is_by_element`.

    Parameters
    ----------
    correlation : Correlation
    T : int
    name : str
        What the matrix is called.
    parameters : str
        The vector of its parameters.
    root : str
        The Cholesky factor of an unrestricted matrix.
    """
    code, k = correlation.code, correlation.factors
    if code == correlations.UN.code:
        yield f"{name} = {root} @ {root}.T"
    elif k:
        places = [(i, f) for i in range(T) for f in range(min(i + 1, k))]
        i, f = (list(part) for part in zip(*places, strict=True))
        yield f"L = pt.set_subtensor(pt.zeros(({T}, {k}))[{i}, {f}], {parameters})"
        yield "# communalities are at most 1, and the signs of the factors fixed"
        yield f"proper = pt.all((L**2).sum(axis=1) <= 1) & pt.all(pt.diag(L[:{k}]) >= 0)"
        yield f"{name} = pt.where(np.eye({T}), pt.where(proper, 1, np.nan), L @ L.T)"
    elif code == correlations.TOEP.code:
        positions = f"abs(np.subtract.outer(np.arange({T}), np.arange({T})))"
        yield f"{name} = pt.concatenate([np.ones(1), {parameters}])[{positions}]"
    else:
        product = f"{parameters}[min(i, j) : max(i, j)].prod()"
        inner = f"pt.stack([{product} for j in range({T})])"
        yield f"{name} = pt.stack([{inner} for i in range({T})])"
