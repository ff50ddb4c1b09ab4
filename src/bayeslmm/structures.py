"""Covariance structures of one bar: parameters → lower factor L with G = LL', and the adjoint back.

Each structure's mathematics stands here once. The kernels call the compiled functions by the structure's code; everything else goes
through the small objects in ``STRUCTURES``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

__all__ = ["ID", "STRUCTURES", "UN", "Diag", "Structure", "factor", "factor_pullback"]

_UN, _DIAG, _ID = 0, 1, 2


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
        """A label for each standard deviation: an effect, or the bar's text where all effects share one."""
        return (effects if len(effects) == 1 else (label,)) if self.code == _ID else effects

    def corr_labels(self, effects: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """The pairs of effects whose correlation is a parameter: strict lower triangle by rows."""
        if self.code != _UN:
            return ()
        return tuple((effects[j], effects[i]) for i in range(len(effects)) for j in range(i))

    def working_basis(self, cross: np.ndarray) -> np.ndarray:
        """Directions in which the optimiser moves the relative factor M = L/σ, which is linear in them.

        For `UN` the coordinates are the lower factor of G in the basis that makes the bar's columns orthonormal, so that neither the
        units nor the zero of a covariate matter to the optimiser. Signs are free: M and -M give one G, so a variance
        of zero is an interior point and needs no bound.

        Parameters
        ----------
        cross : (q, q) array
            Mean cross-product of the bar's columns, Z'WZ / n.

        Returns
        -------
        (m, q, q) array
        """
        q = len(cross)
        scale = np.sqrt(np.diag(cross))
        scale = np.where(scale > 0, scale, 1.0)
        if self.code == _ID:
            return np.eye(q)[None] / scale.max()
        if self.code == _DIAG:
            return np.stack([np.diag(row) for row in np.diag(1 / scale)])
        transform = np.diag(1 / scale)
        standardised = cross / np.outer(scale, scale)
        try:
            # upper triangular, so that T (lower) spans the factors of every G
            transform = transform @ np.linalg.inv(np.linalg.cholesky(standardised)).T
        except np.linalg.LinAlgError:
            pass  # columns that are collinear overall are only rescaled
        rows, columns = np.tril_indices(q)
        return np.stack([np.outer(transform[:, i], np.eye(q)[j]) for i, j in zip(rows, columns, strict=True)])

    def working_start(self, q: int) -> np.ndarray:
        """Working coordinates of the start: every effect varies as much as the residual, uncorrelated."""
        if self.code == _UN:
            rows, columns = np.tril_indices(q)
            return (rows == columns).astype(float)
        return np.ones(1 if self.code == _ID else q)

    def natural(self, G: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The standard deviations and correlations of a covariance matrix that has this structure.

        A correlation with an effect of zero variance does not exist; it is given as 0.
        """
        sd = np.sqrt(np.diag(G))
        if self.code == _ID:
            return sd[:1], np.empty(0)
        if self.code == _DIAG:
            return sd, np.empty(0)
        rows, columns = np.tril_indices(len(G), -1)
        product = sd[rows] * sd[columns]
        corr = np.divide(G[rows, columns], product, out=np.zeros(len(rows)), where=product > 0)
        return sd, np.clip(corr, -1.0, 1.0)


ID = Structure("id", _ID)
Diag = Structure("diag", _DIAG)
UN = Structure("un", _UN)
STRUCTURES = {s.name: s for s in (ID, Diag, UN)}


@njit(nogil=True, cache=True)
def factor(code, q, sd, corr, L):
    """Write the lower factor of G into ``L`` (q×q) and say whether G is a covariance matrix.

    ``sd`` and ``corr`` are the bar's parameters. For `UN`, L = diag(sd) K with K the Cholesky factor of the correlation matrix.
    """
    L[:, :] = 0.0
    if code == _ID:
        for i in range(q):
            L[i, i] = sd[0]
        return True
    if code == _DIAG:
        for i in range(q):
            L[i, i] = sd[i]
        return True
    at = 0
    for i in range(q):
        left = 1.0
        for j in range(i):
            value = corr[at]
            at += 1
            for k in range(j):
                value -= L[i, k] * L[j, k]
            value /= L[j, j]
            L[i, j] = value
            left -= value * value
        if not left > 0.0:
            return False
        L[i, i] = np.sqrt(left)
    for i in range(q):
        for j in range(i + 1):
            L[i, j] *= sd[i]
    return True


@njit(nogil=True, cache=True)
def factor_pullback(code, q, sd, L, dL, dsd, dcorr):
    """Add to ``dsd`` and ``dcorr`` the adjoint of :func:`factor` at ``L``, given that of L in ``dL`` (overwritten).

    The adjoint of the Cholesky factorisation is the unblocked reverse sweep of Murray (2016), "Differentiation of the Cholesky
    decomposition", arXiv:1602.07527.
    """
    if code == _ID:
        for i in range(q):
            dsd[0] += dL[i, i]
        return
    if code == _DIAG:
        for i in range(q):
            dsd[i] += dL[i, i]
        return
    K = np.empty((q, q))
    for i in range(q):
        for j in range(i + 1):
            K[i, j] = L[i, j] / sd[i]
            dsd[i] += dL[i, j] * K[i, j]
            dL[i, j] *= sd[i]
    # reverse of the row-by-row Cholesky in `factor`
    for i in range(q - 1, 0, -1):
        dleft = dL[i, i] * 0.5 / K[i, i]
        at = i * (i - 1) // 2
        for j in range(i - 1, -1, -1):
            dvalue = (dL[i, j] - 2.0 * K[i, j] * dleft) / K[j, j]
            dL[j, j] -= dvalue * K[i, j]
            for k in range(j):
                dL[i, k] -= dvalue * K[j, k]
                dL[j, k] -= dvalue * K[i, k]
            dcorr[at + j] += dvalue
