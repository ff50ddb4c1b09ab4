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

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from bayeslmm.covariance.cholesky import UN, correlation_factor, factor, lower_triangle
from bayeslmm.covariance.correlations.kernels import (
    CORRELATIONS,
    TOEP,
    coordinates_pullback,
    to_natural,
    to_unconstrained,
)
from bayeslmm.data.frames import Array
from bayeslmm.design.growth import Growth
from bayeslmm.errors import ArgumentError
from bayeslmm.priors.families import Gamma, Uniform, VarianceSplit, Wishart

if TYPE_CHECKING:
    from bayeslmm.equations.equations import Equations
    from bayeslmm.priors.families import Prior
    from bayeslmm.priors.table import PriorTable

__all__ = ["Coordinates", "constrain", "pullback"]


_SINH, _LOGIT, _PARTIAL, _REAL, _LAGS, _POWER = range(6)
_INSIDE = 0.9999
"""Largest partial correlation that has coordinates."""


@njit(nogil=True, cache=True, error_model="numpy")
def _log_share(x: float) -> float:
    """The logarithm of the share whose logit is x."""
    return min(x, 0.0) - np.log1p(np.exp(-abs(x)))


@njit(nogil=True, cache=True, error_model="numpy")
def _signed(kind: int, x: float, a: float, b: float) -> float:
    """A parameter, a standard deviation with the sign of its side."""
    if kind == _REAL:
        return a * x
    if kind == _LOGIT:
        return a + (b - a) / (1.0 + np.exp(-x))
    if kind == _POWER:
        return np.exp(_log_share(x) / a)
    return a * np.sinh(x) if a > 0.0 else np.exp(x)


@njit(nogil=True, cache=True, error_model="numpy")
def _slopes(kind: int, x: float, a: float, b: float) -> tuple[float, float, float]:
    """d w/dx, log |dw/dx| and its derivative."""
    if kind == _REAL:
        return a, np.log(a), 0.0
    if kind == _LOGIT:
        share = 1.0 / (1.0 + np.exp(-x))
        log_slope = np.log(b - a) - abs(x) - 2.0 * np.log1p(np.exp(-abs(x)))
        return (b - a) * share * (1.0 - share), log_slope, 1.0 - 2.0 * share
    if kind == _POWER:
        left = 1.0 / (1.0 + np.exp(x))
        log_slope = _log_share(x) / a + _log_share(-x) - np.log(a)
        return np.exp(log_slope), log_slope, left / a - (1.0 - left)
    if a > 0.0:
        slope = a * np.cosh(x)
        return slope, np.log(slope), np.tanh(x)
    return np.exp(x), x, 1.0


@njit(nogil=True, cache=True, error_model="numpy")
def _partial_factor(x: Array, q: int, L: Array) -> None:
    """Cholesky factor of the correlation matrix whose partial correlations are tanh(x)."""
    L[:, :] = 0.0
    L[0, 0] = 1.0
    at = 0
    for i in range(1, q):
        left = 1.0
        for j in range(i):
            L[i, j] = np.tanh(x[at]) * left
            left /= np.cosh(x[at])
            at += 1
        L[i, i] = left


@njit(nogil=True, cache=True, error_model="numpy")
def _correlation_pullback(x: Array, q: int, L: Array, dL: Array, dx: Array) -> float:
    """Write into ``dx`` the adjoint of `_partial_factor`, and add the gradient of the Jacobian
    of the correlations, whose logarithm is returned.
    """
    log_jacobian = 0.0
    for i in range(1, q):
        first = i * (i - 1) // 2
        dleft = dL[i, i]
        left = L[i, i]
        for j in range(i - 1, -1, -1):
            at = x[first + j]
            z, c = np.tanh(at), 1.0 / np.cosh(at)
            left /= c  # what was left before column j was taken out
            # z' = c² and c' = -z c in x
            alpha = q - j  # twice 1 + (q - 2 - j)/2
            dx[first + j] = c * left * (dL[i, j] * c - dleft * z) - alpha * z
            dleft = dL[i, j] * z + dleft * c
            # log cosh, which must not overflow
            log_jacobian -= alpha * (abs(at) + np.log1p(np.exp(-2.0 * abs(at))) - np.log(2.0))
    return log_jacobian


@njit(nogil=True, cache=True, error_model="numpy")
def _bar_factor(x: Array, kinds: Array, ab: Array, bar: Array, w: Array, L: Array) -> Array:
    """The factor K = diag(w) L of G̃ = KK', for a `UN` bar; of R's correlations with w = 1."""
    sds, corrs, q = bar[0], bar[1], bar[2]
    _partial_factor(x[corrs:], q, L)
    K = np.empty((q, q))
    for i in range(q):
        w[i] = 1.0
        if sds >= 0:
            w[i] = _signed(kinds[sds + i], x[sds + i], ab[sds + i, 0], ab[sds + i, 1])
        for j in range(q):
            K[i, j] = w[i] * L[i, j]
    return K


