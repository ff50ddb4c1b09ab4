"""`Array`: what arrays of numbers are called in signatures."""

from typing import Any

import numpy as np

__all__ = ["Array"]

type Array = np.ndarray[Any, Any]
