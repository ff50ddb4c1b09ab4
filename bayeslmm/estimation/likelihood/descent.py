"""Descent of a criterion by L-BFGS (Nocedal and Wright, 2006, Numerical Optimization, ch. 7), with
a line search that meets the weak Wolfe conditions.

For criteria of a few parameters that take ten microseconds to evaluate, to which SciPy's wrappers
would add several times as many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayeslmm.core.library import address, floats, function

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["descent"]

type _Criterion = Callable[[np.ndarray], tuple[float, np.ndarray]]

_MAX_ITERATIONS, _MEMORY = 500, 20
_MAX_TRIALS = 30
"""Of one line search: what has not been found then is lost in rounding."""
_FALL, _SLOPE = 1e-4, 0.9
"""How much of what the slope promises a step must bring, and how much of the slope may be left."""
_STEEPER = 1e-3
_GROWTH, _FARTHEST = 4.0, 16.0
"""Of steps that were too short, and where they end: what has fallen that far as steeply as at first
may have no minimum.
"""


def descent(
    criterion: _Criterion,
    x: np.ndarray,
    tolerance: float,
    callback: Callable[[np.ndarray], None] | None = None,
) -> np.ndarray:
    """Descend from a place until no element of the gradient is larger than a tolerance, or nothing
    better can be found.

    Parameters
    ----------
    criterion : callable
        Its value, infinite where it has none, and gradient at an (m,) array.
    x : (m,) array
        Where it is finite, and bends by no more than about one.
    tolerance : float
    callback : callable, optional
        Called after each iteration with the place it has come to.

    Returns
    -------
    (m,) array
    """
    with np.errstate(all="ignore"):  # places so far out that they are no numbers
        value, slope = criterion(x)
        steps, changes = np.empty((2, _MEMORY, len(x)))
        known = 0
        for _ in range(_MAX_ITERATIONS):
            if not np.abs(slope).max(initial=0.0) > tolerance:
                break
            direction = _direction(slope, steps[:known], changes[:known])
            found = _along(criterion, x, value, slope, direction, known == 0)
            if found is None:
                break
            there, value, turned, sound = found
            step, change = there - x, turned - slope
            x, slope = there, turned
            if callback is not None:
                callback(x)
            if not sound:
                break
            if step @ change > 0.0:
                if known == _MEMORY:
                    steps[:-1], changes[:-1] = steps[1:], changes[1:]
                    known -= 1
                steps[known], changes[known] = step, change
                known += 1
    return x


_lbfgs_direction = function("lbfgs_direction", "aiaaia")


def _direction(slope: np.ndarray, steps: np.ndarray, changes: np.ndarray) -> np.ndarray:
    """Minus the slope times the inverse of the second derivatives, as steps and the changes of the
    slope over them tell of it.
    """
    slope, direction = floats(slope), np.empty(len(slope))
    _lbfgs_direction(
        address(slope),
        len(slope),
        address(steps),
        address(changes),
        len(steps),
        address(direction),
    )
    return direction


def _along(
    criterion: _Criterion,
    x: np.ndarray,
    value: float,
    slope: np.ndarray,
    direction: np.ndarray,
    first: bool,
) -> tuple[np.ndarray, float, np.ndarray, bool] | None:
    """Where a line search ends, with the criterion there, and whether it may go on from there; None
    where it finds nothing better.

    The first of all goes a way of one, or as far as the slope if that is less.
    """
    falls = float(slope @ direction)
    if not falls < 0.0:
        return None
    size = 1.0 / max(1.0, (-falls) ** 0.5) if first else 1.0
    farthest = _FARTHEST * max(size, 1.0 / float(np.sqrt(direction @ direction)))
    short, long = (0.0, value, falls), (np.inf, np.inf, np.inf)
    better = None
    for _ in range(_MAX_TRIALS):
        there = x + size * direction
        reached, turned = criterion(there)
        trial = (size, reached, float(turned @ direction))
        if not reached <= value + _FALL * size * falls:
            long = trial
        else:
            if trial[2] >= _SLOPE * falls:
                return there, reached, turned, True
            better = there, reached, turned, False
            if long[0] == np.inf and size > 0.5 * farthest:
                steeper = trial[2] < (1.0 + _STEEPER) * falls
                return there, reached, turned, steeper
            short = trial
        size = _between(short, long) if long[0] < np.inf else _GROWTH * size
    return better


def _between(short: tuple[float, float, float], long: tuple[float, float, float]) -> float:
    """Where the cubic through two places of a line is least, well between them."""
    (a, at_a, from_a), (b, at_b, from_b) = short, long
    inner = from_a + from_b - 3.0 * (at_b - at_a) / (b - a)
    square = inner * inner - from_a * from_b
    share = 0.5
    if 0.0 <= square < np.inf:
        root = square**0.5
        share = 1.0 - (from_b + root - inner) / (from_b - from_a + 2.0 * root)
    return a + min(max(share, 0.1), 0.9) * (b - a)
