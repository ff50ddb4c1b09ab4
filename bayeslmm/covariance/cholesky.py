"""Covariance structures of one bar: parameters → lower factor L with G = LL'.

The compiled library has the mathematics (`cpp/covariance/cholesky.cpp`) and knows a structure by
its code; everything else goes through the small objects in ``STRUCTURES``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from bayeslmm.core.library import Status, address, floats, function

__all__ = [
    "ID",
    "STRUCTURES",
    "UN",
    "Diag",
    "Structure",
    "correlation_factor",
    "factor",
    "lower_triangle",
]

_UN, _DIAG, _ID = 0, 1, 2


@cache
def lower_triangle(q: int, k: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`numpy.tril_indices`, which takes longer than an evaluation of a small model."""
    return np.tril_indices(q, k)


@dataclass(frozen=True)
class Structure:
    """A covariance structure over the q effects of a bar.

    Attributes
    ----------
    name : str
        How it is written in a formula.
    code : int
        How the compiled kernels know it.
    """

    name: str
    code: int

    def sd_labels(self, effects: tuple[str, ...], label: str) -> tuple[str, ...]:
        """A label for each standard deviation: an effect, or the bar's text where all effects
        share one.
        """
        return (effects if len(effects) == 1 else (label,)) if self.code == _ID else effects

    def corr_labels(self, effects: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """The pairs of effects whose correlation is a parameter: strict lower triangle by rows."""
        if self.code != _UN:
            return ()
        return tuple((effects[j], effects[i]) for i in range(len(effects)) for j in range(i))

    def working_units(self, q: int) -> np.ndarray:
        """Λ of each working coordinate alone at one (m, q, q): it is linear in them.

        The optimiser moves the relative factor M = L/σ = T Λ in them. For `UN` Λ is the lower
        factor of G in the basis that makes the bar's columns orthonormal, so that neither the
        units nor the zero of a covariate matter to the optimiser. Signs are free: M and -M give one
        G, so a variance of zero is an interior point and needs no bound.
        """
        return _working_units(self.code, q)

    def working_transform(self, cross: np.ndarray) -> np.ndarray:
        """The matrix T (q, q) in M = T Λ, with Λ the structure's factor in the coordinates of
        standardised columns.
        """
        q = len(cross)
        scale = np.sqrt(np.diag(cross))
        scale = np.where(scale > 0, scale, 1.0)
        if self.code == _ID:
            return np.eye(q) / scale.max()
        transform = np.diag(1 / scale)
        if self.code == _UN:
            try:
                # upper triangular: Z T has orthonormal columns
                root = np.linalg.cholesky(cross / np.outer(scale, scale))
                transform = transform @ np.linalg.inv(root).T
            except np.linalg.LinAlgError:
                pass  # columns that are collinear overall are only rescaled
        return transform

    def working_matrix(self, working: np.ndarray, q: int) -> np.ndarray:
        """Λ (q, q) at working coordinates."""
        if self.code == _UN:
            matrix = np.zeros((q, q))
            matrix[lower_triangle(q)] = working
            return matrix
        return np.diag(np.broadcast_to(working, (q,)))

    def working_start(self, q: int) -> np.ndarray:
        """Working coordinates of the start: every effect varies as much as the residual,
        uncorrelated.
        """
        if self.code == _UN:
            rows, columns = lower_triangle(q)
            return (rows == columns).astype(float)
        return np.ones(1 if self.code == _ID else q)

    def working_of(self, product: np.ndarray) -> np.ndarray:
        """Working coordinates of the matrix ΛΛ' of this structure nearest to a covariance
        matrix.
        """
        if self.code == _UN:
            return np.linalg.cholesky(product)[lower_triangle(len(product))]
        variances = np.diag(product)
        return np.sqrt(variances.mean(keepdims=True) if self.code == _ID else variances)

    def natural(self, G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The standard deviations and correlations of a covariance matrix that has this structure.

        A correlation with an effect of zero variance does not exist; it is given as 0.
        """
        sd = np.sqrt(np.diag(G))
        if self.code == _ID:
            return sd[:1], np.empty(0)
        if self.code == _DIAG:
            return sd, np.empty(0)
        rows, columns = lower_triangle(len(G), -1)
        product = sd[rows] * sd[columns]
        corr = np.divide(G[rows, columns], product, out=np.zeros(len(rows)), where=product > 0)
        return sd, np.clip(corr, -1.0, 1.0)


@cache
def _working_units(code: int, q: int) -> np.ndarray:
    if code == _ID:
        units = np.eye(q)[None]
    else:
        rows, columns = lower_triangle(q) if code == _UN else (np.arange(q), np.arange(q))
        units = np.zeros((len(rows), q, q))
        units[np.arange(len(rows)), rows, columns] = 1.0
    units.flags.writeable = False
    return units


ID = Structure("id", _ID)
Diag = Structure("diag", _DIAG)
UN = Structure("un", _UN)
STRUCTURES = {s.name: s for s in (ID, Diag, UN)}


_covariance_factor = function("covariance_factor", "iiaaa")
_correlation_factor = function("correlation_factor", "aia")


def factor(structure: Structure, sd: np.ndarray, corr: np.ndarray) -> np.ndarray | None:
    """The lower factor L of G = LL'; None where the parameters are not those of a covariance
    matrix.

    ``sd`` (q,) and ``corr`` are the bar's parameters. For `UN`, L = diag(sd) K with K the Cholesky
    factor of the correlation matrix.
    """
    sd, corr = floats(sd), floats(corr)
    L = np.empty((len(sd), len(sd)))
    status = _covariance_factor(structure.code, len(sd), address(sd), address(corr), address(L))
    return L if status == Status.OK else None


def correlation_factor(q: int, corr: np.ndarray) -> np.ndarray:
    """Cholesky factor (q, q) of a correlation matrix, row by row; one that is singular to rounding
    counts, and an indefinite one is factorised as far as it goes.
    """
    corr, K = floats(corr), np.zeros((q, q))
    _correlation_factor(address(corr), q, address(K))
    return K
