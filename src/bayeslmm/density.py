"""The posterior density of theta on an unconstrained scale, compiled once for every model.

It is the density of `collapsed_model`, evaluated without PyTensor: priors and hyperparameters are
numbers in two arrays, so that neither another prior nor another shape of model compiles anything,
and Numba keeps the compiled code on disk.

The unconstrained coordinates x of theta are

- log(theta) for a positive parameter, and the logit of its place in the interval for a uniform
  prior;
- for a correlation matrix, Fisher's z of the partial correlations of effects i and j given those
  before j, row by row. A correlation matrix of density LKJ(eta) has independent partial
  correlations, beta distributed on (-1, 1) with both parameters eta + (q - 2 - j)/2 (Lewandowski,
  Kurowicka and Joe 2009, Journal of Multivariate Analysis 100, 1989-2001), so that its log density
  in x is the sum of alpha log(1 - z²) with no further Jacobian.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from bayeslmm import kernels
from bayeslmm.announce import announced
from bayeslmm.core import compile_core
from bayeslmm.priors import (
    LKJ,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Prior,
    Uniform,
)

if TYPE_CHECKING:
    from bayeslmm.equations import Equations
    from bayeslmm.prior_table import PriorTable

__all__ = ["Density", "callbacks"]

Array = np.ndarray

_HALF_NORMAL, _HALF_T, _EXPONENTIAL, _GAMMA, _INVERSE_GAMMA, _LOG_NORMAL, _UNIFORM, _LKJ = range(8)


@njit(nogil=True, cache=True)
def _log_prior(code: int, value: float, a: float, b: float) -> tuple[float, float]:
    """Log density of a scalar prior without its constant, and its derivative."""
    if code == _HALF_NORMAL:
        return -0.5 * (value / a) ** 2, -value / a**2
    if code == _HALF_T:
        square = (value / b) ** 2
        return -0.5 * (a + 1.0) * np.log1p(square / a), -(a + 1.0) * value / (b * b * (a + square))
    if code == _EXPONENTIAL:
        return -a * value, -a
    if code == _GAMMA:
        return (a - 1.0) * np.log(value) - b * value, (a - 1.0) / value - b
    if code == _INVERSE_GAMMA:
        return -(a + 1.0) * np.log(value) - b / value, -(a + 1.0) / value + b / value**2
    if code == _LOG_NORMAL:
        z = (np.log(value) - a) / b
        return -np.log(value) - 0.5 * z * z, -(1.0 + z / b) / value
    return 0.0, 0.0


@njit(nogil=True, cache=True)
def constrain(x: Array, table: Array, hyper: Array, theta: Array) -> None:
    """Write theta at the unconstrained ``x`` into ``theta``."""
    for block in range(len(table)):
        code, start, stop, q = table[block]
        if code == _LKJ:
            _correlations(x[start:stop], q, theta[start:stop])
        elif code == _UNIFORM:
            for i in range(start, stop):
                theta[i] = hyper[block, 0] + (hyper[block, 1] - hyper[block, 0]) / (
                    1.0 + np.exp(-x[i])
                )
        else:
            for i in range(start, stop):
                theta[i] = np.exp(x[i])


@njit(nogil=True, cache=True)
def _correlation_factor(x: Array, q: int, L: Array) -> None:
    """Cholesky factor of the correlation matrix whose partial correlations are tanh(x)."""
    L[0, 0] = 1.0
    at = 0
    for i in range(1, q):
        left = 1.0
        for j in range(i):
            L[i, j] = np.tanh(x[at]) * left
            left /= np.cosh(x[at])
            at += 1
        L[i, i] = left


@njit(nogil=True, cache=True)
def _correlations(x: Array, q: int, corr: Array) -> None:
    L = np.zeros((q, q))
    _correlation_factor(x, q, L)
    at = 0
    for i in range(1, q):
        for j in range(i):
            value = 0.0
            for k in range(j + 1):
                value += L[i, k] * L[j, k]
            corr[at] = value
            at += 1


@njit(nogil=True, cache=True)
def _correlations_pullback(x: Array, q: int, dcorr: Array, dx: Array) -> None:
    """Write the adjoint of `_correlations` at ``x`` into ``dx``."""
    L = np.zeros((q, q))
    dL = np.zeros((q, q))
    _correlation_factor(x, q, L)
    at = 0
    for i in range(1, q):
        for j in range(i):
            for k in range(j + 1):
                dL[i, k] += dcorr[at] * L[j, k]
                dL[j, k] += dcorr[at] * L[i, k]
            at += 1
    for i in range(1, q):
        first = i * (i - 1) // 2
        dleft = dL[i, i]
        left = L[i, i]
        for j in range(i - 1, -1, -1):
            z, c = np.tanh(x[first + j]), 1.0 / np.cosh(x[first + j])
            left /= c  # what was left before column j was taken out
            # z' = c² and c' = -z c in x
            dx[first + j] = c * left * (dL[i, j] * c - dleft * z)
            dleft = dL[i, j] * z + dleft * c


@njit(nogil=True, cache=True)
def log_density(
    x: Array,
    table: Array,
    hyper: Array,
    beta_mean: Array,
    beta_precision: Array,
    ints: Array,
    floats: Array,
    gradient: Array,
) -> float:
    """Log posterior density at ``x``, up to the priors' constants; its gradient in the last one."""
    theta = np.empty(len(x))
    constrain(x, table, hyper, theta)
    value, dtheta = kernels.collapsed(theta, beta_mean, beta_precision, ints, floats)
    for block in range(len(table)):
        code, start, stop, q = table[block]
        if code == _LKJ:
            _correlations_pullback(x[start:stop], q, dtheta[start:stop], gradient[start:stop])
            at = start
            for i in range(1, q):
                for j in range(i):
                    alpha = hyper[block, 0] + 0.5 * (q - 2 - j)
                    # log cosh, which must not overflow
                    value -= (
                        2.0
                        * alpha
                        * (abs(x[at]) + np.log1p(np.exp(-2.0 * abs(x[at]))) - np.log(2.0))
                    )
                    gradient[at] -= 2.0 * alpha * np.tanh(x[at])
                    at += 1
        elif code == _UNIFORM:
            for i in range(start, stop):
                share = 1.0 / (1.0 + np.exp(-x[i]))
                value -= abs(x[i]) + 2.0 * np.log1p(np.exp(-abs(x[i])))
                gradient[i] = (
                    dtheta[i] * (hyper[block, 1] - hyper[block, 0]) * share * (1.0 - share)
                    + 1.0
                    - 2.0 * share
                )
        else:
            for i in range(start, stop):
                log_prior, slope = _log_prior(code, theta[i], hyper[block, 0], hyper[block, 1])
                value += log_prior + x[i]
                gradient[i] = (dtheta[i] + slope) * theta[i] + 1.0
    return value


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """An address held as an integer, as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), codegen


@njit(nogil=True, cache=True)
def _place(z: Array, header: Array, x: Array) -> Array:
    """Write x = location + scale z, and return the array of scale (k, k)."""
    k = len(z)
    location = carray(_pointer(header[12]), (k,), np.float64)
    scale = carray(_pointer(header[14]), (k, k), np.float64)
    for i in range(k):
        x[i] = location[i]
        for j in range(k):
            x[i] += scale[i, j] * z[j]
    return scale


def _evaluate(dim: int, z_: Any, gradient_: Any, value_: Any, data_: Any) -> int:
    """nutpie's callback for the log density; 0, or 1 where it does not exist."""
    k = np.int64(dim)
    header = carray(data_, (16,), np.int64)
    z = carray(z_, (k,))
    ints = carray(_pointer(header[0]), (header[1],), np.int64)
    floats = carray(_pointer(header[2]), (header[3],), np.float64)
    p = header[5]
    beta_mean = carray(_pointer(header[4]), (p,), np.float64)
    beta_precision = carray(_pointer(header[6]), (p, p), np.float64)
    table = carray(_pointer(header[8]), (header[9] // 4, 4), np.int64)
    hyper = carray(_pointer(header[10]), (header[11] // 2, 2), np.float64)
    x, dx = np.empty(k), np.zeros(k)
    scale = _place(z, header, x)
    value = log_density(x, table, hyper, beta_mean, beta_precision, ints, floats, dx)
    carray(value_, (1,))[0] = value
    gradient = carray(gradient_, (k,))
    finite = np.isfinite(value)
    for j in range(k):
        total = 0.0
        for i in range(k):
            total += scale[i, j] * dx[i]
        gradient[j] = total
        finite = finite and np.isfinite(total)
    return 0 if finite else 1


def _expand(dim: int, expanded: int, z_: Any, theta_: Any, data_: Any) -> int:
    """nutpie's callback that makes theta of a position."""
    k = np.int64(dim)
    header = carray(data_, (16,), np.int64)
    table = carray(_pointer(header[8]), (header[9] // 4, 4), np.int64)
    hyper = carray(_pointer(header[10]), (header[11] // 2, 2), np.float64)
    x = np.empty(k)
    _place(carray(z_, (k,)), header, x)
    constrain(x, table, hyper, carray(theta_, (k,)))
    return 0


_DOUBLES = types.CPointer(types.double)


@cache
def callbacks() -> tuple[Any, Any]:
    """Compile, or load from Numba's cache, the C functions for the log density and for theta.

    The first call on a machine compiles, which takes some tens of seconds.

    Returns
    -------
    tuple of two numba.core.ccallback.CFunc
    """
    status, size, data = types.int64, types.uint64, types.voidptr
    with announced(
        "bayeslmm: compiling the posterior density, once for all models on this machine; "
        "this can take a minute."
    ):
        compile_core()  # the symbol that the compiled code refers to
        evaluate = cfunc(status(size, _DOUBLES, _DOUBLES, _DOUBLES, data), cache=True)(_evaluate)
        expand = cfunc(status(size, size, _DOUBLES, _DOUBLES, data), cache=True)(_expand)
    return evaluate, expand


def _row(prior: Prior) -> tuple[int, float, float]:
    """A prior as the kernels know it: its code and up to two hyperparameters."""
    match prior:
        case HalfNormal(sigma):
            return _HALF_NORMAL, sigma, 0.0
        case HalfStudentT(nu, sigma):
            return _HALF_T, nu, sigma
        case HalfCauchy(sigma):
            return _HALF_T, 1.0, sigma
        case Exponential(rate):
            return _EXPONENTIAL, rate, 0.0
        case Gamma(alpha, beta):
            return _GAMMA, alpha, beta
        case InverseGamma(alpha, beta):
            return _INVERSE_GAMMA, alpha, beta
        case LogNormal(mu, sigma):
            return _LOG_NORMAL, mu, sigma
        case Uniform(lower, upper):
            return _UNIFORM, lower, upper
        case LKJ(eta):
            return _LKJ, eta, 0.0
    raise AssertionError(f"{prior!r} is no prior for theta")


def _typical(prior: Prior) -> float:
    """The natural value at which the prior density of the unconstrained parameter is highest."""
    match prior:
        case HalfNormal(sigma) | HalfStudentT(_, sigma) | HalfCauchy(sigma):
            return sigma
        case Exponential(rate):
            return 1.0 / rate
        case Gamma(alpha, beta):
            return alpha / beta
        case InverseGamma(alpha, beta):
            return beta / alpha
        case LogNormal(mu, _):
            return float(np.exp(mu))
        case Uniform(lower, upper):
            return (lower + upper) / 2.0
    return 0.0


@dataclass(frozen=True, eq=False)
class Density:
    """The posterior density of theta, at positions z with x = location + scale z.

    Attributes
    ----------
    typical : (k,) array
        Values of theta that the priors find typical.
    arrays : tuple of arrays
        What the compiled functions read: the equations' integers and floats, beta's prior mean and
        precision, a row (prior, first and last place in theta, size of the matrix) for each block,
        and its hyperparameters.
    location : (k,) array
    scale : (k, k) array
    """

    typical: Array
    arrays: tuple[Array, ...]
    location: Array
    scale: Array

    @classmethod
    def of(cls, equations: Equations, priors: PriorTable) -> Density:
        """The density of a model under its priors, at positions z = x."""
        table: list[tuple[int, int, int, int]] = []
        hyper: list[tuple[float, float]] = []
        for block in equations.parameters.blocks:
            matrix = block.kind == "corr"
            step = block.stop - block.start if matrix else 1
            for start in range(block.start, block.stop, step):
                code, *values = _row(priors.theta[start])
                table.append((code, start, start + step, block.size if matrix else 1))
                hyper.append((values[0], values[1]))
        k = len(equations.parameters)
        arrays = (
            *equations.arrays,
            priors.beta_mean,
            np.ascontiguousarray(priors.beta_precision),
            np.array(table, dtype=np.int64),
            np.array(hyper, dtype=np.float64),
        )
        typical = np.array([_typical(prior) for prior in priors.theta])
        return cls(typical, arrays, np.zeros(k), np.eye(k))

    def at(self, location: Array, scale: Array) -> Density:
        """The same density with positions relative to a location and scale in x."""
        return replace(self, location=location, scale=np.ascontiguousarray(scale))

    @cached_property
    def header(self) -> Array:
        """Address and length of each array, valid as long as this object lives."""
        arrays = (*self.arrays, self.location, self.scale)
        return np.array([(a.ctypes.data, a.size) for a in arrays], dtype=np.int64).ravel()

    def __call__(self, z: Array) -> tuple[float, Array]:
        """Log density up to a constant, minus infinity where there is none, and its gradient."""
        z = np.ascontiguousarray(z, dtype=np.float64)
        value, gradient = np.empty(1), np.empty(len(z))
        status = callbacks()[0].ctypes(
            len(z), _address(z), _address(gradient), _address(value), self.header.ctypes.data
        )
        return (float(value[0]) if status == 0 else -np.inf), gradient

    def theta(self, z: Array) -> Array:
        """Theta at one position."""
        z = np.ascontiguousarray(z, dtype=np.float64)
        theta = np.empty(len(z))
        callbacks()[1].ctypes(len(z), len(z), _address(z), _address(theta), self.header.ctypes.data)
        return theta

    def inside(self, theta: Array) -> Array:
        """Theta moved off the boundary of its support, if it is on or near it."""
        moved = np.array(theta, dtype=np.float64)
        for (code, start, stop, _), (lower, upper) in zip(*self.arrays[4:], strict=True):
            part = slice(start, stop)
            if code == _LKJ:
                moved[part] *= 0.95
            elif code == _UNIFORM:
                margin = 0.01 * (upper - lower)
                moved[part] = np.clip(moved[part], lower + margin, upper - margin)
            else:
                moved[part] = np.maximum(moved[part], 0.01 * self.typical[part])
        return moved

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates x of theta, which must be inside its support."""
        x = np.empty(len(theta))
        for (code, start, stop, q), (lower, upper) in zip(*self.arrays[4:], strict=True):
            values = theta[start:stop]
            if code == _LKJ:
                x[start:stop] = _partial_z(values, q)
            elif code == _UNIFORM:
                x[start:stop] = np.log(values - lower) - np.log(upper - values)
            else:
                x[start:stop] = np.log(values)
        return x


def _address(array: Array) -> Any:
    from ctypes import POINTER, c_double

    return array.ctypes.data_as(POINTER(c_double))


def _partial_z(corr: Array, q: int) -> Array:
    """Fisher's z of the partial correlations, from the lower triangle of the correlations."""
    rows, columns = np.tril_indices(q, -1)
    matrix = np.eye(q)
    matrix[rows, columns] = matrix[columns, rows] = corr
    L = np.linalg.cholesky(matrix)
    left = np.sqrt(1.0 - np.cumsum(L**2, axis=1) + L**2)  # what the columns before leave of a row
    return np.arctanh(L[rows, columns] / left[rows, columns])