@njit(nogil=True, cache=True, error_model="numpy")
def _transformed(T: Array, at: int, K: Array) -> Array:
    """The product of the matrix at ``at`` of the flat T and the lower triangular K."""
    q = len(K)
    F = np.zeros((q, q))
    for i in range(q):
        for h in range(q):
            for j in range(h + 1):
                F[i, j] += T[at + i * q + h] * K[h, j]
    return F


@njit(nogil=True, cache=True, error_model="numpy")
def _split(F: Array, sd: Array, corr: Array) -> None:
    """Standard deviations and correlations of FF'; the rows of F are brought to unit length."""
    q = len(F)
    for i in range(q):
        length = 0.0
        for k in range(q):
            length += F[i, k] * F[i, k]
        sd[i] = np.sqrt(length)
        for k in range(q):
            F[i, k] /= sd[i]
    at = 0
    for i in range(q):
        for j in range(i):
            corr[at] = 0.0
            for k in range(q):
                corr[at] += F[i, k] * F[j, k]
            at += 1


@njit(nogil=True, cache=True, error_model="numpy")
def _split_pullback(F: Array, sd: Array, dsd: Array, dcorr: Array) -> Array:
    """The adjoint of `_split`, which has brought the rows of F to unit length."""
    q = len(F)
    dF = np.zeros((q, q))
    at = 0
    for i in range(q):
        for j in range(i):
            for k in range(q):
                dF[i, k] += dcorr[at] * F[j, k]
                dF[j, k] += dcorr[at] * F[i, k]
            at += 1
    for i in range(q):
        along = 0.0
        for k in range(q):
            along += dF[i, k] * F[i, k]
        for k in range(q):
            dF[i, k] = (dF[i, k] - along * F[i, k]) / sd[i] + dsd[i] * F[i, k]
    return dF


