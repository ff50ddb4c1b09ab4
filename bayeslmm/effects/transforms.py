"""Responses that a formula transforms, such as log(y), taken back to the scale of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bayeslmm.equations.linear import Estimates
from bayeslmm.errors import ArgumentError
from bayeslmm.formula.tokens import tokenize
from bayeslmm.support.arrays import Array

__all__ = ["LINK", "Scale", "Transform", "transform_of"]


@dataclass(frozen=True, slots=True)
class Transform:
    """A transformation of the response.

    Attributes
    ----------
    name : str
        As the formula has it.
    inverse, slope, bend, twist : callable
        The response as a function of what was fitted, and its first three derivatives.
    is_log : bool
        Whether differences become ratios.
    """

    name: str
    inverse: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array]
    twist: Callable[[Array], Array]
    is_log: bool = False

    def back(self, value: Array, variance: float = 0.0) -> Array:
        """Take values back; with a variance, to the mean of what varies around them by the delta
        method: h(η) + h″(η)σ²/2.
        """
        back = self.inverse(value)
        return back + variance / 2 * self.bend(value) if variance else back  # ends may be infinite

    def rate(self, value: Array, variance: float = 0.0) -> Array:
        """The derivative of `back`."""
        return self.slope(value) + variance / 2 * self.twist(value)


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale of results, where the response is transformed.

    Attributes
    ----------
    transform : Transform or None
    response : bool
        Whether results are taken back to the response.
    variance : float
        That the bias correction counts; zero without correction.
    """

    transform: Transform | None = None
    response: bool = False
    variance: float = 0.0

    def back(self, link: Array) -> Array:
        """Values of the linear predictor on this scale."""
        if not self.response or self.transform is None:
            return link
        return self.transform.back(link, self.variance)

    def estimates(self, estimate: Array, std_error: Array, lower: Array, upper: Array) -> Estimates:
        """Estimates of the linear predictor on this scale, standard errors by the delta method."""
        if self.response and self.transform is not None:
            std_error = np.abs(self.transform.rate(estimate, self.variance)) * std_error
            ends = np.stack([self.back(lower), self.back(upper)])
            lower, upper = ends.min(axis=0), ends.max(axis=0)
            estimate = self.back(estimate)
        return Estimates(estimate, std_error, lower, upper)

    def in_words(self, *, ratios: bool) -> list[str]:
        """What a reader should know, of ratios or of other results."""
        if self.transform is None:
            return []
        name = self.transform.name
        if not self.response:
            return [f"Results are on the {name} scale of the response."]
        tests = f"Tests are on the {name} scale."
        if ratios:
            return [tests]
        bias = "with" if self.variance else "without"
        return [f"Results are on the scale of the response, {bias} bias correction.", tests]


LINK = Scale()
"""The scale of the linear predictor."""


def _exponential(name: str, base: float) -> Transform:
    rate = float(np.log(base))

    def power(order: int) -> Callable[[Array], Array]:
        return lambda x: np.asarray(rate**order * np.exp(rate * x))

    return Transform(name, power(0), power(1), power(2), power(3), is_log=True)


def _shifted(own: Transform, name: str, by: float) -> Transform:
    return Transform(
        name, lambda x: own.inverse(x) - by, own.slope, own.bend, own.twist, is_log=False
    )


def _zeros(x: Array) -> Array:
    return np.zeros_like(x)


_KNOWN = {
    "log": _exponential("log", float(np.e)),
    "log2": _exponential("log2", 2.0),
    "log10": _exponential("log10", 10.0),
    "log1p": _shifted(_exponential("log1p", float(np.e)), "log1p", 1.0),
    "sqrt": Transform("sqrt", np.square, lambda x: 2 * x, lambda x: np.full_like(x, 2.0), _zeros),
    "cbrt": Transform(
        "cbrt", lambda x: x**3, lambda x: 3 * x**2, lambda x: 6 * x, lambda x: np.full_like(x, 6.0)
    ),
    "exp": Transform("exp", np.log, lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    "reciprocal": Transform(
        "reciprocal", lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3, lambda x: -6 / x**4
    ),
}


def transform_of(response: str) -> Transform | None:
    """The transformation of a response such as ``log(y)``, ``np.sqrt(y)`` or ``log(y + 1)``.

    Returns
    -------
    Transform or None
        None for a response that is not transformed.

    Raises
    ------
    ArgumentError
        For one that is not taken back.
    """
    tokens = list(tokenize(response))
    if len(tokens) == 1:
        return None
    known = _KNOWN.get(tokens[0].text.removeprefix("np."))
    inner = tokens[2:-1]
    closed = tokens[1].is_op("(") and tokens[-1].is_op(")")
    if known is not None and closed and len(inner) == 1:
        return known
    plus = len(inner) == 3 and inner[1].is_op("+") and inner[2].kind == "number"
    if known is not None and closed and plus:
        return _shifted(known, known.name, float(inner[2].text))
    raise ArgumentError(
        f"the response {response!r} is not taken back to the scale of the data; that is done for "
        f"{', '.join(_KNOWN)} of a column, or of a column plus a number. Use type='link'."
    )
