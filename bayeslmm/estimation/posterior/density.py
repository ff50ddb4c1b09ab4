"""The posterior density of theta on an unconstrained scale, compiled once for every model.

It is the density of `collapsed_model`, evaluated without PyTensor: priors and hyperparameters are
numbers in two arrays, so that neither another prior nor another shape of model compiles anything,
and Numba keeps the compiled code on disk. `coordinates` has the scale. Structures of G and of R,
and known relationships between levels, are in the equations' arrays; coordinates of correlations
by lag and of loadings are those that `correlations` has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from bayeslmm.data.frames import Array
from bayeslmm.equations import kernels
from bayeslmm.equations.entry import compile_core
from bayeslmm.estimation.coordinates import Coordinates, constrain, pullback
from bayeslmm.estimation.posterior.slopes import Slopes, pull_slopes, ratio_of, vector_of
from bayeslmm.priors.kernels import add_log_priors, prior_arrays, typical_values
from bayeslmm.support.announce import announced

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["Density", "callbacks"]


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
    shear: Array,
    beta_mean: Array,
    beta_precision: Array,
    ints: Array,
    floats: Array,
    numbers: Array,
    lift: Array,
    gradient: Array,
) -> float:
    """Log posterior density at ``x``, up to the priors' constants; its gradient in the last one.

    The last coordinates, one for each column of ``lift``, are those of slopes that are sampled.
    """
    k, p = len(kinds), len(beta_mean)
    own, z = x[:k], x[k:]
    theta, about = np.empty(k), np.empty(k)
    constrain(own, kinds, ab, bars, T, lags, shear, theta, about)
    mean, dmean = beta_mean.copy(), np.empty(p)
    if len(z) > 0:
        vector = vector_of(z, numbers, about)
        for i in range(p):
            for j in range(len(z)):
                mean[i] += lift[i, j] * vector[j]
    value, dtheta = kernels.loglik_by_mean(
        theta, kernels.REML, mean, beta_precision, ints, floats, dmean
    )
    dabout = np.zeros(k)
    log_prior, dratio = add_log_priors(table, hyper, about, dabout, ratio_of(z, numbers))
    value += log_prior
    if len(z) > 0:
        slope = np.zeros(len(z))
        for j in range(len(z)):
            for i in range(p):
                slope[j] += lift[i, j] * dmean[i]
        value += pull_slopes(z, numbers, about, slope, dratio, dabout, gradient[k:])
    return value + pullback(own, kinds, ab, bars, T, lags, shear, dtheta, dabout, gradient[:k])


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """An address held as an integer, as a pointer."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(address), codegen


_ARRAYS, _LOCATION = 16, 14
"""How many arrays the compiled functions read, and which of them is the location."""


@njit(nogil=True, cache=True, error_model="numpy")
def _integers(header: Array, number: int) -> Array:
    return carray(_pointer(header[2 * number]), (header[2 * number + 1],), np.int64)


@njit(nogil=True, cache=True, error_model="numpy")
def _floats(header: Array, number: int) -> Array:
    return carray(_pointer(header[2 * number]), (header[2 * number + 1],), np.float64)


