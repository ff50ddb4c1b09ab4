"""How findings put names and counts into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bayeslmm.support.arrays import Array

__all__ = ["combination", "count", "listed"]

_SHOWN = 5
"""The number of names that a finding lists."""


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def count(n: int, noun: str) -> str:
    """A number and its noun: "1 row", "2 rows"."""
    return f"{n} {noun}" + ("" if n == 1 else "s")


def combination(weights: Array, effects: Sequence[str]) -> str:
    """Weights and effects as a sum whose largest weight is 1: "1 Intercept - 0.7 Days"."""
    weights = weights / weights[np.argmax(np.abs(weights))]
    text = ""
    for weight, effect in zip(weights, effects, strict=True):
        sign = " - " if weight < 0 else " + "
        text += (sign if text else sign.strip(" +")) + f"{abs(weight):.3g} {effect}"
    return text
