"""Columns of X that the columns before them determine, found as R's lm finds them."""

from dataclasses import dataclass

import numpy as np

from bayeslmm.support.arrays import Array

TOLERANCE = 1e-7
"""A column is dependent when less than this fraction of its length is left after projection on the
columns before it; the value of R's ``lm``."""

_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Dependence:
    """A column that others determine.

    Attributes
    ----------
    column : int
        Its position.
    on : tuple of int
        Positions of the kept columns that it is a combination of; empty for a column of zeros.
    """

    column: int
    on: tuple[int, ...]


def dependent_columns(X: Array) -> tuple[Dependence, ...]:
    """Find the columns that are linear combinations of earlier ones.

    The rule is LINPACK's limited pivoting, dqrdc2, that R's ``lm`` uses: columns keep their order
    and the later ones of a dependent set go. It is applied to the triangular factor of X, which has
    the same dependences and p rows only.

    Parameters
    ----------
    X : ndarray, shape (n, p)

    Returns
    -------
    tuple of Dependence
        In order of position.
    """
    p = X.shape[1]
    scale = np.sqrt(np.einsum("ij,ij->j", X, X))
    R = _triangular(X, np.where(scale > 0, scale, 1.0))
    if len(R) == p and (np.abs(np.diag(R)) >= TOLERANCE).all():
        return ()
    kept: list[int] = []
    basis = np.empty((R.shape[0], 0))
    found = []
    for j in range(p):
        left = R[:, j] - basis @ (basis.T @ R[:, j])
        left -= basis @ (basis.T @ left)
        length = float(np.linalg.norm(left))
        if length >= TOLERANCE:
            kept.append(j)
            basis = np.column_stack([basis, left / length])
            continue
        weights = np.linalg.lstsq(R[:, kept], R[:, j], rcond=None)[0] if kept else np.empty(0)
        on = tuple(k for k, weight in zip(kept, weights, strict=True) if abs(weight) > 1e-6)
        found.append(Dependence(j, on))
    return tuple(found)


def _triangular(X: Array, scale: Array) -> Array:
    """Triangular factor of X with columns of unit length, blocks of rows at a time."""
    R = np.linalg.qr(X[:_BLOCK] / scale, mode="r")
    for start in range(_BLOCK, len(X), _BLOCK):
        R = np.linalg.qr(np.vstack([R, X[start : start + _BLOCK] / scale]), mode="r")
    return R
