"""Derivatives by central differences."""

import numpy as np


def central(function, at, step):
    """The derivatives (k,) of a function of a vector, each from two values beside a point."""
    moves = step * np.eye(len(at))
    return np.array([function(at + m) - function(at - m) for m in moves]) / (2 * step)
