"""Derivatives by central differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayeslmm.support.arrays import Array

__all__ = ["SMOOTH", "derivatives", "fourth_order"]

SMOOTH = 1e-4
"""A step in coordinates of order one."""


def derivatives(
    function: Callable[[Array], Array], x: Array, which: Sequence[int] | Array | None = None
) -> Array:
    """The derivatives of a function in coordinates of x, a row for each, by steps of `SMOOTH`.

    Parameters
    ----------
    function : callable
        From a (k,) array to an array.
    x : (k,) array
    which : sequence of int, optional
        The coordinates; all by default.
    """
    steps = SMOOTH * np.eye(len(x))
    steps = steps if which is None else steps[which]
    return np.array([function(x + h) - function(x - h) for h in steps]) / (2 * SMOOTH)


def fourth_order(function: Callable[[float], Array], step: float) -> Array:
    """The derivative at zero of a function of a number, with an error of the order of step⁴."""
    up, down, far_up, far_down = (function(k * step) for k in (1, -1, 2, -2))
    return (8 * (up - down) - (far_up - far_down)) / (12 * step)
