"""The posterior density of theta on an unconstrained scale, compiled once for every model.

It is the density of `collapsed_model`, evaluated without PyTensor: priors and hyperparameters are
numbers in two arrays, so that neither another prior nor another shape of model compiles anything,
and Numba keeps the compiled code on disk. `coordinates` has the scale. Structures of G and of R are
in the equations' arrays.
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
from bayeslmm.coordinates import Coordinates, constrain, pullback
from bayeslmm.core import compile_core
from bayeslmm.frames import Array
from bayeslmm.priors import (
    LKJ,
    Exponential,
    Gamma,
    HalfCauchy,
    HalfNormal,
    HalfStudentT,
    InverseGamma,
    LogNormal,
    Normal,
    Prior,
    Uniform,
)
from bayeslmm.structures import correlation_factor

if TYPE_CHECKING:
    from bayeslmm.equations import Equations
    from bayeslmm.prior_table import PriorTable

__all__ = ["Density", "callbacks"]


(
    _HALF_NORMAL,
    _HALF_T,
    _EXPONENTIAL,
    _GAMMA,
    _INVERSE_GAMMA,
    _LOG_NORMAL,
    _UNIFORM,
    _LKJ,
    _NORMAL,
) = range(9)


@njit(nogil=True, cache=True, error_model="numpy")
def _log_prior(code: int, value: float, a: float, b: float) -> tuple[float, float]:
    """Log density of a scalar prior without its constant, and its derivative."""
    if code == _HALF_NORMAL:
        return -0.5 * (value / a) ** 2, -value / a**2
    if code == _HALF_T:
        square = (value / b) ** 2
        return -0.5 * (a + 1.0) * np.log1p(square / a), -(a + 1.0) * value / (b * b * (a + square))
    if code == _EXPONENTIAL:
        return -a * value, -a
    if code == _NORMAL:
        return -0.5 * ((value - a) / b) ** 2, -(value - a) / b**2
    if code == _GAMMA:
        return (a - 1.0) * np.log(value) - b * value, (a - 1.0) / value - b
    if code == _INVERSE_GAMMA:
        return -(a + 1.0) * np.log(value) - b / value, -(a + 1.0) / value + b / value**2
    if code == _LOG_NORMAL:
        z = (np.log(value) - a) / b
        return -np.log(value) - 0.5 * z * z, -(1.0 + z / b) / value
    return 0.0, 0.0


@njit(nogil=True, cache=True, error_model="numpy")
def _lkj(eta: float, corr: Array, q: int, dcorr: Array) -> float:
    """Log density of LKJ without its constant; adds its gradient to ``dcorr``."""
    if eta == 1.0:
        return 0.0
    L = np.zeros((q, q))
    correlation_factor(q, corr, L)
    inverse = np.zeros((q, q))  # of L
    value = 0.0
    for i in range(q):
        value += 2.0 * (eta - 1.0) * np.log(L[i, i])
        inverse[i, i] = 1.0 / L[i, i]
        for j in range(i):
            for k in range(j, i):
                inverse[i, j] -= L[i, k] * inverse[k, j] / L[i, i]
    at = 0
    for i in range(1, q):
        for j in range(i):
            for k in range(i, q):
                dcorr[at] += 2.0 * (eta - 1.0) * inverse[k, i] * inverse[k, j]
            at += 1
    return value


@njit(nogil=True, cache=True, error_model="numpy")
def log_density(
    x: Array,
    table: Array,
    hyper: Array,
    kinds: Array,
    ab: Array,
    bars: Array,
    T: Array,
    lags: Array,
    beta_mean: Array,
    beta_precision: Array,
    ints: Array,
    floats: Array,
    gradient: Array,
) -> float:
    """Log posterior density at ``x``, up to the priors' constants; its gradient in the last one."""
    theta, about = np.empty(len(x)), np.empty(len(x))
    constrain(x, kinds, ab, bars, T, lags, theta, about)
    value, dtheta = kernels.collapsed(theta, beta_mean, beta_precision, ints, floats)
    dabout = np.zeros(len(x))
    for block in range(len(table)):
        code, start, stop, q = table[block]
        if code == _LKJ:
            value += _lkj(hyper[block, 0], about[start:stop], q, dabout[start:stop])
        else:
            for i in range(start, stop):
                log_prior, slope = _log_prior(code, about[i], hyper[block, 0], hyper[block, 1])
                value += log_prior
                dabout[i] += slope
    return value + pullback(x, kinds, ab, bars, T, lags, dtheta, dabout, gradient)


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """An address held as an integer, as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), codegen


_ARRAYS = 13
"""How many arrays the compiled functions read."""


@njit(nogil=True, cache=True, error_model="numpy")
def _integers(header: Array, number: int) -> Array:
    return carray(_pointer(header[2 * number]), (header[2 * number + 1],), np.int64)


@njit(nogil=True, cache=True, error_model="numpy")
def _floats(header: Array, number: int) -> Array:
    return carray(_pointer(header[2 * number]), (header[2 * number + 1],), np.float64)


@njit(nogil=True, cache=True, error_model="numpy")
def _coordinates(header: Array, k: int) -> tuple[Array, Array, Array, Array, Array]:
    bars, lags = _integers(header, 4), _integers(header, 6)
    return (
        _integers(header, 2),
        _floats(header, 3).reshape(k, 2),
        bars.reshape(len(bars) // 5, 5),
        _floats(header, 5),
        lags.reshape(len(lags) // 3, 3),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _place(z: Array, header: Array, x: Array) -> Array:
    """Write x = location + scale z, and return the array of scale (k, k)."""
    k = len(z)
    location, scale = _floats(header, 11), _floats(header, 12).reshape(k, k)
    for i in range(k):
        x[i] = location[i]
        for j in range(k):
            x[i] += scale[i, j] * z[j]
    return scale


def _evaluate(dim: int, z_: Any, gradient_: Any, value_: Any, data_: Any) -> int:
    """nutpie's callback for the log density; 0, or 1 where it does not exist."""
    k = np.int64(dim)
    header = carray(data_, (2 * _ARRAYS,), np.int64)
    table, hyper = _integers(header, 0), _floats(header, 1)
    kinds, ab, bars, T, lags = _coordinates(header, k)
    beta_mean = _floats(header, 7)
    p = len(beta_mean)
    x, dx = np.empty(k), np.zeros(k)
    scale = _place(carray(z_, (k,)), header, x)
    value = log_density(
        x,
        table.reshape(len(table) // 4, 4),
        hyper.reshape(len(hyper) // 2, 2),
        kinds,
        ab,
        bars,
        T,
        lags,
        beta_mean,
        _floats(header, 8).reshape(p, p),
        _integers(header, 9),
        _floats(header, 10),
        dx,
    )
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
    header = carray(data_, (2 * _ARRAYS,), np.int64)
    kinds, ab, bars, T, lags = _coordinates(header, k)
    x = np.empty(k)
    _place(carray(z_, (k,)), header, x)
    constrain(x, kinds, ab, bars, T, lags, carray(theta_, (k,)), np.empty(k))
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
        evaluate = cfunc(
            status(size, _DOUBLES, _DOUBLES, _DOUBLES, data), cache=True, error_model="numpy"
        )(_evaluate)
        expand = cfunc(
            status(size, size, _DOUBLES, _DOUBLES, data), cache=True, error_model="numpy"
        )(_expand)
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
        case Normal(mu, sigma):
            return _NORMAL, mu, sigma
        case Uniform(lower, upper):
            return _UNIFORM, lower, upper
        case LKJ(eta):
            return _LKJ, eta, 0.0
    raise AssertionError(f"{prior!r} is no prior for theta")


def _typical(prior: Prior) -> float:
    """The value at which the prior density of the logarithm is highest, or the middle."""
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
        case Normal(mu, _):
            return mu
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
    priors : tuple of arrays
        A row (prior, first and last place in theta, size of the matrix) for each block, and its
        hyperparameters.
    coordinates : Coordinates
        What turns x into theta.
    equations : tuple of arrays
        Beta's prior mean and precision, and the equations' integers and floats.
    location : (k,) array
    scale : (k, k) array
    """

    typical: Array
    priors: tuple[Array, Array]
    coordinates: Coordinates
    equations: tuple[Array, ...]
    location: Array
    scale: Array

    @classmethod
    def of(
        cls,
        equations: Equations,
        priors: PriorTable,
        scales: Array | None = None,
        *,
        of_data: bool = True,
    ) -> Density:
        """The density of a model under its priors, at positions z = x.

        Parameters
        ----------
        equations : Equations
        priors : PriorTable
        scales, of_data
            As in `Coordinates.of`.
        """
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
        return cls(
            np.array([_typical(prior) for prior in priors.theta]),
            (np.array(table, dtype=np.int64), np.array(hyper, dtype=np.float64)),
            Coordinates.of(equations, priors, scales, of_data=of_data),
            (
                priors.beta_mean,
                np.ascontiguousarray(priors.beta_precision),
                *equations.arrays,
            ),
            np.zeros(k),
            np.eye(k),
        )

    def at(self, location: Array, scale: Array) -> Density:
        """The same density with positions relative to a location and scale in x."""
        return replace(self, location=location, scale=np.ascontiguousarray(scale))

    @cached_property
    def header(self) -> Array:
        """Address and length of each array, valid as long as this object lives."""
        arrays = (
            *self.priors,
            *self.coordinates.arrays,
            *self.equations,
            self.location,
            self.scale,
        )
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

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates x of theta; those of a point near it, if it is on or near the boundary of
        its support.
        """
        return self.coordinates.unconstrained(theta, 0.01 * self.typical)


def _address(array: Array) -> Any:
    from ctypes import POINTER, c_double

    return array.ctypes.data_as(POINTER(c_double))
