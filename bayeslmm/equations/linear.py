"""Linear functions of (beta, u): what `fixef`, `ranef`, `coef`, `fitted` and `predict` share.

A table of results is a set of functions Xβ + Σ_f Z_f u_f[codes_f], one a row. Each way of fitting
knows how to estimate such functions; everything else about the tables is written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.special import ndtri

from bayeslmm.equations.noise import Noise
from bayeslmm.support.arrays import Array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bayeslmm.design.factors import GroupingFactor

_ELEMENTS = 4_000_000
"""Draws × rows that are held at once: 32 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class Estimates:
    """Estimates of m functions.

    Attributes
    ----------
    estimate, std_error, lower, upper : (m,) arrays
    """

    estimate: Array
    std_error: Array
    lower: Array
    upper: Array

    @classmethod
    def normal(cls, estimate: Array, std_error: Array, level: float) -> Self:
        """Intervals of a normal distribution around the estimates."""
        half = float(ndtri((1 + level) / 2)) * std_error
        return cls(estimate, std_error, estimate - half, estimate + half)

    @classmethod
    def of_draws(cls, draws: Array, level: float) -> Self:
        """Mean, standard deviation and equal-tailed quantiles over the first axis."""
        lower, upper = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return cls(draws.mean(axis=0), draws.std(axis=0, ddof=1), lower, upper)

    def columns(self) -> dict[str, Array]:
        """The four columns that every table has, in order."""
        return {
            "estimate": self.estimate,
            "std_error": self.std_error,
            "lower": self.lower,
            "upper": self.upper,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Relatives:
    """Levels that were not fitted, whose effects follow from those of levels related to them.

    Attributes
    ----------
    which : (m,) int array
        Which of these levels a function touches; -1 for none.
    weights : (k, levels) array
        The mean of the effects of each, given those that were fitted, is their weighted sum.
    """

    which: Array
    weights: Array


@dataclass(frozen=True, slots=True, eq=False)
class Functions:
    """Functions Xβ + Σ_f Z_f u_f[codes_f] + offset, one a row, and what varies around them.

    Attributes
    ----------
    X : (m, p) array
    codes : tuple of (m,) arrays, one a factor
        The level that a function touches; -1 for none.
    Z : tuple of (m, q) arrays, one a factor
        Values of the effects. They count for the level touched, or for a new one (`new`).
    offset : (m,) array
        A known constant.
    new : tuple of (m,) arrays, one a factor
        Where the level is a new one: the variance of its effects in units of G, 1 of one that is
        related to no other. Zero elsewhere.
    relatives : tuple of Relatives or None, one a factor
        New levels that are related to those fitted.
    noise : Noise
        New residuals.
    """

    X: Array
    codes: tuple[Array, ...]
    Z: tuple[Array, ...]
    offset: Array
    new: tuple[Array, ...]
    relatives: tuple[Relatives | None, ...]
    noise: Noise

    @classmethod
    def of(
        cls,
        factors: Sequence[GroupingFactor],
        X: Array,
        codes: dict[str, Array] | None = None,
        Z: dict[str, Array] | None = None,
    ) -> Self:
        """Functions without offset, new levels and noise; factors not named are not touched."""
        m = len(X)
        codes, Z = codes or {}, Z or {}
        none = np.full(m, -1, dtype=np.int32)
        return cls(
            X=X,
            codes=tuple(codes.get(f.name, none) for f in factors),
            Z=tuple(Z[f.name] if f.name in Z else np.zeros((m, len(f.effects))) for f in factors),
            offset=np.zeros(m),
            new=tuple(np.zeros(m) for _ in factors),
            relatives=tuple(None for _ in factors),
            noise=Noise.plain(np.zeros(m)),
        )

    @property
    def certain(self) -> bool:
        """Whether nothing varies around the functions."""
        return not (self.noise.base.any() or any(rows.any() for rows in self.new))

    @property
    def of_beta(self) -> Array:
        """Which functions are of beta alone, with nothing that varies around them; (m,) bool."""
        alone = self.noise.base == 0
        factors = zip(self.codes, self.Z, self.new, self.relatives, strict=True)
        for codes, Z, new, relatives in factors:
            touched = (codes >= 0) | (new > 0)
            if relatives is not None:
                touched |= relatives.which >= 0
            alone &= ~(touched & (Z != 0).any(axis=1))
        return alone

    def __len__(self) -> int:
        return len(self.X)

    def rows(self, rows: slice) -> Functions:
        """Some of the functions."""
        return Functions(
            self.X[rows],
            tuple(codes[rows] for codes in self.codes),
            tuple(Z[rows] for Z in self.Z),
            self.offset[rows],
            tuple(new[rows] for new in self.new),
            tuple(r and Relatives(r.which[rows], r.weights) for r in self.relatives),
            self.noise.rows(rows),
        )

    def values(self, beta: Array, u: Sequence[Array]) -> Array:
        """The functions at one or many (beta, u).

        Parameters
        ----------
        beta : (..., p) array
        u : sequence of (..., levels, q) arrays, one a factor

        Returns
        -------
        (..., m) array
        """
        value = beta @ self.X.T + self.offset
        factors = zip(self.codes, self.Z, self.relatives, u, strict=True)
        for codes, Z, relatives, effects in factors:
            touched = np.flatnonzero(codes >= 0)
            for j in range(Z.shape[1]):
                here = touched[Z[touched, j] != 0]
                value[..., here] += effects[..., codes[here], j] * Z[here, j]
            if relatives is not None:
                here = np.flatnonzero(relatives.which >= 0)
                for j in range(Z.shape[1]):
                    means = effects[..., j] @ relatives.weights.T
                    value[..., here] += means[..., relatives.which[here]] * Z[here, j]
        return value

    def variance(self, M: Sequence[Array], theta: Array) -> Array:
        """Variance of what varies around the functions, at one or many theta.

        Parameters
        ----------
        M : sequence of (..., q, q) arrays, one a factor
            Relative factors, G = σ²MM'.
        theta : (..., k) array

        Returns
        -------
        (..., m) array
        """
        relative = self.noise.relative(theta)
        for new, Z, m in zip(self.new, self.Z, M, strict=True):
            here = np.flatnonzero(new)
            if here.size:
                relative[..., here] += new[here] * np.sum(np.matmul(Z[here], m) ** 2, axis=-1)
        return np.square(theta[..., -1:]) * relative


def over_draws(
    functions: Functions,
    draws_of: Callable[[Functions], tuple[Array, Array | None]],
    draws: int,
    level: float,
    rng: np.random.Generator | None = None,
) -> Estimates:
    """Summarise draws of many functions, some of them at a time.

    Parameters
    ----------
    functions : Functions
    draws_of : callable
        Returns the draws (draws, m) of some of the functions, and the variance around each, or
        None.
    draws : int
        How many there are.
    level : float
        Of the intervals.
    rng : numpy.random.Generator, optional
        For what varies around the functions. It enters the quantiles only: the mean and the
        standard deviation count it exactly.

    Returns
    -------
    Estimates
    """
    step = max(1, _ELEMENTS // draws)
    parts = []
    for at in range(0, max(len(functions), 1), step):
        values, around = draws_of(functions.rows(slice(at, at + step)))
        part = Estimates.of_draws(values, level)
        if around is not None and rng is not None:
            noisy = values + np.sqrt(around) * rng.standard_normal(values.shape)
            std_error = np.sqrt(part.std_error**2 + around.mean(axis=0))
            quantiles = Estimates.of_draws(noisy, level)
            part = Estimates(part.estimate, std_error, quantiles.lower, quantiles.upper)
        parts.append(part)
    return Estimates(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("estimate", "std_error", "lower", "upper")
        )
    )
