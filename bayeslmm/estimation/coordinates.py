"""Unconstrained coordinates x of theta, in which a posterior is close to normal.

Of a standard deviation outside a `UN` bar:

- w = s sinh(x) with theta = |w|, where s is a standard deviation that the data can hardly tell from
  zero. Far above s, x is the logarithm; near zero it is linear and runs on to the other side, since
  the sign of w changes nothing. On a logarithmic scale a standard deviation of about zero would
  have no lower end;
- log(theta) without such a scale (s = 0): of the residuals, and where a prior is infinite at zero.
  Where it grows with covariates it is that at their means (`growth`);
- the logit of its place in the interval for a uniform prior;
- of the correlation at a distance of one, `CAR1`'s rho, the logit of that at the spacing of the
  data, rho^spacing: where this is nothing special rho itself may be 1 or 0 but for the last digits.

Of the standard deviations and correlations of a `UN` bar: G = T G̃ T', where T makes the bar's
columns orthonormal. In G̃ an intercept is that at the middle of the data, so that effects are not
strongly correlated, whatever the zero and the unit of a covariate. Its standard deviations are as
above, and its correlations have Fisher's z of the partial correlations of effects i and j given
those before j, row by row: if these are beta distributed on (-1, 1) with parameters
1 + (q - 2 - j)/2, correlation matrices are uniform (Lewandowski, Kurowicka and Joe 2009, Journal of
Multivariate Analysis 100, 1989-2001), which gives the Jacobian of the correlations. That of
(sd, corr) in G is 2^q ∏ sd^q, and G is linear in G̃, so that
|d(sd, corr)/d(s̃d, c̃orr)| = ∏ (s̃d/sd)^q. A negative w changes the signs of a row and a column of
G̃, which leaves uniform correlations uniform.

The prior of a bar may be about the standard deviations and correlations of its effects as they are
reported, or of others, those with the intercept at the predictors' means (`PriorTable.basis`); the
Jacobian is that of what it is about.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import address, floats, function, span, spans
from bayeslmm.covariance.cholesky import UN, correlation_factor, factor, lower_triangle
from bayeslmm.covariance.correlations.kernels import to_unconstrained
from bayeslmm.design.growth import Growth
from bayeslmm.errors import ArgumentError
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from bayeslmm.design.blocks import Block
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.table import PriorTable

__all__ = ["CoordinateArrays", "Coordinates"]


_SINH, _LOGIT, _PARTIAL, _REAL, _JOINT, _POWER = range(6)
_INSIDE = 0.9999
"""Largest partial correlation that has coordinates."""
_SMALL_GRADIENT, _ABOVE_JACOBIAN = 1e-8, 30
"""Gradients below the first are scaled to this power of two before the Jacobian's is taken from
them, which would take away their digits, such as those of responses in small units.
"""
_LARGEST_POWER = 1000
"""Of two, that is a number of double precision with room above."""


_constrain = function("constrain", "aaaa")
_pullback = function("pullback", "aaaaaa")


class CoordinateArrays(ctypes.Structure):
    """The arrays of `Coordinates` as the library takes them."""

    _fields_ = spans("kinds", "ab", "bars", "T", "lags", "shear")


@dataclass(frozen=True, eq=False)
class Coordinates:
    """What turns x into theta.

    Attributes
    ----------
    kinds : (k,) int array
        Of which kind each coordinate is.
    ab : (k, 2) array
        The scale s, or that of an exponent, or a spacing, and nothing; or the bounds of an
        interval.
    bars : (m, 5) int array
        For each `UN` bar, where its standard deviations and correlations stand in theta, its number
        of effects, and where its two matrices stand. Correlations of R, and of a bar whose effects
        share a standard deviation, have -1 for the first.
    T : array
        Matrices (q, q), flat: those that take effects of these coordinates to the effects of the
        bar, and those that take them to the effects that the prior is about.
    lags : (m, 4) int array
        For each set of parameters that a structure makes together, such as correlations by lag,
        the first and the last in theta, the number of occasions, and the code of the structure.
    shear : (k, k) array, or (0, k)
        What is taken from the logarithm of each standard deviation at x, linear in the coordinates
        of the exponents that it grows by.
    together : tuple of Block
        Those sets.
    """

    kinds: Array
    ab: Array
    bars: Array
    T: Array
    lags: Array
    shear: Array
    together: tuple[Block, ...]

    @classmethod
    def of(
        cls,
        equations: Equations,
        priors: PriorTable | None = None,
        scales: Array | None = None,
        *,
        of_data: bool = True,
        held: Array | None = None,
    ) -> Coordinates:
        """Coordinates that suit a model and the priors of theta.

        Parameters
        ----------
        equations : Equations
        priors : PriorTable, optional
        scales : (k,) array, optional
            The scales s; none unless given.
        of_data : bool
            Whether the effects of a `UN` bar are those of orthonormal columns; otherwise those that
            the prior is about.
        held : (k,) array of bool, optional
            What does not move; that which priors hold unless given.
        """
        parameters = equations.parameters
        kinds = np.full(len(parameters), _SINH)
        ab = np.zeros((len(parameters), 2))
        if held is None:
            held = np.zeros(len(parameters), dtype=bool) if priors is None else priors.held
        parts = 0 if priors is None else int((priors.variance_weights[:-1] > 0).sum())
        bars: list[tuple[int, ...]] = []
        T = [np.empty(0)]
        for i, (lower, upper) in enumerate(parameters.bounds):
            prior = None if priors is None else priors.theta[i]
            if prior is not None:
                lower, upper = prior.within(lower, upper)
            if np.isfinite(upper - lower):
                kinds[i], ab[i] = _LOGIT, (lower, upper)
            elif np.isinf(lower):
                kinds[i], ab[i, 0] = _REAL, 1.0
            elif scales is not None and (prior is None or not prior.infinite_at_zero(parts)):
                ab[i, 0] = scales[i]
        for block in parameters.blocks:
            for i in range(block.start, block.stop):
                if block.at_one and tuple(ab[i]) == (0.0, 1.0):
                    kinds[i], ab[i] = _POWER, (block.spacing, 0.0)
        for group, cross in zip(equations.factors, equations.cross, strict=True):
            for number, bar in enumerate(group.bars):
                corr = parameters.find(group.name, number, "corr")
                sds = parameters.find(group.name, number, "sd")
                if corr is None or sds is None:
                    continue
                own = bar.slice
                kinds[corr.slice], ab[corr.slice] = _PARTIAL, 0.0
                if bar.shape is not None:  # with standard deviations that are not its own
                    if corr.bar == number:
                        bars.append((-1, corr.start, corr.size, 0, 0))
                    continue
                about = np.eye(corr.size)
                if priors is not None:
                    about = priors.basis(group.name, number, corr.size)
                # the bounds of an interval are those of the effects that the prior is about, and
                # what is held are parameters as reported
                bounded = np.any(kinds[sds.slice] == _LOGIT)
                basis = UN.working_transform(cross[own, own]) if of_data and not bounded else about
                if held[sds.slice].any() or held[corr.slice].any():
                    basis = np.eye(corr.size)
                at = sum(map(len, T))
                bars.append((sds.start, corr.start, corr.size, at, at + corr.size**2))
                T += [basis.ravel(), np.linalg.solve(about, basis).ravel()]
        together: list[Block] = []
        for block in parameters.blocks:
            if block.joint is not None:
                kinds[block.slice] = _JOINT
                together.append(block)
            elif block.kind == "corr" and block.factor is None:
                kinds[block.slice], ab[block.slice] = _PARTIAL, 0.0
                bars.append((-1, block.start, block.size, 0, 0))
        k = len(parameters)
        shear = np.empty((0, k))
        growth = Growth.of(parameters, equations.factors, equations.residuals)
        powers = np.array(parameters.kinds) == "power"
        ab[powers, 0] = growth.units[powers]
        if growth.weights.any():
            movable = (kinds == _SINH) & ~held
            shear = np.where(movable[:, None], growth.weights * growth.units, 0.0)
        return cls(
            kinds,
            ab,
            np.array(bars, dtype=np.int64).reshape(-1, 5),
            np.concatenate(T),
            np.array([_joint_row(b) for b in together], dtype=np.int64).reshape(-1, 4),
            shear,
            tuple(together),
        )

    @cached_property
    def arrays(self) -> CoordinateArrays:
        """What the library takes, valid as long as this object lives."""
        kept = (self.kinds, self.ab, self.bars, self.T, self.lags, self.shear)
        return CoordinateArrays(*map(span, kept))

    def __getstate__(self) -> dict[str, object]:
        """Without addresses, which mean nothing in another process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def natural(self, x: Array) -> Array:
        """Theta at x."""
        x = floats(x)
        theta, about = np.empty((2, len(x)))
        _constrain(ctypes.addressof(self.arrays), address(x), address(theta), address(about))
        return theta

    def pullback(self, x: Array, dtheta: Array) -> tuple[float, Array]:
        """The log Jacobian of theta at x, and the gradient in x of a log density, with the
        Jacobian, that has the gradient ``dtheta`` in theta.
        """
        x, dtheta = floats(x), np.array(dtheta, dtype=np.float64)
        dabout, dx, log_jacobian = np.zeros(len(x)), np.empty(len(x)), np.empty(1)
        _pullback(
            ctypes.addressof(self.arrays),
            address(x),
            address(dtheta),
            address(dabout),
            address(dx),
            address(log_jacobian),
        )
        return float(log_jacobian[0]), dx

    def gradient(self, x: Array, dtheta: Array) -> Array:
        """The gradient in x of a function that has the gradient ``dtheta`` in theta."""
        dtheta = np.asarray(dtheta, dtype=np.float64)
        with np.errstate(all="ignore"):
            changes = np.abs(dtheta) * (np.abs(self.natural(x)) + np.abs(self.ab[:, 0]))
        size = float(changes.max(initial=0.0))
        # a power of two, which rounds nothing
        power = min(_ABOVE_JACOBIAN - int(np.frexp(size)[1]), _LARGEST_POWER)
        factor = float(np.ldexp(1.0, power)) if 0 < size < _SMALL_GRADIENT else 1.0
        whole = self.pullback(x, factor * dtheta)[1] - self.pullback(x, np.zeros(len(x)))[1]
        return whole / factor

    def holding(self, x: Array, i: int, value: float) -> Array:
        """x with its i-th coordinate such that theta[i] has a value, the others as they are.

        It is NaN where no such coordinate exists. Not for standard deviations and correlations of
        random effects. A correlation of R, by pair or by lag, is linear in its own partial
        correlation, and a loading in its own share.
        """
        x = x.copy()
        kind, (a, b) = self.kinds[i], self.ab[i]
        with np.errstate(all="ignore"):
            if kind in (_PARTIAL, _JOINT):
                x[i] = 0.0
                middle = self.natural(x)[i]
                x[i] = 1.0
                slope = (self.natural(x)[i] - middle) / np.tanh(1.0)
                x[i] = np.arctanh((value - middle) / slope)
            elif kind == _LOGIT:
                x[i] = np.log(value - a) - np.log(b - value)
            elif kind == _POWER:
                x[i] = a * np.log(value) - np.log(-np.expm1(a * np.log(value)))
            elif kind == _REAL:
                x[i] = value / a
            else:
                x[i] = np.arcsinh(value / a) if a > 0 else np.log(value)
        return x

    def basis(self, bar: Array) -> Array:
        """The matrix (q, q) that takes effects of these coordinates to those of a row of
        ``bars``.
        """
        q = bar[2]
        return self.T[bar[3] : bar[3] + q * q].reshape(q, q)

    def unconstrained(self, theta: Array, floor: Array, held: Array | None = None) -> Array:
        """The coordinates of theta; those of a point near it, where theta is on the boundary.

        Parameters
        ----------
        theta : (k,) array
        floor : (k,) array
            Standard deviations to which smaller ones are raised.
        held : (k,) array of bool, optional
            Parameters whose coordinates are exactly theirs.
        """
        sd = np.maximum(theta, floor)
        x = np.empty(len(theta))
        for bar in self.bars:
            sds, corrs, q = bar[:3]
            own, pairs = slice(sds, sds + q), slice(corrs, corrs + q * (q - 1) // 2)
            if sds < 0:
                x[pairs] = _partial_z(theta[pairs], q)
                continue
            inverse = np.linalg.inv(self.basis(bar))
            F = factor(UN, theta[own], theta[pairs])
            assert F is not None, "theta are the parameters of covariance matrices"
            sd[own], corr = UN.natural(inverse @ F @ F.T @ inverse.T)
            lowest = np.sqrt((inverse**2) @ floor[own] ** 2)
            sd[own] = np.maximum(sd[own], lowest)
            x[pairs] = _partial_z(corr, q)
        for block in self.together:
            own = slice(block.start, block.stop)
            x[own] = _unconstrained_together(block, theta[own])
        for i in np.flatnonzero((self.kinds != _PARTIAL) & (self.kinds != _JOINT)):
            a, b = self.ab[i]
            if self.kinds[i] == _REAL:
                x[i] = theta[i] / a
            elif self.kinds[i] == _LOGIT:
                value = theta[i]
                if held is None or not held[i]:
                    value = np.clip(value, a + 0.01 * (b - a), b - 0.01 * (b - a))
                x[i] = np.log(value - a) - np.log(b - value)
            elif self.kinds[i] == _POWER:
                log = a * np.log(max(theta[i], np.finfo(float).tiny))
                if held is None or not held[i]:
                    log = np.clip(log, np.log(0.01), np.log(0.99))
                x[i] = log - np.log(-np.expm1(log))
            else:
                x[i] = np.arcsinh(sd[i] / a) if a > 0 else np.log(sd[i])
        if len(self.shear):
            shift = self.shear @ np.where(self.kinds == _REAL, x, 0.0)
            for i in np.flatnonzero(self.shear.any(axis=1)):
                about = np.maximum(theta[i] * np.exp(shift[i]), floor[i])
                a = self.ab[i, 0]
                x[i] = np.arcsinh(about / a) if a > 0 else np.log(about)
        return x


def _joint_row(block: Block) -> tuple[int, ...]:
    """How the library takes a set of parameters that a structure makes together."""
    assert block.joint is not None
    return block.start, block.stop, block.size, block.joint.code


def _unconstrained_together(block: Block, values: Array) -> Array:
    """The coordinates of such a set; damped, where it is on the boundary."""
    assert block.joint is not None
    try:
        return to_unconstrained(block.joint, block.size, values)
    except ArgumentError:
        return to_unconstrained(block.joint, block.size, block.joint.damped(values))


def _partial_z(corr: Array, q: int) -> Array:
    """Fisher's z of the partial correlations, from the lower triangle of the correlations."""
    K = correlation_factor(q, corr)
    rows, columns = lower_triangle(q, -1)
    left = np.sqrt(np.maximum(1.0 - np.cumsum(K**2, axis=1) + K**2, 0.0))[rows, columns]
    partial = np.divide(K[rows, columns], left, out=np.zeros(len(rows)), where=left > 0)
    return np.arctanh(np.clip(partial, -_INSIDE, _INSIDE))
