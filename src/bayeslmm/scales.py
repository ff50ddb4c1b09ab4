"""The scale on which a covariance parameter is about normal: the logarithm of a positive one,
Fisher's z of one within an interval, and any other as it is.
"""

from __future__ import annotations

import numpy as np

__all__ = ["natural", "slopes", "working"]

_EDGE = 1e-12


def _kinds(bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which parameters are positive, which within an interval, its middle and half its width."""
    lower, upper = bounds.T
    inside = np.isfinite(upper - lower)
    low, high = np.where(inside, lower, -1.0), np.where(inside, upper, 1.0)
    return np.isfinite(lower) & ~inside, inside, (low + high) / 2, (high - low) / 2


def working(theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Parameters on their working scale.

    Parameters
    ----------
    theta : (k,) array
    bounds : (k, 2) array
        The interval that each lies in.
    """
    positive, inside, middle, half = _kinds(bounds)
    unit = np.clip(np.where(inside, (theta - middle) / half, 0.0), _EDGE - 1, 1 - _EDGE)
    log = np.log(np.where(positive, theta, 1.0))
    return np.where(inside, np.arctanh(unit), np.where(positive, log, theta))


def natural(x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Parameters at working coordinates: the inverse of `working`."""
    positive, inside, middle, half = _kinds(bounds)
    exp = np.exp(np.where(positive, x, 0.0))
    return np.where(inside, middle + half * np.tanh(x), np.where(positive, exp, x))


def slopes(theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Derivatives of the parameters in their working coordinates."""
    positive, inside, middle, half = _kinds(bounds)
    unit = np.where(inside, (theta - middle) / half, 0.0)
    return np.where(inside, half * (1 - unit**2), np.where(positive, theta, 1.0))
