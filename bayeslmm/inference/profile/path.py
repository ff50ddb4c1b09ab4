"""The profile of the likelihood along one parameter: points, slopes, and the curve through them.

At a value c of the parameter the deviance D(c) is the least -2 log-likelihood with the others free,
less the least of all; ζ(c) is its root with the sign of c - ĉ (Bates and Watts 1988, Nonlinear
Regression Analysis, section 6.1). By the envelope theorem D'(c) is the derivative of the criterion
at the constrained optimum, so that ζ' = D'/2ζ costs nothing; it sets the steps, and the curve
through the points is the cubic with these slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.optimize import brentq, minimize

from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Constrained", "Path", "trace"]

_STEP = 0.4
"""Of ζ, between points."""
_FIRST, _GROWTH = 0.3, 2.5
"""The first step in standard errors, and the most by which steps grow."""
_MOST = 60
"""Points on one side; what has not come to an end by then has none."""
_NEAR = 1e-4
"""Distance to an open bound, relative to that of the estimate, at which the curve ends."""
_JUMP = 0.8
"""Of the distance to a closed bound: a step longer than this goes to the bound."""
_GRADIENT = 1e-3
"""Of the criterion in coordinates in which its curvature is about one."""
_DIFFERENCE = 1e-3
_BENT = 0.2
"""How far the secant between points may be from the mean of their slopes, relative to it."""
_LEAST = 1e-4
"""Curvature, scaled to a unit diagonal, that counts as this much where there is less."""


class Constrained:
    """The least criterion in some of the coordinates, again and again, from where it was last.

    Parameters
    ----------
    criterion : callable
        Value and gradient at x.
    x : array
        Where the criterion is least in all coordinates.
    free : array of bool
        The coordinates that move.
    sizes : array
        Differences for the curvature at x.
    """

    def __init__(
        self,
        criterion: Callable[[Array], tuple[float, Array]],
        x: Array,
        free: Array,
        sizes: Array,
    ) -> None:
        self.x, self.free = x, np.flatnonzero(free)
        self.transform = _whitening(criterion, x, self.free, sizes)
        self.floor = sizes

    def least(self, criterion: Callable[[Array], tuple[float, Array]], x: Array) -> Array:
        """Where the criterion is least from x on."""
        # a standard deviation of exactly zero would stay there
        stuck = self.free[np.abs(x[self.free]) < 0.01 * self.floor[self.free]]
        start = x.copy()
        start[stuck] += 0.01 * self.floor[stuck]

        def moved(z: Array) -> Array:
            there = start.copy()
            there[self.free] += self.transform @ z
            return there

        def value(z: Array) -> tuple[float, Array]:
            found, slope = criterion(moved(z))
            return found, slope[self.free] @ self.transform

        with np.errstate(all="ignore"):
            found = minimize(
                value,
                np.zeros(len(self.free)),
                jac=True,
                method="L-BFGS-B",
                options={"gtol": _GRADIENT, "ftol": 0.0, "maxcor": 20, "maxiter": 500},
            )
        there = moved(found.x)
        return there if found.fun <= criterion(x)[0] else x


def _whitening(
    criterion: Callable[[Array], tuple[float, Array]], x: Array, free: Array, sizes: Array
) -> Array:
    """The matrix T (m, m) for which steps T z have a criterion of curvature about one."""
    m = len(free)
    H = np.empty((m, m))
    for k, at in enumerate(free):
        step = np.zeros(len(x))
        step[at] = _DIFFERENCE * max(sizes[at], abs(x[at]) * _DIFFERENCE)
        up, down = criterion(x + step)[1], criterion(x - step)[1]
        H[k] = (up - down)[free] / (2 * step[at])
    H = (H + H.T) / 2
    own = sizes[free]
    if not np.isfinite(H).all():
        return np.diag(own)
    scale = np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-4 / own**2))
    values, vectors = np.linalg.eigh(H / np.outer(scale, scale))
    values = np.maximum(np.abs(values), _LEAST)
    return vectors / np.sqrt(values) / scale[:, None]


@dataclass(frozen=True, eq=False)
class Path:
    """The profile of one parameter.

    Attributes
    ----------
    estimate : float
    lower, upper : float
        The interval that the parameter lies in.
    value, zeta, slope : (m,) arrays
        In order; the slope is dζ/dvalue.
    """

    estimate: float
    lower: float
    upper: float
    value: Array
    zeta: Array
    slope: Array

    def at(self, value: Array) -> Array:
        """ζ at values; NaN beyond the points."""
        if len(self.value) < 2:
            return np.where(value == self.estimate, 0.0, np.nan)
        return np.asarray(self._curve(slice(None))(self._share(slice(None), value)))

    def _share(self, part: slice, value: Array) -> Array:
        """Where values are between the first and last of some points, 0 and 1, in whose unit
        nothing overflows.
        """
        first, last = self.value[part][[0, -1]]
        return np.asarray((value - first) / (last - first))

    def _curve(self, part: slice) -> CubicHermiteSpline:
        """ζ between some points, by `_share`."""
        slope = self.slope[part] * np.ptp(self.value[part])
        at = self._share(part, self.value[part])
        return CubicHermiteSpline(at, self.zeta[part], slope, extrapolate=False)

    def crossing(self, zeta: float) -> float:
        """The value at which the curve has a ζ; the bound where it ends before, NaN without a
        curve.
        """
        if not len(self.value):
            return np.nan
        if zeta < self.zeta[0]:
            return self.lower
        if zeta > self.zeta[-1]:
            return self.upper
        k = int(np.clip(np.searchsorted(self.zeta, zeta), 1, len(self.zeta) - 1))
        curve = self._curve(slice(k - 1, k + 1))
        left, right = self.value[k - 1 : k + 1]
        share = brentq(lambda c: float(curve(c)) - zeta, 0.0, 1.0, xtol=1e-12, rtol=1e-12)
        return float(left + share * (right - left))


def trace(
    deviance: Callable[[float], tuple[float, float]],
    estimate: float,
    std_error: float,
    bounds: tuple[float, float],
    closed: bool,
    cutoff: float,
) -> Path:
    """Follow the profile from the estimate to both sides until |ζ| exceeds a number.

    Parameters
    ----------
    deviance : callable
        D and D' at a value; it is called with values ever farther to one side, then to the other.
    estimate, std_error : float
    bounds : tuple of float
        The interval that the parameter lies in.
    closed : bool
        Whether it can be at the bounds.
    cutoff : float
    """
    sides = [
        _side(deviance, estimate, sign * std_error, bound, closed, cutoff)
        for sign, bound in zip((-1, 1), bounds, strict=True)
    ]
    centre = [2 * abs(side[0][1] / (side[0][0] - estimate)) - side[0][2] for side in sides if side]
    middle = (estimate, 0.0, float(np.mean(centre)) if centre else np.nan)
    points = np.array([*sides[0][::-1], middle, *sides[1]])
    return Path(estimate, *bounds, *points.T)


def _side(
    deviance: Callable[[float], tuple[float, float]],
    estimate: float,
    std_error: float,
    bound: float,
    closed: bool,
    cutoff: float,
) -> list[tuple[float, float, float]]:
    """Points (value, ζ, ζ') on one side of the estimate."""
    points: list[tuple[float, float, float]] = []
    sign = np.sign(std_error)
    at, step = estimate, _FIRST * std_error
    while len(points) < _MOST and at != bound:
        at, ends = _next(at, step, bound, closed)
        if not closed and abs(bound - at) < _NEAR * abs(bound - estimate):
            break
        D, slope = deviance(at)
        if not np.isfinite(D):
            break
        zeta = sign * np.sqrt(max(D, 0.0))
        if points and abs(zeta) < abs(points[-1][1]):
            zeta = points[-1][1]  # flat to rounding
        before = points[-1] if points else (estimate, 0.0, np.nan)
        secant = (zeta - before[1]) / (at - before[0])
        slope = max(slope / (2 * zeta), 0.0) if abs(zeta) > 1e-6 else secant
        if not np.isfinite(slope):  # at a correlation of ±1
            slope = max(2 * secant - before[2], 0.0) if points else secant
        points.append((at, float(zeta), float(slope)))
        if abs(zeta) > cutoff or ends:
            break
        step = sign * min(_STEP / max(slope, 1e-300), _GROWTH * abs(at - before[0]))
    return _from_both_ends(deviance, points)


def _from_both_ends(
    deviance: Callable[[float], tuple[float, float]], points: list[tuple[float, float, float]]
) -> list[tuple[float, float, float]]:
    """The points of a side, the lower ones where a walk back finds other optima of the free
    parameters than the walk there.

    Two optima change places where the curve has a kink; what was followed until a jump was not the
    lower one all the way.
    """
    at, zeta, slope = np.array([(np.nan, np.nan, np.nan), *points]).T
    mean = (slope[1:] + slope[:-1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bent = np.abs(np.diff(zeta) / np.diff(at) - mean) > _BENT * mean
    if not bent.any():
        return points
    found = points[-1:]
    for value, own, its_slope in points[-2::-1]:
        D, change = deviance(value)
        other = float(np.sign(own) * np.sqrt(max(D, 0.0)))
        if abs(other) < abs(own) and abs(other) > 1e-6:
            own, its_slope = other, max(change / (2 * other), 0.0)
        found.append((value, own, its_slope))
    return found[::-1]


def _next(at: float, step: float, bound: float, closed: bool) -> tuple[float, bool]:
    """Where to go next, and whether that is the end."""
    left = bound - at
    if not np.isfinite(bound):
        return at + step, False
    if closed:
        return (bound, True) if abs(step) > _JUMP * abs(left) else (at + step, False)
    return at + float(np.sign(step)) * min(abs(step), 0.5 * abs(left)), False
