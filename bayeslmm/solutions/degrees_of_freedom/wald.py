"""Wald tests of linear functions of beta: t for one function, F for several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import chdtrc, fdtrc, stdtr, stdtrit

from bayeslmm.equations.linear import Estimates
from bayeslmm.support.arrays import Array

__all__ = [
    "ByStratum",
    "FTest",
    "InUnits",
    "Strata",
    "Wald",
    "principal_functions",
    "t_columns",
    "t_intervals",
]

_NEGLIGIBLE = np.sqrt(np.finfo(float).eps)
"""Variance, relative to the largest, of a function that the others determine; lmerTest's value."""
_VANISHING = 1e-9
"""Size of a function on a space, relative to that on all fixed effects, that is rounding."""


@dataclass(frozen=True, slots=True)
class FTest:
    """An F statistic with its degrees of freedom.

    Attributes
    ----------
    F : float
    num_df : int
        The number of functions that are linearly independent.
    den_df : float
        Infinite for Wald's chi-squared divided by `num_df`.
    """

    F: float
    num_df: int
    den_df: float

    @property
    def p(self) -> float:
        """The probability of an F as large or larger."""
        if np.isnan(self.F) or np.isnan(self.den_df):
            return float("nan")
        if np.isinf(self.den_df):
            return float(chdtrc(self.num_df, self.F * self.num_df))
        return float(fdtrc(self.num_df, self.den_df, self.F))


class Wald(Protocol):
    """What each way of finding degrees of freedom offers."""

    @property
    def vcov(self) -> Array:
        """Covariance matrix (p, p) of the estimates of beta."""

    def df(self, L: Array) -> Array:
        """Degrees of freedom (m,) of each of the functions L beta; L is (m, p)."""

    def f_test(self, L: Array, difference: Array) -> FTest:
        """Test that L beta is what it differs from by `difference`, all of it at once."""


@dataclass(frozen=True, eq=False)
class Strata:
    """Degrees of freedom that are counted, in strata from the outermost to the innermost.

    Attributes
    ----------
    df : (m + 1,) array
        Degrees of freedom of each stratum; infinite for the normal distribution.
    to_basis : (p, p) array
        X @ to_basis is orthonormal; what follows is in terms of these columns.
    spaces : tuple of m (p, d) arrays
        For each stratum but the innermost, a basis of the fixed effects that do not vary within it.
    means : (p,) array
        The combination that is constant; zeros if none is.
    home : (p,) int array
        The stratum of each column of X.
    """

    df: Array
    to_basis: Array
    spaces: tuple[Array, ...]
    means: Array
    home: Array

    @classmethod
    def one(cls, df: float, p: int) -> Strata:
        """A single stratum, for all p coefficients."""
        return cls(np.array([df]), np.eye(p), (), np.zeros(p), np.zeros(p, dtype=np.int64))

    def of(self, L: Array) -> Array:
        """The stratum (m,) of each of the functions L beta; L is (m, p)."""
        functions, innermost = L @ self.to_basis, len(self.spaces)
        found = np.full(len(L), innermost)
        for i in reversed(range(innermost)):
            found[_depend(functions, self.spaces[i])] = i
        by_column = np.where(L != 0, self.home, innermost).min(axis=1, initial=innermost)
        return np.where(_depend(functions, self.means[:, None]), by_column, found)


def _depend(functions: Array, space: Array) -> Array:
    """Which functions, one a row, do not vanish on a space with an orthonormal basis."""
    size = np.linalg.norm(functions, axis=1)
    return np.asarray(np.linalg.norm(functions @ space, axis=1) > _VANISHING * size)


@dataclass(frozen=True, eq=False)
class ByStratum:
    """Tests with degrees of freedom that are counted.

    Several functions together have those of the outermost stratum that one of them belongs to.

    Attributes
    ----------
    vcov : (p, p) array
    strata : Strata
    """

    vcov: Array
    strata: Strata

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each of the functions L beta; L is (m, p)."""
        return self.strata.df[self.strata.of(L)]

    def f_test(self, L: Array, difference: Array) -> FTest:
        """Test that L beta is what it differs from by `difference`; L is (m, p)."""
        _, values, variances = principal_functions(L, difference, self.vcov)
        outermost = int(self.strata.of(L).min(initial=len(self.strata.spaces)))
        F = float(np.mean(values**2 / variances))
        return FTest(F, len(values), float(self.strata.df[outermost]))


@dataclass(frozen=True, eq=False)
class InUnits:
    """Tests of a response in another unit, which matters to the size of estimates alone.

    Attributes
    ----------
    tests : Wald
        Of the response divided by the unit.
    unit : float
    """

    tests: Wald
    unit: float

    @property
    def vcov(self) -> Array:
        """Covariance matrix (p, p) of the estimates of beta."""
        return self.tests.vcov * self.unit**2

    def df(self, L: Array) -> Array:
        """Degrees of freedom of each of the functions L beta; L is (m, p)."""
        return self.tests.df(L)

    def f_test(self, L: Array, difference: Array) -> FTest:
        """Test that L beta is what it differs from by `difference`, all of it at once."""
        return self.tests.f_test(L, difference / self.unit)


def principal_functions(L: Array, difference: Array, vcov: Array) -> tuple[Array, Array, Array]:
    """Uncorrelated functions that say the same as L beta.

    Parameters
    ----------
    L : (m, p) array
    difference : (m,) array
        Of L beta from what it is tested to be.
    vcov : (p, p) array
        Of the estimates of beta.

    Returns
    -------
    functions : (q, p) array
        Of beta; q is the rank of L.
    values : (q,) array
        Their differences.
    variances : (q,) array
    """
    variances, vectors = np.linalg.eigh(L @ vcov @ L.T)
    keep = variances > _NEGLIGIBLE * variances.max(initial=0.0)
    rotation = vectors[:, keep].T
    return rotation @ L, rotation @ difference, variances[keep]


def t_intervals(estimate: Array, std_error: Array, df: Array, level: float) -> Estimates:
    """Estimates with intervals of Student's t; infinite `df` make it the normal distribution."""
    half = stdtrit(df, (1 + level) / 2) * std_error
    return Estimates(estimate, std_error, estimate - half, estimate + half)


def t_columns(difference: Array, std_error: Array, df: Array) -> dict[str, Array]:
    """The columns df, t and p (two-sided) of estimates that differ from what is tested."""
    t = difference / std_error
    return {"df": df, "t": t, "p": 2 * stdtr(df, -np.abs(t))}
