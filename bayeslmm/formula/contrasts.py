"""Contrasts of categories that formulae does not have: Helmert's and polynomial ones, as in R."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from formulae.categorical import ContrastMatrix, Encoding

from bayeslmm.data.frames import level_label
from bayeslmm.errors import DataError
from bayeslmm.support.arrays import Array

__all__ = ["Helmert", "Poly"]

_MOST_LEVELS = 95
"""Of polynomial contrasts, whose higher degrees double precision does not represent; as in R."""
_DEGREES = ("linear", "quadratic", "cubic")


class _WithMean(Encoding):
    """Contrasts that get a column of ones where there is no intercept, as those of `Sum` do."""

    def code_with_intercept(self, levels: Sequence[object]) -> ContrastMatrix:
        """The contrasts beside a column of ones."""
        contrast = self.code_without_intercept(levels)
        matrix = np.column_stack([np.ones(len(levels)), contrast.matrix])
        return ContrastMatrix(matrix, ["mean", *contrast.labels])


class Helmert(_WithMean):
    """Each level against the mean of those before it: R's ``contr.helmert``.

    The coefficient of level j + 1 is its difference from that mean, divided by j + 1.
    """

    def code_without_intercept(self, levels: Sequence[object]) -> ContrastMatrix:
        """The contrasts beside an intercept."""
        n = len(levels)
        matrix = -np.triu(np.ones((n, n - 1))) + np.diag(np.arange(1.0, n), -1)[:, : n - 1]
        return ContrastMatrix(matrix, [str(level) for level in levels[1:]])


class Poly(_WithMean):
    """Orthonormal polynomials over levels that are equally far apart: R's ``contr.poly``."""

    def code_without_intercept(self, levels: Sequence[object]) -> ContrastMatrix:
        """The contrasts beside an intercept."""
        n = len(levels)
        if n > _MOST_LEVELS:
            raise DataError(
                f"polynomial contrasts of {n} levels are beyond double precision, which goes to "
                f"{_MOST_LEVELS}; take poly(x, 3) of the number that {level_label(levels[0])!r} "
                "and the others stand for"
            )
        labels = [*_DEGREES, *(f"^{degree}" for degree in range(4, n))]
        return ContrastMatrix(_orthonormal(n), labels[: n - 1])


def _orthonormal(n: int) -> Array:
    """Polynomials of degree 1 to n - 1 at n equidistant points, of positive slope at the end."""
    basis = np.polynomial.legendre.legvander(np.linspace(-1.0, 1.0, n), n - 1)
    Q, R = np.linalg.qr(basis)
    return np.asarray((Q * np.sign(np.diag(R)))[:, 1:])
