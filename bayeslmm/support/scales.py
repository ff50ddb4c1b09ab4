"""The scale on which a covariance parameter is about normal: the logarithm of a positive one,
Fisher's z of one within an interval, and any other as it is.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

__all__ = ["natural", "slopes", "working"]

_EDGE, _LEAST = 1e-12, 1e-300
"""How close to a bound there are coordinates: for numbers around it, and for those above zero."""


def _kinds(bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which parameters are positive, which within an interval, its lower end and its width."""
    lower, upper = bounds.T
    inside = np.isfinite(upper - lower)
    low, high = np.where(inside, lower, -1.0), np.where(inside, upper, 1.0)
    return np.isfinite(lower) & ~inside, inside, low, high - low


def working(theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Parameters on their working scale.

    Parameters
    ----------
    theta : (k,) array
    bounds : (k, 2) array
        The interval that each lies in.
    """
    positive, inside, low, width = _kinds(bounds)
    least = np.where(low == 0, _LEAST, _EDGE / 2)
    share = np.clip(np.where(inside, (theta - low) / width, 0.5), least, 1 - _EDGE / 2)
    log = np.log(np.where(positive, theta, 1.0))
    fisher = 0.5 * (np.log(share) - np.log1p(-share))
    return np.where(inside, fisher, np.where(positive, log, theta))


def natural(x: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Parameters at working coordinates: the inverse of `working`."""
    positive, inside, low, width = _kinds(bounds)
    with np.errstate(over="ignore"):  # an end of an interval of what the data say nothing of
        exp = np.exp(np.where(positive, x, 0.0))
    within = np.where(low == 0, width * expit(2 * x), low + width / 2 * (1 + np.tanh(x)))
    return np.where(inside, within, np.where(positive, exp, x))


def slopes(theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Derivatives of the parameters in their working coordinates."""
    positive, inside, low, width = _kinds(bounds)
    share = np.where(inside, (theta - low) / width, 0.0)
    return np.where(inside, 2 * width * share * (1 - share), np.where(positive, theta, 1.0))
