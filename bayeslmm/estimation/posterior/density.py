"""The posterior density of theta on an unconstrained scale, by the compiled library.

It is the density of `collapsed_model`, evaluated without PyTensor: priors and hyperparameters are
numbers in two arrays, so that neither another prior nor another shape of model compiles anything.
`coordinates` has the scale. Structures of G and of R, and known relationships between levels, are
in the equations' arrays; coordinates of correlations by lag and of loadings are those that
`correlations` has.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bayeslmm.core.library import Status, address, floats, function, pointer, span, spans
from bayeslmm.estimation.coordinates import CoordinateArrays, Coordinates
from bayeslmm.estimation.posterior.sampled_coefficients import SampledCoefficients
from bayeslmm.priors.kernels import prior_arrays, typical_values
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["Density", "callbacks"]


class DensityArrays(ctypes.Structure):
    """What the library's functions read, by address and length."""

    _fields_ = (
        *spans("table", "hyper"),
        ("coordinates", CoordinateArrays),
        *spans("beta_mean", "beta_precision", "ints", "floats"),
        *spans("slopes", "coefficients", "lift", "location", "scale"),
    )


_log_density = function("log_density", "iaaaa")
_expand = function("expand", "iiaaa")


class Callback(NamedTuple):
    """A function of the library that nutpie calls, in the place of one that Numba has compiled."""

    address: int


def callbacks() -> tuple[Callback, Callback]:
    """The C functions for the log density and for theta, with the data in `Density.data`."""
    return Callback(pointer("log_density")), Callback(pointer("expand"))


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
    sampled : SampledCoefficients
    location : (k + m,) array
    scale : (k + m, dim) array
    """

    typical: Array
    held: Array
    priors: tuple[Array, Array]
    coordinates: Coordinates
    equations: tuple[Array, ...]
    sampled: SampledCoefficients
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
            As in `SampledCoefficients.of`.
        """
        values = typical_values(equations.parameters, priors)
        coordinates = Coordinates.of(equations, priors, scales, of_data=of_data)
        sampled = SampledCoefficients.of(equations, priors, near)
        held = np.append(priors.held, np.zeros(sampled.count, dtype=bool))
        location = np.zeros(len(held))
        if priors.held.any():
            location[held] = coordinates.unconstrained(values, 0 * values, priors.held)[priors.held]
        return cls(
            values,
            priors.held,
            prior_arrays(equations.parameters, priors),
            coordinates,
            (floats(priors.beta_mean), floats(sampled.precision), *equations.arrays),
            sampled,
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

    def rounded(self) -> Density:
        """The density with second derivatives everywhere: see `SampledCoefficients.rounded`."""
        return replace(self, sampled=self.sampled.rounded())

    @cached_property
    def arrays(self) -> DensityArrays:
        """What the library takes, valid as long as this object lives."""
        table, hyper = map(span, self.priors)
        beta_mean, beta_precision, ints, floats = map(span, self.equations)
        sampled = self.sampled
        beside = (sampled.slopes.numbers, sampled.table, sampled.lift)
        return DensityArrays(
            table,
            hyper,
            self.coordinates.arrays,
            beta_mean,
            beta_precision,
            ints,
            floats,
            *map(span, (*beside, self.location, self.scale)),
        )

    @property
    def data(self) -> Array:
        """A view of `arrays`, as nutpie hands them to `callbacks`."""
        return np.frombuffer(self.arrays, dtype=np.int64)

    def __getstate__(self) -> dict[str, object]:
        """Without addresses, which mean nothing in another process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __call__(self, z: Array) -> tuple[float, Array]:
        """Log density up to a constant, minus infinity where there is none, and its gradient."""
        z = floats(z)
        value, gradient = np.empty(1), np.empty(len(z))
        status = _log_density(
            len(z), address(z), address(gradient), address(value), ctypes.addressof(self.arrays)
        )
        return (float(value[0]) if status == Status.OK else -np.inf), gradient

    def theta(self, z: Array) -> Array:
        """Theta at one position."""
        z, out = floats(z), np.empty(len(self.location))
        _expand(len(z), len(out), address(z), address(out), ctypes.addressof(self.arrays))
        return out[: len(self.typical)]

    def unconstrained(self, theta: Array) -> Array:
        """The coordinates x of theta without those held, where nothing is moved or scaled; those of
        a point near it, if it is on or near the boundary of its support. Coefficients are those of
        least squares.
        """
        theta = np.where(self.held, self.typical, theta)
        x = self.coordinates.unconstrained(theta, 0.01 * self.typical, self.held)[~self.held]
        return np.append(x, self.sampled.unconstrained(theta))
