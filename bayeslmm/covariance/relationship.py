"""A `Known` matrix on the data: a relationship of levels with those beside them, or correlations
of occasions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve

from bayeslmm.covariance.known import symmetric_factor
from bayeslmm.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from bayeslmm.covariance.known import Known
    from bayeslmm.support.arrays import Array

__all__ = [
    "Relationship",
    "correlations_of_occasions",
    "resolve_relationship",
]

_NOTHING = 1e-13
"""Of a precision relative to the roots of its diagonal: rounding of what is zero."""
ALIKE = 1e-8
_ONE = 1e-6
"""How far a variance of residuals that is one may be from it: an inverse was rounded."""
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Relationship:
    """K of the L levels of the data, the others integrated out.

    Attributes
    ----------
    known : Known
        As given, with all its levels.
    levels : tuple of str, length L
    precision : (L, L) array
        The inverse of K.
    """

    known: Known
    levels: tuple[str, ...]
    precision: Array

    def __repr__(self) -> str:
        return f"Relationship of {len(self.levels):,} levels: {self.known!r}"

    @cached_property
    def matrix(self) -> Array:
        """K (L, L)."""
        if not self.known.inverted:
            own = self._positions(self.levels)
            values = self.known.given
            return np.asarray(_dense(values[own][:, own]))
        return cho_solve(cho_factor(self.precision), np.eye(len(self.levels)))

    @cached_property
    def root(self) -> Array:
        """The lower factor C (L, L) of K = CC'."""
        return np.asarray(np.linalg.cholesky(self.matrix))

    @cached_property
    def log_det(self) -> float:
        """log|K|."""
        return float(2.0 * np.log(np.diag(self.root)).sum())

    @cached_property
    def independent(self) -> bool:
        """Whether the levels are independent with equal variances, as without a relationship."""
        P = self.precision
        return bool(np.abs(P - P[0, 0] * np.eye(len(P))).max() <= ALIKE * P[0, 0])

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Levels of K that the data lack."""
        own = set(self.levels)
        return tuple(level for level in self.known.levels if level not in own)

    def conditional(self, names: Sequence[str]) -> tuple[Array, Array]:
        """What the levels of the data say of others.

        Parameters
        ----------
        names : sequence of str, length m
            Some of `others`.

        Returns
        -------
        (m, L) array
            Weights W: given u, the effects of the others have the mean Wu.
        (m,) array
            What they vary around it, in units of G.
        """
        own, new = self._positions(self.levels), self._positions(names)
        values = self.known.given
        if not self.known.inverted:
            across = _dense(values[new][:, own])
            weights = across @ self.precision
            variance = _dense(values[new][:, new]).diagonal() - (weights * across).sum(axis=1)
            return weights, np.maximum(variance, 0.0)
        rest = self._positions(self.others)
        factor = symmetric_factor(sparse.csc_array(values[rest][:, rest]))
        chosen = np.zeros((len(rest), len(new)))
        chosen[np.searchsorted(rest, new), np.arange(len(new))] = 1.0
        columns = factor.solve(chosen)
        weights = -(sparse.csr_array(values[own][:, rest]) @ columns).T
        return weights, columns[np.searchsorted(rest, new), np.arange(len(new))]

    def _positions(self, names: Sequence[str]) -> Array:
        return np.array([self.known.place[name] for name in names], dtype=np.int64)


def resolve_relationship(known: Known, name: str, levels: Sequence[str]) -> Relationship:
    """The relationship of the levels of a grouping factor.

    Parameters
    ----------
    known : Known
    name : str
        The factor's.
    levels : sequence of str
        Those of the data.

    Raises
    ------
    DataError
        For levels that K does not have.
    """
    _check_rows(known, f"the relationship given for {name!r}", levels, "levels")
    own = np.array([known.place[level] for level in levels], dtype=np.int64)
    if not known.inverted:
        K = _dense(known.given[own][:, own])
        precision = cho_solve(cho_factor(K), np.eye(len(K)))
    else:
        precision = _without_others(known, own)
    size = np.sqrt(np.diag(precision))
    precision = (precision + precision.T) / 2
    precision[np.abs(precision) <= _NOTHING * np.outer(size, size)] = 0.0
    return Relationship(known, tuple(levels), precision)


def _check_rows(known: Known, what: str, names: Sequence[str], kind: str) -> None:
    lacking = [name for name in names if name not in known.place]
    if lacking:
        shown = ", ".join(map(repr, lacking[:_SHOWN])) + (", ..." if len(lacking) > _SHOWN else "")
        raise DataError(
            f"{what} has no row for {len(lacking)} of its {len(names)} {kind}: {shown}; its rows "
            f"begin {', '.join(map(repr, known.levels[:_SHOWN]))}. Add them, or leave their rows "
            "of data out"
        )


def correlations_of_occasions(known: Known, occasions: Sequence[str]) -> Array:
    """The known correlations of the residuals at the occasions of the data.

    Parameters
    ----------
    known : Known
        With the column of occasions.
    occasions : sequence of str, length T

    Returns
    -------
    (T, T) array

    Raises
    ------
    DataError
        For occasions that K does not have.
    ArgumentError
        For variances on its diagonal.
    """
    _check_rows(known, f"the matrix of Known over {known.time!r}", occasions, "occasions")
    K = resolve_relationship(known, str(known.time), occasions).matrix
    variances = np.diag(K)
    at = int(np.abs(variances - 1.0).argmax())
    if abs(variances[at] - 1.0) > _ONE:
        raise ArgumentError(
            f"Known for residuals should be a correlation matrix, with ones on its diagonal; at "
            f"{occasions[at]!r} it is {variances[at]:.4g}. Make it one, K / np.sqrt(np.outer(d, "
            "d)) with d = np.diag(K), and give variances that are known as `weights`, a column "
            "of 1/d at the occasion of each row, or have them estimated, variance='occasion'."
        )
    sd = np.sqrt(variances)
    return np.asarray((K + K.T) / (2 * np.outer(sd, sd)))


def _without_others(known: Known, own: Array) -> Array:
    """The precision of some levels, the others integrated out: a Schur complement."""
    values = sparse.csr_array(known.given)
    rest = np.setdiff1d(np.arange(len(known.levels)), own)
    precision = _dense(values[own][:, own])
    if len(rest):
        across = values[rest][:, own]
        factor = symmetric_factor(values[rest][:, rest])
        precision = precision - across.T @ factor.solve(_dense(across))
    return precision


def _dense(values: Any) -> Array:
    return np.array(values.toarray() if sparse.issparse(values) else values, dtype=np.float64)