@njit(nogil=True, cache=True, error_model="numpy")
def _coordinates(header: Array, k: int) -> tuple[Array, Array, Array, Array, Array, Array]:
    bars, lags, shear = _integers(header, 4), _integers(header, 6), _floats(header, 7)
    return (
        _integers(header, 2),
        _floats(header, 3).reshape(k, 2),
        bars.reshape(len(bars) // 5, 5),
        _floats(header, 5),
        lags.reshape(len(lags) // 4, 4),
        shear.reshape(len(shear) // k, k),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def _place(z: Array, header: Array, x: Array) -> Array:
    """Write x = location + scale z, and return the array of scale (k, m)."""
    k, m = len(x), len(z)
    location, scale = _floats(header, _LOCATION), _floats(header, _LOCATION + 1).reshape(k, m)
    for i in range(k):
        x[i] = location[i]
        for j in range(m):
            x[i] += scale[i, j] * z[j]
    return scale


def _evaluate(dim: int, z_: Any, gradient_: Any, value_: Any, data_: Any) -> int:
    """nutpie's callback for the log density; 0, or 1 where it does not exist."""
    m = np.int64(dim)
    header = carray(data_, (2 * _ARRAYS,), np.int64)
    k = header[5]  # the length of the kinds
    table, hyper = _integers(header, 0), _floats(header, 1)
    kinds, ab, bars, T, lags, shear = _coordinates(header, k)
    beta_mean, lift = _floats(header, 8), _floats(header, 13)
    p, length = len(beta_mean), header[2 * _LOCATION + 1]
    x, dx = np.empty(length), np.zeros(length)
    scale = _place(carray(z_, (m,)), header, x)
    value = log_density(
        x,
        table.reshape(len(table) // 6, 6),
        hyper,
        kinds,
        ab,
        bars,
        T,
        lags,
        shear,
        beta_mean,
        _floats(header, 9).reshape(p, p),
        _integers(header, 10),
        _floats(header, 11),
        _floats(header, 12),
        lift.reshape(p, length - k),
        dx,
    )
    carray(value_, (1,))[0] = value
    gradient = carray(gradient_, (m,))
    finite = np.isfinite(value)
    for j in range(m):
        total = 0.0
        for i in range(length):
            total += scale[i, j] * dx[i]
        gradient[j] = total
        finite = finite and np.isfinite(total)
    return 0 if finite else 1


def _expand(dim: int, expanded: int, z_: Any, theta_: Any, data_: Any) -> int:
    """nutpie's callback that makes theta of a position, and what `vector_of` makes of slopes."""
    m, length = np.int64(dim), np.int64(expanded)
    header = carray(data_, (2 * _ARRAYS,), np.int64)
    k = header[5]  # the length of the kinds
    kinds, ab, bars, T, lags, shear = _coordinates(header, k)
    x, about = np.empty(length), np.empty(k)
    _place(carray(z_, (m,)), header, x)
    out = carray(theta_, (length,))
    constrain(x[:k], kinds, ab, bars, T, lags, shear, out[:k], about)
    if length > k:
        out[k:] = vector_of(x[k:], _floats(header, 12), about)
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


@dataclass(frozen=True, eq=False)
class Density:
    """The posterior density of theta, at positions z with x = location + scale z.

    Where parameters are held, z has a number less for each. Coordinates of slopes that are sampled
    beside theta, m of them, come last in x.

    Attributes
    ----------
    typical : (k,) array
        Values of theta that the priors find typical.
    held : (k,) array of bool
        Parameters that stay at their typical value.
    priors : tuple of arrays
        Those of `prior_arrays`.
    coordinates : Coordinates
        What turns x into theta.
    equations : tuple of arrays
        Beta's prior mean and precision, and the equations' integers and floats.
    slopes : Slopes
    location : (k + m,) array
    scale : (k + m, dim) array
    """

    typical: Array
    held: Array
    priors: tuple[Array, Array]
    coordinates: Coordinates
    equations: tuple[Array, ...]
    slopes: Slopes
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
        near: Array | None = None,
    ) -> Density:
        """The density of a model under its priors, at positions z that are x without what is held.

        Parameters
        ----------
        equations : Equations
        priors : PriorTable
        scales, of_data
            As in `Coordinates.of`.
        near : (k,) array, optional
            As in `Slopes.of`.
        """
        values = typical_values(equations.parameters, priors)
        coordinates = Coordinates.of(equations, priors, scales, of_data=of_data)
        slopes = Slopes.of(equations, priors, near)
        m = len(slopes.start)
        held = np.append(priors.held, np.zeros(m, dtype=bool))
        location = np.zeros(len(held))
        if priors.held.any():
            location[held] = coordinates.unconstrained(values, 0 * values, priors.held)[priors.held]
        return cls(
            values,
            priors.held,
            prior_arrays(equations.parameters, priors),
            coordinates,
            (
                priors.beta_mean,
                np.ascontiguousarray(slopes.precision),
                *equations.arrays,
            ),
            slopes,
            location,
            np.ascontiguousarray(np.eye(len(held))[:, ~held]),
        )

    @property
    def dim(self) -> int:
        """The number of elements of a position."""
        return self.scale.shape[1]

    def at(self, z: Array, scale: Array) -> Density:
        """The same density with positions relative to the position ``z``, and a scale (m, m)."""
        return replace(
            self,
            location=self.location + self.scale @ z,
            scale=np.ascontiguousarray(self.scale @ scale),
        )

    @cached_property
    def header(self) -> Array:
        """Address and length of each array, valid as long as this object lives."""
        arrays = (
            *self.priors,
            *self.coordinates.arrays,
            *self.equations,
            self.slopes.numbers,
            self.slopes.lift,
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
        expanded = np.empty(len(self.location))
        callbacks()[1].ctypes(
            len(z), len(expanded), _address(z), _address(expanded), self.header.ctypes.data
        )
        return expanded[: len(self.typical)]

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates x of theta without those held, where nothing is moved or scaled; those of
        a point near it, if it is on or near the boundary of its support. Slopes are those of least
        squares.
        """
        theta = np.where(self.held, self.typical, theta)
        x = self.coordinates.unconstrained(theta, 0.01 * self.typical, self.held)[~self.held]
        return np.append(x, self.slopes.unconstrained(theta)) if len(self.slopes.start) else x


def _address(array: Array) -> Any:
    from ctypes import POINTER, c_double

    return array.ctypes.data_as(POINTER(c_double))