@njit(nogil=True, cache=True, error_model="numpy")
def _sheared(weights: Array, x: Array) -> float:
    """The product of the weights and x, where weights are not zero."""
    total = 0.0
    for j in range(len(x)):
        if weights[j] != 0.0:
            total += weights[j] * x[j]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def constrain(
    x: Array,
    kinds: Array,
    ab: Array,
    bars: Array,
    T: Array,
    lags: Array,
    shear: Array,
    theta: Array,
    about: Array,
) -> None:
    """Write theta at ``x`` into ``theta``, and what its priors are about into ``about``.

    The arrays between them are those of `Coordinates`.
    """
    for i in range(len(x)):
        if kinds[i] != _PARTIAL and kinds[i] != _LAGS:
            theta[i] = _signed(kinds[i], x[i], ab[i, 0], ab[i, 1])
            if kinds[i] == _SINH:
                theta[i] = abs(theta[i])
            if len(shear) > 0:
                theta[i] *= np.exp(-_sheared(shear[i], x))
            about[i] = theta[i]
    for b in range(len(lags)):
        first, last, points, code = lags[b]
        to_natural(code, False, points, x[first:last], theta[first:last])
        about[first:last] = theta[first:last]
    for b in range(len(bars)):
        sds, corrs, q, natural, prior = bars[b]
        K = _bar_factor(x, kinds, ab, bars[b], np.empty(q), np.empty((q, q)))
        if sds < 0:
            _split(K, np.empty(q), theta[corrs:])
            about[corrs : corrs + q * (q - 1) // 2] = theta[corrs : corrs + q * (q - 1) // 2]
            continue
        _split(_transformed(T, natural, K), theta[sds:], theta[corrs:])
        _split(_transformed(T, prior, K), about[sds:], about[corrs:])


@njit(nogil=True, cache=True, error_model="numpy")
def pullback(
    x: Array,
    kinds: Array,
    ab: Array,
    bars: Array,
    T: Array,
    lags: Array,
    shear: Array,
    dtheta: Array,
    dabout: Array,
    dx: Array,
) -> float:
    """Write the gradient in x of a log density into ``dx``, and return the log Jacobian.

    Parameters
    ----------
    x : (k,) array
    kinds, ab, bars, T, lags, shear : arrays of `Coordinates`
    dtheta : (k,) array
        The gradient of the log-likelihood in theta; overwritten.
    dabout : (k,) array
        The gradient of the log prior density in what it is about; overwritten.
    dx : (k,) array
        On return, the gradient of both with the Jacobian of what the prior is about.
    """
    log_jacobian = 0.0
    for b in range(len(bars)):
        sds, corrs, q, natural, prior = bars[b]
        w, L = np.empty(q), np.empty((q, q))
        K = _bar_factor(x, kinds, ab, bars[b], w, L)
        sd, corr = np.empty(q), np.empty(q * (q - 1) // 2)
        if sds < 0:
            _split(K, sd, corr)
            for i in range(len(corr)):
                dtheta[corrs + i] += dabout[corrs + i]
            dL = _split_pullback(K, sd, np.zeros(q), dtheta[corrs:])
            log_jacobian += _correlation_pullback(x[corrs:], q, L, dL, dx[corrs:])
            continue
        F = _transformed(T, natural, K)
        _split(F, sd, corr)
        dF = _split_pullback(F, sd, dtheta[sds:], dtheta[corrs:])
        F = _transformed(T, prior, K)
        _split(F, sd, corr)
        for i in range(q):
            dabout[sds + i] -= q / sd[i]
            log_jacobian += q * (np.log(abs(w[i])) - np.log(sd[i]))
        dP = _split_pullback(F, sd, dabout[sds:], dabout[corrs:])
        dL = np.zeros((q, q))
        for h in range(q):
            dw = q / w[h]
            for j in range(h + 1):
                value = 0.0
                for i in range(q):
                    value += T[natural + i * q + h] * dF[i, j] + T[prior + i * q + h] * dP[i, j]
                dw += value * L[h, j]
                dL[h, j] = value * w[h]
            # the sign goes in again below
            dtheta[sds + h] = dw if w[h] >= 0.0 else -dw
            dabout[sds + h] = 0.0
        log_jacobian += _correlation_pullback(x[corrs:], q, L, dL, dx[corrs:])
    for b in range(len(lags)):
        first, last, points, code = lags[b]
        slopes = dtheta[first:last] + dabout[first:last]
        log_jacobian += coordinates_pullback(
            code, False, points, x[first:last], slopes, dx[first:last]
        )
    along = np.zeros(len(shear))
    for i in range(len(x)):
        if kinds[i] != _PARTIAL and kinds[i] != _LAGS:
            slope, log_slope, change = _slopes(kinds[i], x[i], ab[i, 0], ab[i, 1])
            if len(shear) > 0:
                shift = _sheared(shear[i], x)
                slope, log_slope = slope * np.exp(-shift), log_slope - shift
                # of theta[i] exp(-shift) in what it is multiplied by, and of the Jacobian
                value = abs(_signed(kinds[i], x[i], ab[i, 0], ab[i, 1])) * np.exp(-shift)
                along[i] = value * (dtheta[i] + dabout[i]) + 1.0
            sign = -1.0 if kinds[i] == _SINH and ab[i, 0] > 0.0 and x[i] < 0.0 else 1.0
            dx[i] = sign * slope * (dtheta[i] + dabout[i]) + change
            log_jacobian += log_slope
    for i in range(len(shear)):
        for j in range(len(x)):
            if shear[i, j] != 0.0:
                dx[j] -= shear[i, j] * along[i]
    return log_jacobian


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
        For each set of correlations by lag, and of loadings, the first and the last in theta, the
        number of occasions, and the code of the correlation structure.
    shear : (k, k) array, or (0, k)
        What is taken from the logarithm of each standard deviation at x, linear in the coordinates
        of the exponents that it grows by.
    """

    kinds: Array
    ab: Array
    bars: Array
    T: Array
    lags: Array
    shear: Array

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
        bars, T = [(0, 0, 0, 0, 0)][:0], [np.empty(0)]
        for i, (lower, upper) in enumerate(parameters.bounds):
            prior = None if priors is None else priors.theta[i]
            if isinstance(prior, Uniform):
                lower, upper = max(lower, prior.lower), min(upper, prior.upper)
            if np.isfinite(upper - lower):
                kinds[i], ab[i] = _LOGIT, (lower, upper)
            elif np.isinf(lower):
                kinds[i], ab[i, 0] = _REAL, 1.0
            elif scales is not None and not _infinite_at_zero(prior, parts):
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
                own = slice(bar.start, bar.stop)
                kinds[corr.start : corr.stop], ab[corr.start : corr.stop] = _PARTIAL, 0.0
                if bar.shape is not None:  # with standard deviations that are not its own
                    if corr.bar == number:
                        bars.append((-1, corr.start, corr.size, 0, 0))
                    continue
                about = np.eye(corr.size)
                if priors is not None:
                    about = priors.basis(group.name, number, corr.size)
                # the bounds of an interval are those of the effects that the prior is about, and
                # what is held are parameters as reported
                bounded = np.any(kinds[sds.start : sds.stop] == _LOGIT)
                basis = UN.working_transform(cross[own, own]) if of_data and not bounded else about
                if held[sds.start : sds.stop].any() or held[corr.start : corr.stop].any():
                    basis = np.eye(corr.size)
                at = sum(map(len, T))
                bars.append((sds.start, corr.start, corr.size, at, at + corr.size**2))
                T += [basis.ravel(), np.linalg.solve(about, basis).ravel()]
        lags = [(0, 0, 0, 0)][:0]
        for block in parameters.blocks:
            if block.kind in ("lag", "loading"):
                kinds[block.start : block.stop] = _LAGS
                count = block.stop - block.start
                lags.append((block.start, block.stop, block.size, _code(block.size, count)))
            elif block.kind == "corr" and block.factor is None:
                kinds[block.start : block.stop], ab[block.start : block.stop] = _PARTIAL, 0.0
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
            np.array(lags, dtype=np.int64).reshape(-1, 4),
            shear,
        )

    @property
    def arrays(self) -> tuple[Array, Array, Array, Array, Array, Array]:
        """What the compiled functions take."""
        return (self.kinds, self.ab, self.bars, self.T, self.lags, self.shear)

    def natural(self, x: Array) -> Array:
        """Theta at x."""
        theta = np.empty(len(x))
        constrain(x, *self.arrays, theta, np.empty(len(x)))
        return theta

    def gradient(self, x: Array, dtheta: Array) -> Array:
        """The gradient in x of a function that has the gradient ``dtheta`` in theta."""
        whole, jacobian = np.empty(len(x)), np.empty(len(x))
        pullback(x, *self.arrays, dtheta.copy(), np.zeros(len(x)), whole)
        pullback(x, *self.arrays, np.zeros(len(x)), np.zeros(len(x)), jacobian)
        return whole - jacobian

    def holding(self, x: Array, i: int, value: float) -> Array:
        """x with its i-th coordinate such that theta[i] has a value, the others as they are.

        It is NaN where no such coordinate exists. Not for standard deviations and correlations of
        random effects. A correlation of R, by pair or by lag, is linear in its own partial
        correlation, and a loading in its own share.
        """
        x = x.copy()
        kind, (a, b) = self.kinds[i], self.ab[i]
        with np.errstate(all="ignore"):
            if kind in (_PARTIAL, _LAGS):
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
            F = np.zeros((q, q))
            factor(UN.code, q, theta[own], theta[pairs], F)
            sd[own], corr = UN.natural(inverse @ F @ F.T @ inverse.T)
            lowest = np.sqrt((inverse**2) @ floor[own] ** 2)
            sd[own] = np.maximum(sd[own], lowest)
            x[pairs] = _partial_z(corr, q)
        for first, last, points, code in self.lags:
            x[first:last] = _unconstrained_lags(code, theta[first:last], points)
        for i in np.flatnonzero((self.kinds != _PARTIAL) & (self.kinds != _LAGS)):
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


def _infinite_at_zero(prior: Prior | None, parts: int) -> bool:
    """Whether the prior density of a standard deviation, one of the parts of a variance that may be
    split, has no bound near zero.
    """
    match prior:
        case Gamma(alpha, _):
            return alpha < 1
        case Wishart(df, _):
            return df < 1
        case VarianceSplit():
            return prior.infinite_at_zero(parts)
    return False


def _code(T: int, count: int) -> int:
    """The code of the correlation structure that has so many correlations by lag, T - 1, or
    loadings, T or more.
    """
    of_lags = [TOEP, *(c for c in CORRELATIONS.values() if c.factors)]
    return next(c.code for c in of_lags if c.n_parameters(T) == count)


def _unconstrained_lags(code: int, rho: Array, points: int) -> Array:
    """The coordinates of correlations by lag, or of loadings; damped, where they are on the
    boundary.
    """
    try:
        return to_unconstrained(code, False, points, rho)
    except ArgumentError:
        damped = rho * (0.99 ** np.arange(1, len(rho) + 1) if code == TOEP.code else 0.99)
        return to_unconstrained(code, False, points, damped)


def _partial_z(corr: Array, q: int) -> Array:
    """Fisher's z of the partial correlations, from the lower triangle of the correlations."""
    K = np.zeros((q, q))
    correlation_factor(q, corr, K)
    rows, columns = lower_triangle(q, -1)
    left = np.sqrt(np.maximum(1.0 - np.cumsum(K**2, axis=1) + K**2, 0.0))[rows, columns]
    partial = np.divide(K[rows, columns], left, out=np.zeros(len(rows)), where=left > 0)
    return np.arctanh(np.clip(partial, -_INSIDE, _INSIDE))
